"""``tpumlir info``: what is in a compiled file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tpumlir_core.bmodel.schema import Model, Net, NetParameter, Tensor
from tpumlir_core.cli.compiled import read_compiled
from tpumlir_core.cli.options import FILE, json_option
from tpumlir_core.cli.output import print_json


@click.command("info")
@click.argument("file", type=FILE)
@json_option
def command(file: Path, as_json: bool) -> None:
    """Chip, networks, inputs, outputs and sizes of a compiled FILE."""
    data, model = read_compiled(file)
    facts = {"file": str(file), "bytes": len(data), **_model(model)}
    if as_json:
        print_json(facts)
    else:
        _print(facts)


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
    click.echo(f"{facts['file']}: {facts['bytes']:,} bytes for {facts['chip']}, bmodel {facts['version']}")
    for net in facts["networks"]:
        for number, stage in enumerate(net["stages"]):
            click.echo(f"network {net['name']}, stage {number}")
            for role in ("inputs", "outputs"):
                for tensor in stage[role]:
                    kind = "x".join(map(str, (*tensor["shape"], tensor["type"])))
                    click.echo(f"  {role[:-1]:7}{tensor['name']}  {kind}  {tensor['bytes']:,} bytes at {tensor['address']:#x}")
            click.echo(f"  weights {stage['weight_bytes']:,} bytes, neurons {stage['neuron_bytes']:,} bytes")
            streams = f"{stage['tiu_commands']} TIU and {stage['dma_commands']} DMA commands"
            click.echo(f"  {streams}, {stage['command_bytes']:,} bytes")
