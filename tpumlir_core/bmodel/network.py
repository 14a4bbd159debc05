"""Statically compiled single-core networks as bmodels: the fields that a runtime needs, filled in.

The runtime chooses where weights and neurons lie on the device, and adds the difference to every global address in the
DMA commands: addresses from ``neuron_address`` on move with the neurons, lower ones with the weights. So both are one
contiguous range each, the neurons above the weights, inputs and outputs among the neurons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tpumlir_core.bmodel import schema
from tpumlir_core.bmodel.container import write_model
from tpumlir_core.bmodel.notes import encode_notes
from tpumlir_core.errors import InternalError
from tpumlir_core.ir.types import ElementType

SCHEMA_VERSION = "2.2"
"""Version of the schema that the files declare; a runtime refuses none, tools print it."""
FIXED_TIME = "Thu Jan  1 00:00:00 1970\n"
"""The creation time of every file: the same input gives the same bytes."""
STREAM_ALIGNMENT = 128
"""Bytes that each stream of a group is padded to (libbmrt lays the groups out so; unpadded ones overrun its buffer)."""
MAX_DIMENSIONS = 8
"""Dimensions of a runtime tensor (libbmrt, ``BM_MAX_DIMS_NUM``)."""

WIRE_TYPES = {
    ElementType.F32: 0, ElementType.F16: 1, ElementType.SI8: 2, ElementType.UI8: 3, ElementType.SI16: 4,
    ElementType.UI16: 5, ElementType.SI32: 6, ElementType.UI32: 7, ElementType.BF16: 8,
}
"""``Tensor.data_type``: the runtime's ``bm_data_type_t`` (libsophon)."""


@dataclass(frozen=True)
class BmodelTensor:
    """An input or output: device ``address``, ``bytes`` there, and real = (stored - zero_point) * scale.

    ``scale`` of an input is its inverse, as the runtime's users expect: stored = real * scale + zero_point.
    """

    name: str
    element: ElementType
    shape: tuple[int, ...]
    address: int
    bytes: int
    scale: float = 1.0
    zero_point: int = 0


@dataclass(frozen=True)
class CommandStreams:
    """One command group: each engine's encoded stream, its end command included, and how many commands it has.

    An engine with nothing to do still has its end command. Ids start from 1 in every group; a group starts when the one
    before has ended. The writer pads the streams.
    """

    tiu: bytes
    tiu_commands: int
    dma: bytes
    dma_commands: int


