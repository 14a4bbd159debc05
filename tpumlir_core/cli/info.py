"""``tpumlir info``: what is in a compiled file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tpumlir_core.bmodel import MADE_BY, is_bmodel, read_notes
from tpumlir_core.bmodel.schema import Model, Net, NetParameter, Tensor
from tpumlir_core.cli.compiled import naming, open_compiled, read_compiled, read_container_file
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json, print_sections, sections_json, warn_of_sick
from tpumlir_core.container import Container, StoredTensor, container_chip
from tpumlir_core.files import read_head
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.hooks import HookCaller


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
    hooks = HookCaller(PluginManager.discover(required=False))
    warn_of_sick(hooks)
    sections = hooks.report_sections(file, facts)
    if as_json:
        print_json({**facts, **sections_json(sections)})
    else:
        show(facts)
        print_sections(sections)


def _foreign(file: Path) -> tuple[bytes, dict[str, Any]]:
    """A file of a format that only its target knows."""
    plugins = PluginManager.discover()
    data, name, target = open_compiled(file, plugins)
    with plugins.calling(TARGET, name, "describe"), naming(file):
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
        "made_by": dict(container.made_by),
    }
    return {"chip": container.chip, "networks": [{"name": container.network, "stages": [stage]}]}


def _stored(tensor: StoredTensor) -> dict[str, Any]:
    size = math.prod(tensor.shape) * tensor.element.bytes
    shape = list(tensor.shape)
    return {"name": tensor.name, "type": tensor.element.value, "shape": shape, "bytes": size, "address": tensor.address}


def _model(model: Model) -> dict[str, Any]:
    firmware = len(model.kernel_module.binary or b"") if model.kernel_module else 0
    return {
        "chip": model.chip,
        "version": model.version,
        "time": (model.time or "").strip(),
        "firmware_bytes": firmware,
        "networks": [_net(net) for net in model.net],
    }


def _net(net: Net) -> dict[str, Any]:
    return {"name": net.name, "stages": [_stage(stage) for stage in net.parameter]}


def _stage(stage: NetParameter) -> dict[str, Any]:
    groups = [group for subnet in stage.sub_net for group in subnet.cmd_group] or list(stage.cmd_group)
    made_by = read_notes(stage).get(MADE_BY)
    return {
        "inputs": [_tensor(tensor) for tensor in stage.input_tensor],
        "outputs": [_tensor(tensor) for tensor in stage.output_tensor],
        "weight_bytes": len(stage.coeff_mem.binary_coeff or b"") if stage.coeff_mem else 0,
        "weight_address": stage.coeff_mem.address if stage.coeff_mem else None,
        "neuron_bytes": stage.ctx_size,
        "neuron_address": stage.ctx_addr,
        "command_groups": len(groups),
        "tiu_commands": sum(group.bdc_num for group in groups),
        "dma_commands": sum(group.gdma_num for group in groups),
        "command_bytes": sum(len(group.binary_bdc or b"") + len(group.binary_gdma or b"") for group in groups),
        "dynamic": bool(stage.is_dynamic),
        "host_layers": sum(len(subnet.cpu_param) for subnet in stage.sub_net),
        "made_by": made_by if isinstance(made_by, dict) else {},
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
    if facts.get("firmware_bytes"):
        click.echo(f"firmware {facts['firmware_bytes']:,} bytes")
    for net in facts["networks"]:
        for number, stage in enumerate(net["stages"]):
            click.echo(f"network {net['name']}, stage {number}")
            for role in ("inputs", "outputs"):
                for tensor in stage[role]:
                    click.echo(f"  {role[:-1]:7}{_tensor_text(tensor)}")
            for line in _stage_lines(stage):
                click.echo(f"  {line}")


def _tensor_text(tensor: dict[str, Any]) -> str:
    """Name, shape and type; scale and zero point where it is quantized."""
    kind = "x".join(map(str, (*tensor["shape"], tensor["type"])))
    quantized = (tensor.get("scale", 1.0), tensor.get("zero_point", 0)) != (1.0, 0)
    scale = f", scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}" if quantized else ""
    return f"{tensor['name']}  {kind}  {tensor['bytes']:,} bytes at {tensor['address']:#x}{scale}"


def _stage_lines(stage: dict[str, Any]) -> Iterator[str]:
    yield from _section_lines(stage) if "section_bytes" in stage else _bmodel_lines(stage)
    if stage["made_by"]:
        yield "made by " + ", ".join(f"{name} {version}" for name, version in stage["made_by"].items())


def _section_lines(stage: dict[str, Any]) -> Iterator[str]:
    yield ", ".join(f"{name} {size:,} bytes" for name, size in stage["section_bytes"].items())


def _bmodel_lines(stage: dict[str, Any]) -> Iterator[str]:
    at = "" if stage["weight_address"] is None else f" at {stage['weight_address']:#x}"
    yield f"weights {stage['weight_bytes']:,} bytes{at}"
    yield f"neurons {stage['neuron_bytes']:,} bytes at {stage['neuron_address']:#x}"
    groups = f" in {stage['command_groups']} groups" if stage["command_groups"] > 1 else ""
    yield f"{stage['tiu_commands']} TIU and {stage['dma_commands']} DMA commands{groups}, {stage['command_bytes']:,} bytes"
    if stage["dynamic"] or stage["host_layers"]:
        yield f"{'dynamic' if stage['dynamic'] else 'static'}, {stage['host_layers']} layers on the host"
