"""``tpumlir info``: what is in a compiled file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from tpumlir_core.bmodel.schema import Model, Net, NetParameter, Tensor
from tpumlir_core.cli.compiled import is_bmodel, open_compiled, read_compiled, read_container_file
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json
from tpumlir_core.container import Container, StoredTensor, container_chip
from tpumlir_core.files import read_head
from tpumlir_core.plugins import TARGET, PluginManager


@click.command("info")
@click.argument("file", type=FILE)
@json_option
def command(file: Path, as_json: bool) -> None:
    """Chip, networks, inputs, outputs and sizes of a compiled FILE."""
    head = read_head(file)
    if is_bmodel(head):
        data, model = read_compiled(file)
        facts, show = _model(model), _print
    elif container_chip(head) is not None:
        data, container = read_container_file(file)
        facts, show = _container(container), _print
    else:
        data, facts = _foreign(file)
        show = _print_foreign
    facts = {"file": str(file), "bytes": len(data), **facts}
    if as_json:
        print_json(facts)
    else:
        show(facts)


def _foreign(file: Path) -> tuple[bytes, dict[str, Any]]:
    """A file of a format that only its target knows."""
    plugins = PluginManager.discover()
    data, name, target = open_compiled(file, plugins)
    with plugins.calling(TARGET, name, "describe"):
        return data, {"chip": name, **target.describe(data)}


def _print_foreign(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        click.echo(f"{name}: {value}")


def _container(container: Container) -> dict[str, Any]:
    """The facts of the core's own format, under the names that those of a bmodel have."""
    sections = {name: len(data) for name, data in container.sections.items()}
    stage = {
        "inputs": [_stored(tensor) for tensor in container.inputs],
        "outputs": [_stored(tensor) for tensor in container.outputs],
        "section_bytes": sections,
        "facts": dict(container.facts),
    }
    return {"chip": container.chip, "networks": [{"name": container.network, "stages": [stage]}]}


def _stored(tensor: StoredTensor) -> dict[str, Any]:
    size = math.prod(tensor.shape) * tensor.element.bytes
    shape = list(tensor.shape)
    return {"name": tensor.name, "type": tensor.element.value, "shape": shape, "bytes": size, "address": tensor.address}


def _model(model: Model) -> dict[str, Any]:
    return {"chip": model.chip, "version": model.version, "time": (model.time or "").strip(), "networks": [_net(net) for net in model.net]}


def _net(net: Net) -> dict[str, Any]:
    return {"name": net.name, "stages": [_stage(stage) for stage in net.parameter]}


def _stage(stage: NetParameter) -> dict[str, Any]:
    groups = [group for subnet in stage.sub_net for group in subnet.cmd_group] or list(stage.cmd_group)
    return {
        "inputs": [_tensor(tensor) for tensor in stage.input_tensor],
        "outputs": [_tensor(tensor) for tensor in stage.output_tensor],
        "weight_bytes": len(stage.coeff_mem.binary_coeff or b"") if stage.coeff_mem else 0,
        "neuron_bytes": stage.ctx_size,
        "tiu_commands": sum(group.bdc_num for group in groups),
        "dma_commands": sum(group.gdma_num for group in groups),
        "command_bytes": sum(len(group.binary_bdc or b"") + len(group.binary_gdma or b"") for group in groups),
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "type": _element(tensor.data_type),
        "shape": list(tensor.shape[0].dim) if tensor.shape else [],
        "bytes": tensor.size,
        "address": tensor.device_addr,
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _element(code: int) -> str:
    from tpumlir_core.bmodel.network import WIRE_TYPES

    return next((element.value for element, wire in WIRE_TYPES.items() if wire == code), f"type {code}")


def _print(facts: dict[str, Any]) -> None:
    kind = f", bmodel {facts['version']}" if "version" in facts else ""
    click.echo(f"{facts['file']}: {facts['bytes']:,} bytes for {facts['chip']}{kind}")
    for net in facts["networks"]:
        for number, stage in enumerate(net["stages"]):
            click.echo(f"network {net['name']}, stage {number}")
            for role in ("inputs", "outputs"):
                for tensor in stage[role]:
                    kind = "x".join(map(str, (*tensor["shape"], tensor["type"])))
                    click.echo(f"  {role[:-1]:7}{tensor['name']}  {kind}  {tensor['bytes']:,} bytes at {tensor['address']:#x}")
            if "section_bytes" in stage:
                click.echo("  " + ", ".join(f"{name} {size:,} bytes" for name, size in stage["section_bytes"].items()))
                continue
            click.echo(f"  weights {stage['weight_bytes']:,} bytes, neurons {stage['neuron_bytes']:,} bytes")
            streams = f"{stage['tiu_commands']} TIU and {stage['dma_commands']} DMA commands"
            click.echo(f"  {streams}, {stage['command_bytes']:,} bytes")