@dataclass(frozen=True)
class WeightLocation:
    """Which bytes of the weights belong to which tensor."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class BmodelNet:
    """A network compiled for one set of shapes. Networks of one name in one file are that network's stages.

    ``chip``: as the runtime spells it (upper case). Addresses are the device addresses in the streams; ``neuron_bytes``
    spans inputs, outputs and everything between. ``notes``: JSON values for people and tools (see ``notes.py``).
    """

    name: str
    chip: str
    inputs: tuple[BmodelTensor, ...]
    outputs: tuple[BmodelTensor, ...]
    coeff: bytes | memoryview
    coeff_address: int
    neuron_address: int
    neuron_bytes: int
    groups: tuple[CommandStreams, ...]
    weights: tuple[WeightLocation, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


def write_bmodel(nets: Sequence[BmodelNet], version: str = "") -> bytes:
    """The file of some networks of one chip. ``version``: who made it, appended to the schema version."""
    return write_model(build_model(nets, version))


def build_model(nets: Sequence[BmodelNet], version: str = "") -> schema.Model:
    """The tables of some networks of one chip."""
    chips = {net.chip for net in nets}
    if len(chips) != 1:
        raise InternalError(f"a bmodel is of one chip, not of {sorted(chips)}")
    stages: dict[str, list[schema.NetParameter]] = {}
    for net in nets:
        _check(net)
        stages.setdefault(net.name, []).append(_stage(net))
    return schema.Model(
        type="B",
        version=f"{SCHEMA_VERSION}+{version}" if version else SCHEMA_VERSION,
        time=FIXED_TIME,
        chip=chips.pop(),
        net=tuple(schema.Net(name=name, parameter=tuple(parameters)) for name, parameters in stages.items()),
        neuron_size=max(net.neuron_bytes for net in nets),
        device_num=1,
    )


def _check(net: BmodelNet) -> None:
    end = net.neuron_address + net.neuron_bytes
    if not net.groups or any(not group.tiu_commands or not group.dma_commands for group in net.groups):
        raise InternalError(f"network {net.name}: a command stream without even its end command")
    if net.coeff_address + len(net.coeff) > net.neuron_address:
        raise InternalError(f"network {net.name}: the weights reach into the neurons at {net.neuron_address:#x}")
    for tensor in net.inputs + net.outputs:
        if not net.neuron_address <= tensor.address <= tensor.address + tensor.bytes <= end:
            raise InternalError(f"network {net.name}, tensor {tensor.name}: {tensor.bytes} bytes at {tensor.address:#x} "
                                f"are not within its neurons, {net.neuron_address:#x} to {end:#x}")
        if tensor.element not in WIRE_TYPES or not 1 <= len(tensor.shape) <= MAX_DIMENSIONS:
            raise InternalError(f"network {net.name}, tensor {tensor.name}: a bmodel holds no "
                                f"{tensor.element.value} of shape {tensor.shape}")


def _stage(net: BmodelNet) -> schema.NetParameter:
    inputs = tuple(_tensor(tensor, schema.HIDDEN_INPUT, i) for i, tensor in enumerate(net.inputs))
    outputs = tuple(_tensor(tensor, schema.HIDDEN_OUTPUT, i) for i, tensor in enumerate(net.outputs))
    groups = tuple(_group(group) for group in net.groups)
    subnet = schema.SubNet(cmd_group=groups, input_tensor=inputs, output_tensor=outputs, id=0, next_subnet_ids=(-1,), run_core=1)
    return schema.NetParameter(
        input_tensor=inputs,
        output_tensor=outputs,
        ctx_addr=net.neuron_address,
        ctx_size=net.neuron_bytes,
        coeff_mem=_coeff(net) if net.coeff else None,
        cmd_group=groups,
        stage_ir=(schema.StageIR(),),
        sub_net=(subnet,),
        ctx_sizes=(net.neuron_bytes,),
        core_num=1,
        tensor_loc=encode_notes(net.notes),
        dynamic_ctx_addr=net.neuron_address,
        dynamic_coeff_offset=len(net.coeff),
        dynamic_combined_coeff_offset=len(net.coeff),
    )


def _tensor(tensor: BmodelTensor, hidden: int, index: int) -> schema.Tensor:
    return schema.Tensor(
        name=tensor.name,
        data_type=WIRE_TYPES[tensor.element],
        device_addr=tensor.address,
        size=tensor.bytes,
        shape=(schema.Shape(tensor.shape),),
        mem_type=schema.MEMORY_TPU,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
        hidden=hidden,
        index=index,
    )


def _coeff(net: BmodelNet) -> schema.CoeffMem:
    return schema.CoeffMem(
        address=net.coeff_address,
        check_code=tuple(hashlib.sha256(net.coeff).digest()),
        binary_coeff=net.coeff,
        location=tuple(schema.Location(weight.name, weight.offset, weight.bytes) for weight in net.weights),
    )


def _group(group: CommandStreams) -> schema.CmdGroup:
    tiu, dma = (stream + bytes(-len(stream) % STREAM_ALIGNMENT) for stream in (group.tiu, group.dma))
    return schema.CmdGroup(
        bdc_num=group.tiu_commands,
        gdma_num=group.dma_commands,
        binary_bdc=tiu,
        binary_gdma=dma,
        bdc_cmd_byte=len(tiu),
        gdma_cmd_byte=len(dma),
    )
