"""The class that frontends derive from which read a format by way of another one."""

from __future__ import annotations

import dataclasses
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tpumlir_core.conversion.child import Framework, call
from tpumlir_core.errors import InputError, PluginError, UnsupportedError
from tpumlir_core.importing import named, one_line
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins import FRONTEND, PluginManager
from tpumlir_core.plugins.extension_points import Frontend, ImportOptions

_BATCH_BYTES, _BATCH_SAMPLES = 1 << 28, 256
"""How much is handed to one process to run, at most."""


@dataclass(frozen=True)
class _Conversion:
    """A converted model: what it was made of (names, sizes and times of files, options), its file's name and content."""

    origin: tuple[Any, ...]
    name: str
    content: bytes


class ConvertingFrontend(Frontend):
    """Reads a format that its own framework converts, in a process of its own, for another frontend.

    ``framework`` converts; the frontend called ``through`` reads the result. ``child`` is the module that the process runs, which
    may import its own package, the framework and no tpumlir. Of it are called, by keyword, with JSON values:

    ``convert(folder, **arguments)``: writes into ``folder``, and answers with ``file``, the name of the file to read. Tensors are
    called there what the model calls them: the imported operations have exactly these names.

    ``run(folder, samples, wanted, **arguments)``: the model itself on every .npz of ``samples`` (inputs in the order of the
    converted file's, i0, i1...). It answers with ``tensors``, the names of what was computed, the outputs and what else of ``wanted`` it
    can give; with ``outputs``, how many of them, from the first, are the converted file's outputs in their order, whatever they are
    called; and with ``files``, an .npz for each sample with the tensors, t0, t1...
    """

    framework: ClassVar[Framework]
    through: ClassVar[str]
    child: ClassVar[str]

    def __init__(self) -> None:
        self._last: _Conversion | None = None

    @abstractmethod
    def examine(self, path: Path, options: ImportOptions) -> Mapping[str, Any]:
        """The arguments for the process, from a model whose files have been looked at without the framework.

        Raises InputError for what no framework need be started for: damage, code in the file, paths that lead elsewhere.
        """

    @abstractmethod
    def files(self, path: Path, options: ImportOptions) -> Sequence[Path]:
        """All files that the model is made of."""

    def passed_on(self, options: ImportOptions) -> ImportOptions:
        """The options for the frontend that reads the converted file: those that the conversion has not used up."""
        return options

    def load(self, path: Path, options: ImportOptions) -> Module:
        with named(path), tempfile.TemporaryDirectory(prefix="tpumlir-") as folder:
            converted = self._converted(path, options)
            file = Path(folder) / converted.name
            file.write_bytes(converted.content)
            name = options.name or (path.name if path.is_dir() else path.stem)
            inner = dataclasses.replace(self.passed_on(options), model_data=None, bare_names=True, name=name)
            return _load(self._reader(), file, inner)

    def run(self, path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
        return next(self.run_each(path, [inputs], options))

    def run_each(self, path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
        module = self.load(path, options)
        with named(path):
            arguments = self.examine(path.absolute(), options)
            for batch in _batches(samples):
                yield from self._run(module, batch, arguments)

    def _converted(self, path: Path, options: ImportOptions) -> _Conversion:
        """The converted model; the last one is kept, since to verify a network it is loaded and run."""
        files = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files(path, options)]
        origin = (tuple(files), dataclasses.replace(options, preprocess=None))
        if self._last is None or self._last.origin != origin:
            arguments = self.examine(path.absolute(), options)
            with tempfile.TemporaryDirectory(prefix="tpumlir-") as folder:
                answer = call(self.framework, f"{self.child}:convert", {**arguments, "folder": folder}, Path(folder))
                self._last = _Conversion(origin, answer["file"], (Path(folder) / answer["file"]).read_bytes())
        return self._last

    def _reader(self) -> Frontend:
        try:
            return PluginManager.discover(required=False).get(FRONTEND, self.through)
        except PluginError as error:
            raise PluginError(f"{self.framework.name} models are read by the frontend {self.through}: {error}") from None

    def _run(self, module: Module, samples: Sequence[Mapping[str, Array]], arguments: Mapping[str, Any]) -> Iterator[dict[str, Array]]:
        with tempfile.TemporaryDirectory(prefix="tpumlir-") as name:
            folder = Path(name)
            given = [_write_inputs(folder / f"sample{number}.npz", module, sample) for number, sample in enumerate(samples)]
            wanted = [value.name for operation in module.function.operations for value in operation.results]
            more = {"folder": name, "samples": given, "wanted": wanted}
            answer = call(self.framework, f"{self.child}:run", {**arguments, **more}, folder)
            outputs = [value.name for value in module.function.outputs]
            names = [*outputs[: answer["outputs"]], *answer["tensors"][answer["outputs"] :]]
            absent = [output for output in outputs if output not in names and output not in module.weights]
            if absent:
                raise UnsupportedError(f"{self.framework.name} cannot tell what is in {absent[0]}, where the network was cut")
            for file in answer["files"]:
                with np.load(file, allow_pickle=False) as archive:
                    yield {tensor: _plain(archive[f"t{index}"]) for index, tensor in enumerate(names)}


def _load(reader: Frontend, file: Path, options: ImportOptions) -> Module:
    """Load a converted file, whose place is nothing to tell the user."""
    try:
        return reader.load(file, options)
    except UnsupportedError as error:
        message = str(error).removesuffix(f": {'; '.join(error.items)}").removeprefix(f"{file}: ")
        raise UnsupportedError(message, error.items) from None
    except InputError as error:
        raise InputError(one_line(str(error).removeprefix(f"{file}: "))) from None


def _batches(samples: Iterable[Mapping[str, Array]]) -> Iterator[list[Mapping[str, Array]]]:
    batch: list[Mapping[str, Array]] = []
    size = 0
    for sample in samples:
        batch.append(sample)
        size += sum(np.asarray(array).nbytes for array in sample.values())
        if size > _BATCH_BYTES or len(batch) == _BATCH_SAMPLES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_inputs(path: Path, module: Module, inputs: Mapping[str, Array]) -> str:
    """The inputs of a module in their order, in an .npz. Raises InputError for those that are missing or do not fit."""
    declared = [operation.results[0] for operation in module.function.operations if operation.opcode == "top.Input"]
    missing = [value.name for value in declared if value.name not in inputs]
    if missing:
        raise InputError(f"inputs {', '.join(missing)} are missing; the model takes {', '.join(value.name for value in declared)}")
    arrays = {}
    for index, value in enumerate(declared):
        array = np.asarray(inputs[value.name])
        if array.shape != value.shape:
            raise InputError(f"input {value.name}: shape {list(array.shape)} is given, the model takes {list(value.shape)}")
        arrays[f"i{index}"] = array
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def _plain(array: Array) -> Array:
    return array if array.dtype.kind in "iu" or array.dtype == np.float32 else array.astype(np.float32)
