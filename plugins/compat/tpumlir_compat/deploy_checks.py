"""The checks of ``model_deploy.py``: the lowered network against the Top one, the compiled file against the lowered network."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tpumlir_compat.checking import require, save
from tpumlir_compat.context import Types, external_types, save_context
from tpumlir_compat.deploy_names import Names
from tpumlir_compat.inputs import read_inputs
from tpumlir_compat.random_inputs import random_inputs
from tpumlir_core import api
from tpumlir_core.checks import DEFAULT_INTERPRETER, MODE_TOLERANCES, Verification, interpret, outputs_of
from tpumlir_core.errors import InputError
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array, Module
from tpumlir_core.preprocess import input_specs, is_sample_file
from tpumlir_core.stages import Session
from tpumlir_core.verify import DEFAULT_TOLERANCE

COMPILED_TOLERANCE = (0.99, 0.90)
MIXED_TOLERANCE = (0.98, 0.80)
"""Of the compiled file, without and with a table of modes (tpu-mlir 1.30.2)."""


@dataclass
class Checks:
    """What is to be checked, and what came out so far. Without ``files`` nothing is.

    ``files``: what --test_input names. ``reference``: the tensors that should come out and the file that they are in.
    """

    names: Names
    session: Session
    files: tuple[str, ...]
    reference: tuple[Path, Mapping[str, Array]]
    tolerance: tuple[float, float]
    correctness: tuple[float, float]
    excepts: Collection[str] = ()
    every: bool = False
    fuzzy: bool = False
    inputs: Mapping[str, Array] = field(default_factory=dict)
    computed: Mapping[str, Array] = field(default_factory=dict)
    types: tuple[Types, Types] = ((), ())

    @classmethod
    def of(cls, values: Namespace, module: Module, names: Names, session: Session) -> Checks:
        """Before anything is done to the Top module: it says what should come out, unless --test_reference does."""
        files = tuple(values.test_input)
        if values.gen_test_input and not files:
            save(names.generated, random_inputs(input_specs(module), module, values.gen_test_seed))
            files = (str(names.generated),)
        reference = _reference(values, files, module, names, session) if files and not values.not_gen_bmodel else (Path(), {})
        return cls(
            names, session, files if not values.not_gen_bmodel else (), reference,
            values.tolerance or MODE_TOLERANCES.get(values.quantize, DEFAULT_TOLERANCE),
            values.correctness or (MIXED_TOLERANCE if values.quantize_table else COMPILED_TOLERANCE),
            values.excepts, values.compare_all, values.fazzy_match,
        )

    def feed(self, module: Module) -> None:
        """Read the inputs as the module takes them, which after fusing preprocessing are raw images, and write them."""
        if not self.files:
            return
        specs = input_specs(module)
        Verification(sample=tuple(Path(file) for file in self.files)).check_raw(module)
        self.inputs = read_inputs(self.files, specs)
        save(self.names.inputs(raw=any(spec.raw is not None for spec in specs)), self.inputs)

    def lowered(self, module: Module) -> None:
        """Raises CompareError where the lowered network does not compute what the reference says."""
        if not self.files:
            return
        self.types = external_types(module)
        tensors = interpret(module, self.inputs, DEFAULT_INTERPRETER, self.session)
        self.computed = tensors if self.every else outputs_of(module, tensors)
        save(self.names.lowered_outputs, self.computed)
        require((self.names.lowered_outputs, self.computed), self.reference, self.tolerance, self.excepts, self.fuzzy)

    def compiled(self, path: Path) -> None:
        """Raises CompareError where the compiled file does not compute what the lowered network does."""
        if not self.files:
            return
        outputs = api.run(path, self.inputs, session=self.session)
        save(self.names.model_outputs, outputs)
        save_context(path, self.types, self.inputs, outputs)
        require((self.names.model_outputs, outputs), (self.names.lowered_outputs, self.computed), self.correctness, self.excepts)


def _reference(
    values: Namespace, files: tuple[str, ...], module: Module, names: Names, session: Session
) -> tuple[Path, Mapping[str, Array]]:
    if values.test_reference:
        path = Path(values.test_reference)
        return path, read_npz(path)
    if values.fuse_preprocess and not all(is_sample_file(Path(file)) for file in files):
        raise InputError("--fuse_preprocess: give images with --test_input, or what should come out with --test_reference")
    computed = interpret(module, read_inputs(files, input_specs(module)), DEFAULT_INTERPRETER, session)
    save(names.top_outputs, computed)
    return names.top_outputs, computed
