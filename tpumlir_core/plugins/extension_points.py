"""What a plugin can be: the abstract classes behind the entry-point groups.

``tpumlir.frontends`` Frontend, ``tpumlir.interpreters`` Interpreter, ``tpumlir.calibrators`` Calibrator, ``tpumlir.quantizers``
Quantizer, ``tpumlir.targets`` Target, ``tpumlir.runners`` Runner, ``tpumlir.executors`` Executor. The entry-point name is the
name that the user types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Array, Module, Operation
from tpumlir_core.ir.operator_lookup import OperatorSet

if TYPE_CHECKING:
    from tpumlir_core.passes.framework import PassRegistry
    from tpumlir_core.preprocess import Preprocess


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a source model.

    ``input_shapes``: one shape per input, in input order, or () to take the model's own. ``output_names``: cut the network
    at these tensors. ``input_names``: begin it at these, which are its inputs then in place of its own; only frontends that say
    ``cuts_inputs`` are given any. ``model_data``: a second file with the weights, where the format has one. ``bare_names``: call
    results what the file calls its tensors and nothing more; for files that a converter made, whose names are the original's.
    ``preprocess``: how images become inputs, which the core records in all of them, or in those at the positions
    ``preprocess_inputs``, from 0. ``operators``: the custom operators to look up, as ``domain::type``, what the frontend does not
    know itself.
    """

    input_shapes: tuple[tuple[int, ...], ...] = ()
    input_types: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    input_names: tuple[str, ...] = ()
    model_data: Path | None = None
    bare_names: bool = False
    name: str = ""
    preprocess: Preprocess | None = None
    preprocess_inputs: frozenset[int] = frozenset()
    operators: OperatorSet = field(default_factory=OperatorSet, compare=False)


@dataclass(frozen=True)
class Example:
    """A small file that a frontend or a runner can read, inputs by name, and the outputs that they give where those are known."""

    path: Path
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array] = field(default_factory=dict)


class Frontend(ABC):
    """Reads a source format into a Top module.

    ``reads_folders``: a model may be a folder; others are never asked about one. ``cuts_inputs``: ``load`` and ``run`` heed
    ``ImportOptions.input_names``.
    """

    reads_folders: ClassVar[bool] = False
    cuts_inputs: ClassVar[bool] = False

    @abstractmethod
    def recognizes(self, path: Path, head: bytes) -> bool:
        """Whether a file looks like this format, by its first bytes (up to 4096; none of a folder) and its suffix. Must be cheap,
        and go by what the file holds wherever that can tell: when two frontends say yes, the user has to choose."""

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

    def run_each(self, path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
        """The outputs that ``run`` gives, for each of many samples in turn, read one at a time; the model may be read once."""
        for inputs in samples:
            yield self.run(path, inputs, options)

    def examples(self, folder: Path) -> Sequence[Example]:
        """Small models of the format, written into ``folder``: what the conformance kit tries it on."""
        return ()


class Interpreter(ABC):
    """Runs a Top module on the host, every intermediate tensor kept."""

    @abstractmethod
    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensor name -> array, for every value of the function."""

    def run_each(self, module: Module, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """What ``run`` gives, for each of many samples in turn, read one at a time; what does not depend on them is done once."""
        for inputs in samples:
            yield self.run(module, inputs)


@dataclass(frozen=True)
class CalibratedRange:
    """The calibrated range of one tensor: real numbers from ``low`` to ``high``, and ``threshold`` > 0, the largest magnitude
    that symmetric quantization keeps.

    ``fixed``: the source model stores the tensor in 8 bits, from ``low`` to ``high``; its scale and zero point are to be kept.
    ``means``: of each channel, where a convolution or a matrix product takes the tensor; () where nobody knows. What rounding of
    its weights takes from a product's mean follows from them.
    ``loss``: what 8 bits of this range lose of the tensor, root mean square of the error over that of its values; 0 where nobody knows.
    """

    threshold: float
    low: float
    high: float
    fixed: bool = False
    means: tuple[float, ...] = ()
    loss: float = 0.0


class Effort(Enum):
    """How much time calibration may take."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Calibrator(ABC):
    """Chooses the range of every tensor from what it holds on real inputs."""

    @abstractmethod
    def calibrate(self, tensors: Iterable[Mapping[str, Array]]) -> Mapping[str, CalibratedRange]:
        """Tensor name -> range. ``tensors`` gives, for every sample, every tensor of the network by name; it is walked once,
        as all of it may not fit into memory, and must not be written to. Raises InputError where there is no sample."""

    def refine(
        self,
        module: Module,
        ranges: Mapping[str, CalibratedRange],
        samples: Sequence[Mapping[str, Array]],
        interpreter: Interpreter,
        effort: Effort,
    ) -> Mapping[str, CalibratedRange]:
        """Better ranges than ``calibrate`` found, with all tensors of a few samples at hand; not asked for at LOW effort.

        At HIGH effort it may rewrite weights of ``module`` in place, never its operations. ``interpreter`` runs what it wants to
        try. By default the ranges stay."""
        return ranges


@dataclass(frozen=True)
class Positions:
    """Some of a network's inputs or outputs, by position from 0: those ``chosen``, or ``every`` one. ``2 in positions`` asks."""

    chosen: frozenset[int] = frozenset()
    every: bool = False

    def __contains__(self, position: object) -> bool:
        return self.every or position in self.chosen


@dataclass(frozen=True)
class LoweringOptions:
    """How to lower: default ``mode`` (F32, F16, BF16, INT8), per-operation modes by name, and calibration by name.

    ``asymmetric``: integer modes may use zero points. ``quant_inputs``, ``quant_outputs``: the inputs and outputs of the network
    that keep the type of the lowered network, instead of being cast from and to what the Top module has. ``passes``: the passes
    and pipelines of the run, for ``run_pipeline("prepare", module, registry=options.passes, ...)``, so that plugins' passes are
    among them.
    """

    mode: str = "F32"
    modes: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, CalibratedRange] = field(default_factory=dict)
    asymmetric: bool = False
    quant_inputs: Positions = Positions()
    quant_outputs: Positions = Positions()
    passes: PassRegistry | None = field(default=None, compare=False)


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
    """A compiled network: its file, facts about it (JSON-able) and stage timings in seconds.

    ``content``: the bytes of the file, or parts of them that follow one another: networks are mostly weights, which a target that
    joined them to the rest would have in memory twice.
    """

    content: bytes | Sequence[bytes | memoryview]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> Sequence[bytes | memoryview]:
        """The bytes of the file, in parts that follow one another."""
        return [self.content] if isinstance(self.content, bytes) else self.content

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(map(len, self.parts))

    @property
    def data(self) -> bytes:
        """The bytes of the file, joined."""
        return self.content if isinstance(self.content, bytes) else b"".join(self.content)


