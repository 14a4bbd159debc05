"""Networks at every stage, as what gives outputs for many samples: a source model, .mlir, or a compiled file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.checks import choose_interpreter, executor_of
from tpumlir_core.files import read_head
from tpumlir_core.host import run_compiled
from tpumlir_core.interpreter import matched_inputs
from tpumlir_core.ir import Array, Module
from tpumlir_core.ir.storage import to_real
from tpumlir_core.ir.text import read_module
from tpumlir_core.ir.top import Input
from tpumlir_core.plugins import EXECUTOR, FRONTEND, INTERPRETER, RUNNER
from tpumlir_core.plugins.choice import recognize, require, source_frontend
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.preprocess import InputSpec, Preprocess, compiled_specs, input_specs, record_preprocess, recorded_preprocess
from tpumlir_core.stages import Session

Samples = Iterable[Mapping[str, Array]]
Tensors = Iterator[dict[str, Array]]


@dataclass(frozen=True)
class Network:
    """What a network takes, and a function from samples, read one at a time, to what it gives for each.

    ``outputs``: names in order, () where the file does not tell.
    """

    inputs: Sequence[InputSpec]
    run_each: Callable[[Samples], Tensors]
    outputs: Sequence[str] = ()


def open_networks(files: Sequence[Path], options: ImportOptions, runner: str, session: Session) -> list[Network]:
    """The networks in files. Images become inputs as ``options`` says, else as the file records; for files that do not tell, as the
    first .mlir that does, else as the defaults."""
    modules = {path: _read(path, options, session) for path in files if path.suffix == ".mlir"}
    known = (found for module in modules.values() if (found := recorded(module)) is not None)
    preprocess = options.preprocess or next(known, Preprocess())
    return [_open(path, modules.get(path), preprocess, options, runner, session) for path in files]


def _read(path: Path, options: ImportOptions, session: Session) -> Module:
    read_head(path)
    module = read_module(path, session.operators)
    if options.preprocess is not None:
        record_preprocess(module, options.preprocess, options.preprocess_inputs)
    return module


def _open(
    path: Path, module: Module | None, preprocess: Preprocess, options: ImportOptions, runner: str, session: Session
) -> Network:
    if module is None:
        return open_compiled_network(path, runner, options, preprocess, session) or open_source_network(path, options, preprocess, session)
    if recorded(module) is None:
        record_preprocess(module, preprocess)
    return open_module_network(module, session)


def open_module_network(module: Module, session: Session, names: Sequence[str] = ()) -> Network:
    """A module: by the executor of its chip where it stores other than F32 and there is one, else by an interpreter.

    It gives the tensors called ``names`` in real numbers, the network's outputs where none are named.
    """
    outputs = [value.name for value in module.function.outputs]
    wanted = list(names) or outputs
    types = {value.name: value.type for operation in module.function.operations for value in operation.results}
    chip = executor_of(module, session.plugins)
    kind, name = (EXECUTOR, chip) if chip else (INTERPRETER, choose_interpreter(session.plugins))

    def run_each(samples: Samples) -> Tensors:
        fed = (matched_inputs(module, sample) for sample in samples)
        plugin = session.plugins.get(EXECUTOR, chip) if chip else session.plugins.get(INTERPRETER, name)
        results = plugin.run_each(module, fed)
        while True:
            with session.plugins.calling(kind, name, "run_each"):
                tensors = next(results, None)
            if tensors is None:
                return
            yield {name: to_real(tensors[name], types[name]) if chip else tensors[name] for name in wanted}

    return Network(input_specs(module), run_each, outputs)


def open_compiled_network(
    path: Path, runner: str, options: ImportOptions, preprocess: Preprocess, session: Session
) -> Network | None:
    """A compiled file, by the runner of that name, or by the one that knows it; None where none does."""
    known = require(RUNNER, runner, path, session.plugins) if runner else recognize(RUNNER, path, session.plugins)
    if known is None:
        return None
    name, device = known

    def run_each(samples: Samples) -> Tensors:
        for sample in samples:
            with session.plugins.calling(RUNNER, name, "run"):
                found = run_compiled(path, device, sample, session.operators)
            yield found

    return Network(compiled_specs(path, options.preprocess, preprocess), run_each)


def open_source_network(path: Path, options: ImportOptions, preprocess: Preprocess, session: Session) -> Network:
    """A source model, by its own framework."""
    name, reader = source_frontend("", path, options, session.plugins, RUNNER)
    options = dataclasses.replace(options, operators=session.operators)
    with session.plugins.calling(FRONTEND, name, "load"):
        module = reader.load(path, options)
    outputs = [value.name for value in module.function.outputs]

    def run_each(samples: Samples) -> Tensors:
        results = reader.run_each(path, samples, options)
        while True:
            with session.plugins.calling(FRONTEND, name, "run_each"):
                tensors = next(results, None)
            if tensors is None:
                return
            yield {output: tensors[output] for output in outputs}

    return Network(input_specs(module, preprocess), run_each, outputs)


def recorded(module: Module) -> Preprocess | None:
    """The preprocessing that the first input of a module records, None where it does not."""
    inputs = (operation for operation in module.function.operations if isinstance(operation, Input))
    return next((recorded_preprocess(operation) for operation in inputs if operation.do_preprocess), None)
