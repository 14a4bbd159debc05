"""The tables of a bmodel, as ``bmodel.fbs`` declares them, in its field order.

A binary (commands, weights, ...) is held as the bytes themselves: the file's (start, size) pairs exist only while
reading and writing. An absent binary, table or string is None; an absent vector is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

U8 = Annotated[int, "uint8"]
I32 = Annotated[int, "int32"]
U32 = Annotated[int, "uint32"]
U64 = Annotated[int, "uint64"]
F32 = Annotated[float, "float32"]
Binary = Annotated[bytes | memoryview, "Binary"]
"""Read-only bytes of the binary section; a ``memoryview`` of the file when read, so that nothing is copied."""

MEMORY_TPU = 1
"""``Tensor.mem_type``: the tensor is in device memory (2: in host memory)."""
HIDDEN_INPUT, HIDDEN_OUTPUT = 1, 2
"""``Tensor.hidden``: what the tensor is to its network, for the runtime's memory planning."""


@dataclass(frozen=True)
class RelEntry:
    """A struct: where a command holds an address to be relocated (not used by BM1684X)."""

    base_addr_id: U32
    addr_offset: U32
    cmd_offset: U32


@dataclass(frozen=True)
class Shape:
    dim: tuple[U64, ...] = ()


@dataclass(frozen=True)
class CmdGroup:
    """One pair of command streams: commands of each engine (end commands included), streams, bytes of each."""

    bdc_num: U32 = 0
    gdma_num: U32 = 0
    binary_bdc: Binary | None = None
    binary_gdma: Binary | None = None
    bdc_cmd_byte: U32 = 0
    gdma_cmd_byte: U32 = 0
    reloc_entries: tuple[RelEntry, ...] = ()


@dataclass(frozen=True)
class CoreCommands:
    """The streams of one core of a multi-core chip."""

    gdma_tiu_commands: tuple[CmdGroup, ...] = ()
    sdma_commands: tuple[Binary, ...] = ()
    hau_commands: tuple[Binary, ...] = ()
    cdma_commands: tuple[Binary, ...] = ()


@dataclass(frozen=True)
class StageIR:
    """Input heights and widths that a dynamic network's intermediate code serves; all 0 in a static one."""

    ir_info_len: U32 = 0
    height_high: I32 = 0
    height_low: I32 = 0
    width_high: I32 = 0
    width_low: I32 = 0


@dataclass(frozen=True)
class Location:
    """Which bytes of the weights are which operand: for tools that replace weights."""

    name: str | None = None
    offset: U64 = 0
    size: U64 = 0


@dataclass(frozen=True)
class CoeffMem:
    """The weights: device address, SHA-256 (the runtime loads equal ones once), bytes."""

    address: U64 = 0
    check_code: tuple[U8, ...] = ()
    binary_coeff: Binary | None = None
    location: tuple[Location, ...] = ()
    encrypt_mode: I32 = 0
    decrypt_size: U64 = 0


@dataclass(frozen=True)
class Tensor:
    """An input or output: wire type code, device address, bytes, one shape, quantization."""

    name: str | None = None
    data_type: U32 = 0
    gmem_stmode: I32 = 0
    device_addr: U64 = 0
    size: U64 = 0
    shape: tuple[Shape, ...] = ()
    mem_type: U32 = 0
    scale: F32 = 1.0
    cpu_addr: U32 = 0
    pad_h: U32 = 0
    zero_point: I32 = 0
    hidden: I32 = 0
    index: I32 = 0
    relentry: RelEntry | None = None


@dataclass(frozen=True)
class CpuConst:
    name: str | None = None
    const_data: Binary | None = None
    check_code: tuple[U8, ...] = ()


@dataclass(frozen=True)
class CpuParam:
    """A layer that the host computes."""

    op_type: I32 = 0
    binary_param: Binary | None = None
    cpu_const: tuple[CpuConst, ...] = ()
    is_custom: I32 = 0


