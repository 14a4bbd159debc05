"""The PyTorch frontend: exported programs and TorchScript become Top modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_core.importing import element_of, fixed_shape, named, one_each
from tpumlir_core.ir import Array, ElementType, Module, Value, top
from tpumlir_core.plugins.extension_points import Example, Frontend, ImportOptions
from tpumlir_torch import inplace
from tpumlir_torch.archive import ZIP_MAGIC
from tpumlir_torch.converters import CONVERTERS
from tpumlir_torch.dtypes import is_float
from tpumlir_torch.importer import Importer
from tpumlir_torch.model import SUFFIXES, open_program
from tpumlir_torch.program import Program, ProgramInput
from tpumlir_torch.tensor import Tensor

_PRIM = ("NumToTensor",)


class TorchFrontend(Frontend):
    """Reads ``.pt2`` (torch.export) and ``.pt`` (TorchScript, traced or scripted). PyTorch itself is needed only to run them."""

    def recognizes(self, path: Path, head: bytes) -> bool:
        """By the suffix, or as a zip archive whose first member lies in a folder, as PyTorch's do."""
        if path.suffix.lower() in SUFFIXES:
            return True
        return head.startswith(ZIP_MAGIC) and any(mark in head for mark in (b"/data.pkl", b"/data/weights/", b"/archive_format"))

    def operators(self) -> Sequence[str]:
        return sorted(operator_names())

    def load(self, path: Path, options: ImportOptions) -> Module:
        with named(path):
            return import_program(open_program(path), options, options.name or path.stem)[0]

    def run(self, path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
        from tpumlir_torch.session import run_source

        with named(path):
            return run_source(path, inputs, options)

    def run_each(self, path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
        from tpumlir_torch.session import run_source_each

        with named(path):
            yield from run_source_each(path, samples, options)

    def examples(self, folder: Path) -> Sequence[Example]:
        from tpumlir_torch.examples import write_exported, write_script

        return [write_exported(folder / "example.pt2"), write_script(folder / "example.pt")]


def operator_names() -> frozenset[str]:
    """What is converted: ATen's operators, and those of other namespaces with theirs."""
    return frozenset(f"{'prim' if name in _PRIM else 'aten'}::{name}" for name in CONVERTERS)


def import_program(program: Program, options: ImportOptions, name: str) -> tuple[Module, Importer]:
    """The Top module of a program, and the importer that knows what each call became."""
    importer = Importer(CONVERTERS, operators=options.operators)
    tensors = _add_inputs(importer, program, options)
    try:
        results = program.run(importer, tensors)
    except InputError:
        importer.check_supported()  # what follows from an operator that is missing is no news
        raise
    if options.output_names:
        importer.unsupported.clear()
        outputs = _by_name(importer, options.output_names)
    else:
        importer.check_supported()
        outputs = _outputs(importer, results)
    return importer.module(name, outputs, "TORCH"), importer


def _add_inputs(importer: Importer, program: Program, options: ImportOptions) -> list[Tensor]:
    one_each(options.input_shapes, len(program.inputs), "shapes")
    one_each(options.input_types, len(program.inputs), "types")
    shapes = _shapes(program, options)
    tensors = []
    for index, (given, shape) in enumerate(zip(program.inputs, shapes, strict=True)):
        importer.work_on("input", given.name)
        dtype = given.dtype
        element = _element(dtype)
        if options.input_types:
            element = element_of(options.input_types[index])
            dtype = dtype if element == _element(dtype) else "float32" if element.is_float else "int64"
        tensors.append(importer.add_input(given.name, shape, dtype, element))
    return tensors


def _element(dtype: str) -> ElementType:
    return ElementType.F32 if is_float(dtype) else ElementType.SI32


def _shapes(program: Program, options: ImportOptions) -> list[tuple[int, ...]]:
    """The shapes of all inputs, which agree with what the program was made for."""
    given = options.input_shapes
    shapes = [fixed_shape(i.name, i.shape, given[at] if given else None) for at, i in enumerate(program.inputs)]
    if program.fixed:
        symbols: dict[str, int] = {}
        for declared, shape in zip(program.inputs, shapes, strict=True):
            _check_fixed(declared, shape, symbols)
    return shapes


def _check_fixed(declared: ProgramInput, shape: Sequence[int], symbols: dict[str, int]) -> None:
    for axis, (wanted, extent, symbol) in enumerate(zip(declared.shape or (), shape, declared.symbols, strict=True)):
        if wanted is not None and wanted != extent:
            raise InputError(
                f"input {declared.name}: axis {axis} is {extent}, but the program was exported for {wanted} alone; "
                "export it with dynamic_shapes or for this shape"
            )
        if wanted is None and symbols.setdefault(symbol, extent) != extent:
            raise InputError(f"input {declared.name}: axis {axis} is {extent}, but an equal extent of another input is {symbols[symbol]}")


def _outputs(importer: Importer, results: Sequence[tuple[str, object]]) -> list[Value]:
    """The values of all outputs, no two the same."""
    values: list[Value] = []
    for _, tensor in results:
        if not isinstance(tensor, Tensor):
            if tensor is None:
                continue
            raise InputError("an output of the model is no tensor")
        importer.work_on("the model's output", tensor.value.name)
        inplace.refresh(importer, tensor)
        value = tensor.value
        if value in values:
            value = importer.add(f"{value.name}_again", top.Reshape, [value], shape=value.shape)
        values.append(value)
    return values


def _by_name(importer: Importer, names: Sequence[str]) -> list[Value]:
    known = {value.name: value for operation in importer.function.operations for value in operation.results}
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(f"output names {', '.join(missing)} are no tensors of this model, or come after an operator that is not supported")
    return [known[name] for name in names]

