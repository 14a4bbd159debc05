"""``model_runner.py``: what a network of any stage computes on given inputs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tpumlir_compat.entry import run
from tpumlir_compat.flags import Command, Flag, acts, nothing, refused, switch

if TYPE_CHECKING:
    from tpumlir_core.ir import Array
    from tpumlir_core.plugins.extension_points import ImportOptions
    from tpumlir_core.preprocess import InputSpec
    from tpumlir_core.stages import Session

_HOST = "the emulator runs on this machine only; copy the file, and run it there with `tpumlir run`"

FLAGS: tuple[Flag, ...] = (
    acts("--input", "the .npz with the inputs", required=True),
    acts("--model", "a source model, a .mlir at any stage, or a compiled file", required=True),
    acts("--weight", "file with the weights of a source model, where the format has one (.caffemodel)", default=""),
    acts("--output", "the .npz to write", default="_output.npz"),
    switch("--dump_all_tensors", "write every tensor that can be had, not only the outputs"),
    nothing("--debug", "there is nothing to configure", nargs="?"),
    refused("--out_fixed", "outputs are the real numbers that stored ones stand for", switch=True),
    refused("--cuda", "networks run on the processor", switch=True),
    refused("--decrypt_lib", "encrypted files are not read", default=""),
    refused("--ip", _HOST, default=""),
    refused("--pwd", _HOST, default=""),
)
COMMAND = Command("model_runner.py", "What a network of any stage computes on given inputs.", FLAGS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run(COMMAND, act, arguments)


def act(values: Namespace) -> int:
    """Run the model and write what comes out."""
    from tpumlir_compat.sessions import open_session
    from tpumlir_core import api
    from tpumlir_core.files import check_output, read_npz, write_npz
    from tpumlir_core.plugins.extension_points import ImportOptions

    output, model = Path(values.output), Path(values.model)
    check_output(output)
    session = open_session()
    given = read_npz(Path(values.input))
    shapes = tuple(array.shape for array in given.values()) if len(given) == 1 else ()
    options = ImportOptions(input_shapes=shapes, model_data=Path(values.weight) if values.weight else None)
    arrays = _fed(Path(values.input), given, model, options, session)
    write_npz(output, api.run(model, arrays, options=options, dump_all=values.dump_all_tensors, session=session))
    print(f"Result saved to:{output}")
    return 0


def _fed(path: Path, arrays: Mapping[str, Array], model: Path, options: ImportOptions, session: Session) -> Mapping[str, Array]:
    """The inputs by name; where there is one array only, it is for the only input, whatever it is called."""
    from tpumlir_compat.inputs import named

    if len(arrays) != 1:
        return arrays
    specs = _specs(model, options, session)
    return arrays if arrays.keys() == {spec.name for spec in specs} else named(path, arrays, specs)


def _specs(model: Path, options: ImportOptions, session: Session) -> list[InputSpec]:
    from tpumlir_core import api
    from tpumlir_core.bmodel import is_bmodel
    from tpumlir_core.files import read_head
    from tpumlir_core.preprocess import compiled_specs, input_specs

    if model.suffix == api.TEXT_SUFFIX:
        return input_specs(api.open_module(model, session=session))
    if is_bmodel(read_head(model)):
        return compiled_specs(model)
    return input_specs(api.transform(model, options=options, session=session))
