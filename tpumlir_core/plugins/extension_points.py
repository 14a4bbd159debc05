"""What a plugin can be: the abstract classes behind the entry-point groups.

``tpumlir.frontends`` Frontend, ``tpumlir.interpreters`` Interpreter, ``tpumlir.quantizers`` Quantizer, ``tpumlir.targets``
Target, ``tpumlir.runners`` Runner. The entry-point name is the name that the user types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Array, Module, Operation


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a source model.

    ``input_shapes``: one shape per input, in input order, or () to take the model's own. ``output_names``: cut the network
    at these tensors. ``model_data``: a second file with the weights, where the format has one.
    """

    input_shapes: tuple[tuple[int, ...], ...] = ()
    input_types: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    model_data: Path | None = None
    name: str = ""


class Frontend(ABC):
    """Reads a source format into a Top module."""

    @abstractmethod
    def recognizes(self, path: Path, head: bytes) -> bool:
        """Whether a file looks like this format, by its first bytes (up to 4096) and its suffix. Must be cheap."""

    @abstractmethod
    def load(self, path: Path, options: ImportOptions) -> Module:
        """The model as a Top module. Raises InputError, or UnsupportedError with all operators at once."""

    @abstractmethod
    def operators(self) -> Sequence[str]:
        """Names of the source operators that it understands, sorted."""

    def run(self, path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
        """Every output (and, where the framework can, every intermediate tensor, under the names that ``load`` gives)
        as the source framework itself computes it. Raises UnsupportedError where that framework is not installed."""
        raise UnsupportedError(f"{path}: this frontend cannot run models")


class Interpreter(ABC):
    """Runs a Top module on the host, every intermediate tensor kept."""

    @abstractmethod
    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensor name -> array, for every value of the function."""


@dataclass(frozen=True)
class LoweringOptions:
    """How to lower: default ``mode`` (F32, F16, BF16, INT8), per-operation modes by name, and calibration by name."""

    mode: str = "F32"
    modes: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)


class Quantizer(ABC):
    """Lowers a Top module to the Tpu dialect for a target."""

    @abstractmethod
    def modes(self) -> Sequence[str]:
        """The modes it can lower to."""

    @abstractmethod
    def lower(self, module: Module, target: Target, options: LoweringOptions) -> Module:
        """A Tpu module. Raises UnsupportedError listing every operation the target cannot do."""


@dataclass(frozen=True)
class Artifact:
    """A compiled network: the bytes of its file, facts about it (JSON-able) and stage timings in seconds."""

    data: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Instruction:
    """One decoded command: the stream it is in, its engine and position there, and its fields as read."""

    stream: str
    engine: str
    index: int
    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class LayerCycles:
    """Estimated cycles of one layer: from its first command's start to its last one's end, and each engine's work."""

    name: str
    cycles: int
    engines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """Estimated cycles of a compiled file: in all, each engine's work, and by layer where the file tells layers apart."""

    cycles: int
    engines: Mapping[str, int] = field(default_factory=dict)
    layers: Sequence[LayerCycles] = ()


class Target(ABC):
    """A chip: what it can do, and code generation for it."""

    name: str

    @abstractmethod
    def supports(self, op: Operation, mode: str) -> str | None:
        """None if a Tpu operation can be done in this mode, else the reason."""

    @abstractmethod
    def modes(self) -> Sequence[str]:
        """The modes (F32, ...) that the chip has."""

    @abstractmethod
    def compile(self, module: Module) -> Artifact:
        """Schedule, emit and package a Tpu module."""

    def operators(self) -> Mapping[str, Mapping[str, str | None]]:
        """Operation (opcode without its dialect) -> mode -> None if it can be done, else the reason: the support table.

        This and the next two are for inspection; a target may leave them out."""
        raise UnsupportedError(f"target {self.name} does not list its operations")

    def disassemble(self, data: bytes) -> Iterator[Instruction]:
        """The commands of a compiled file, stream by stream, in order. Raises InputError for a damaged file."""
        raise UnsupportedError(f"target {self.name} has no disassembler")

    def profile(self, data: bytes) -> Profile:
        """Estimated cycles of a compiled file. Raises InputError for a damaged file."""
        raise UnsupportedError(f"target {self.name} has no estimate of cycles")


class Runner(ABC):
    """Executes compiled files on a device or an emulator."""

    @abstractmethod
    def recognizes(self, path: Path, head: bytes) -> bool:
        """Whether it can run this file."""

    @abstractmethod
    def run(self, path: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Output name -> array (floats are returned as float32). Raises InputError or PluginError."""