@dataclass(frozen=True)
class Instruction:
    """One decoded command: the stream it is in, its engine and position there, and its fields as read.

    ``layer``: whose command it is, "" where the file does not tell.
    """

    stream: str
    engine: str
    index: int
    name: str
    fields: Mapping[str, Any]
    layer: str = ""


@dataclass(frozen=True)
class LayerCycles:
    """Estimated cycles of one layer: from its first command's start to its last one's end, and each engine's work.

    Layers that are computed side by side overlap. ``start`` counts from the first command of the file, ``bytes`` are those
    moved for the layer by DMA; ``network`` names network and stage where the file has several.
    """

    name: str
    cycles: int
    engines: Mapping[str, int] = field(default_factory=dict)
    operation: str = ""
    start: int = 0
    bytes: int = 0
    network: str = ""


@dataclass(frozen=True)
class Profile:
    """Estimated cycles of a compiled file: in all, each engine's work, and by layer where the file tells layers apart.

    Layers are in the order of the network; ``bytes`` are those moved by DMA.
    """

    cycles: int
    engines: Mapping[str, int] = field(default_factory=dict)
    layers: Sequence[LayerCycles] = ()
    bytes: int = 0


class Target(ABC):
    """A chip: what it can do, and code generation for it.

    ``host_steps``: whether its files, bmodels or ``tpumlir_core.container``, carry the note of what the host computes afterwards.
    """

    name: str
    host_steps: ClassVar[bool] = False

    @abstractmethod
    def supports(self, op: Operation, mode: str) -> str | None:
        """None if a Tpu operation can be done in this mode, else the reason."""

    @abstractmethod
    def modes(self) -> Sequence[str]:
        """The modes (F32, ...) that the chip has."""

    @abstractmethod
    def compile(self, module: Module) -> Artifact:
        """Schedule, emit and package a Tpu module. The module is used up: its weights may be dropped once they are laid out."""

    def operators(self) -> Mapping[str, Mapping[str, str | None]]:
        """Operation (opcode without its dialect) -> mode -> None if it can be done, else the reason: the support table.

        This and the next four are for inspection; a target may leave them out."""
        raise UnsupportedError(f"target {self.name} does not list its operations")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Whether a compiled file is this target's, by its first bytes. Only asked for files that are neither a bmodel nor a
        ``tpumlir_core.container``: those name their chip."""
        return False

    def describe(self, data: bytes) -> Mapping[str, Any]:
        """Facts about a file that it recognizes, JSON values by name, for ``tpumlir info``. Raises InputError for a damaged one."""
        raise UnsupportedError(f"target {self.name} does not describe its files")

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

    def examples(self, folder: Path) -> Sequence[Example]:
        """Small compiled files, written into ``folder``: what the conformance kit tries it on besides what targets compile."""
        return ()


class Executor(ABC):
    """Runs a Tpu module on the host with the arithmetic of the chip, every intermediate tensor kept."""

    @abstractmethod
    def run(self, module: Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensor name -> array as stored (quantized tensors as integers), for every value of the function.

        Raises InputError for inputs that do not fit."""

    def run_each(self, module: Module, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """What ``run`` gives, for each of many samples in turn, read one at a time; what does not depend on them is done once."""
        for inputs in samples:
            yield self.run(module, inputs)
