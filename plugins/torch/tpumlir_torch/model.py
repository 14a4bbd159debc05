"""Opens a model file of either format, and says what to do about files that are none."""

from __future__ import annotations

from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_torch.archive import ZIP_MAGIC, Archive, open_archive
from tpumlir_torch.exported import is_exported
from tpumlir_torch.exported_graph import ExportedProgram
from tpumlir_torch.program import Program
from tpumlir_torch.script import ScriptProgram
from tpumlir_torch.script_file import is_script

SUFFIXES = (".pt2", ".pt", ".pth")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_EXPORT = "export the model: torch.export.save(torch.export.export(model.eval(), example_inputs), 'model.pt2')"


def open_program(path: Path) -> Program:
    """The program in a file.

    Raises InputError for weights without a program, pickled modules and damaged files, UnsupportedError for what it has beyond the
    formats that are read.
    """
    try:
        head = path.open("rb").read(4)
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror}") from None
    if head != ZIP_MAGIC:
        what = "a pickle, which is never executed" if head.startswith(_PICKLE_STARTS) else "neither a .pt2 nor a TorchScript archive"
        raise InputError(f"{what}; {_EXPORT}")
    archive = open_archive(path)
    try:
        return program_of(archive)
    except RecursionError:
        raise InputError("its parts lie too deep in each other; save the model again") from None


def program_of(archive: Archive) -> Program:
    """The program of an archive."""
    if is_exported(archive):
        return ExportedProgram(archive)
    if is_script(archive):
        return ScriptProgram(archive)
    if "data.pkl" in archive:
        raise InputError(f"weights or a pickled module, without a program and never executed; {_EXPORT}")
    raise InputError(f"a zip archive, but not one of PyTorch's; {_EXPORT}")