@dataclass(frozen=True)
class OutputFrom:
    indice: tuple[I32, ...] = ()


@dataclass(frozen=True)
class MergeParam:
    output_from: tuple[OutputFrom, ...] = ()


@dataclass(frozen=True)
class SwitchParam:
    output_from: tuple[I32, ...] = ()
    output_branch: tuple[I32, ...] = ()


@dataclass(frozen=True)
class SubNet:
    """A part of a network that runs in one place (``subnet_mode`` 0: on the TPU)."""

    subnet_mode: I32 = 0
    cmd_group: tuple[CmdGroup, ...] = ()
    cpu_param: tuple[CpuParam, ...] = ()
    input_tensor: tuple[Tensor, ...] = ()
    output_tensor: tuple[Tensor, ...] = ()
    is_dynamic: I32 = 0
    ir_offset: U32 = 0
    ir_len: U32 = 0
    n_dynamic: I32 = 0
    h_w_dynamic: I32 = 0
    id: I32 = -1
    next_subnet_ids: tuple[I32, ...] = ()
    merge_param: MergeParam | None = None
    switch_param: SwitchParam | None = None
    core_commands: tuple[CoreCommands, ...] = ()
    run_core: U32 = 0


@dataclass(frozen=True)
class NetParameter:
    """One stage of a network: the network compiled for one set of input shapes."""

    input_tensor: tuple[Tensor, ...] = ()
    output_tensor: tuple[Tensor, ...] = ()
    ctx_addr: U64 = 0
    ctx_size: U64 = 0
    coeff_mem: CoeffMem | None = None
    is_dynamic: I32 = 0
    n_dynamic: I32 = 0
    h_w_dynamic: I32 = 0
    cmd_group: tuple[CmdGroup, ...] = ()
    net_profile: Binary | None = None
    stage_ir: tuple[StageIR, ...] = ()
    binary_ir: Binary | None = None
    sub_net: tuple[SubNet, ...] = ()
    cpu_mem_size: U32 = 0
    ctx_sizes: tuple[U64, ...] = ()
    net_stat: Binary | None = None
    core_num: U32 = 0
    io_addr: U64 = 0
    io_size: U64 = 0
    tensor_loc: Binary | None = None
    dynamic_ctx_addr: U64 = 0
    dynamic_coeff_offset: U64 = 0
    dynamic_combined_coeff_offset: U64 = 0


@dataclass(frozen=True)
class NetStatic:
    """Of an older schema; no fields are read."""


@dataclass(frozen=True)
class NetDynamic:
    """Of an older schema; no fields are read."""


@dataclass(frozen=True)
class Cascade:
    """The place of a network in one that is spread over devices."""

    device_id: U32 = 0
    step: U32 = 0
    main_name: str | None = None


@dataclass(frozen=True)
class Net:
    """A network: its name and its stages."""

    name: str | None = None
    net_static: tuple[NetStatic, ...] = ()
    net_dynamic: tuple[NetDynamic, ...] = ()
    parameter: tuple[NetParameter, ...] = ()
    cascade: Cascade | None = None
    addr_mode: I32 = 0


@dataclass(frozen=True)
class KernelModule:
    """Firmware that the runtime loads in place of its own."""

    file_name: str | None = None
    binary: Binary | None = None
    mode: I32 = 0


@dataclass(frozen=True)
class CpuopModule:
    """A library of custom host layers."""

    file_name: str | None = None
    binary: Binary | None = None


@dataclass(frozen=True)
class Model:
    """The root: schema type ("B"), version, time, chip (upper case), networks, the neuron bytes that the largest one needs."""

    type: str | None = None
    version: str | None = None
    time: str | None = None
    chip: str | None = None
    net: tuple[Net, ...] = ()
    neuron_size: U64 = 0
    kernel_module: KernelModule | None = None
    device_num: U32 = 0
    cpuop_module: CpuopModule | None = None
    bmodel_type: U32 = 0
    lib_backend: Binary | None = None
