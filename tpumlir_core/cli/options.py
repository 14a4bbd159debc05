"""Option values that several commands take, and how they are read from text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.checks import Verification
    from tpumlir_core.ir import Array
    from tpumlir_core.plugins import PluginManager
    from tpumlir_core.plugins.extension_points import ImportOptions
    from tpumlir_core.preprocess import Sample
    from tpumlir_core.stages import Session

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)
PLUGIN_FILES_VARIABLE = "TPUMLIR_PLUGIN_FILES"
"""Plugin files for every run, separated as in PATH."""


Shape = tuple[int, ...]


def read_shapes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[Shape, ...]:
    """``[[1,3,224,224],[1,10]]``: one shape per input; ``[1,3,224,224]`` is taken as the shape of the only one."""
    if not value:
        return ()
    try:
        shapes = ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        shapes = None
    if _is_shape(shapes):
        shapes = [shapes]
    if not isinstance(shapes, list | tuple) or not all(_is_shape(shape) for shape in shapes):
        raise click.BadParameter(f"{value!r} is not a list of shapes of positive numbers, as in [[1,3,224,224]]", ctx, param)
    return tuple(tuple(shape) for shape in shapes)


def _is_shape(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(type(size) is int and size > 0 for size in value)


def read_words(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """``a,b,c``."""
    words = tuple(word.strip() for word in value.split(",")) if value else ()
    if not all(words):
        raise click.BadParameter(f"{value!r} has an empty name; separate names with one comma", ctx, param)
    return words


def read_positions(ctx: click.Context, param: click.Parameter, value: str) -> frozenset[int]:
    """``1,3``: the first and the third. From 1, as the reference counts here (tpu-mlir 1.30.2)."""
    words = [word.strip() for word in value.split(",")] if value else []
    if not all(re.fullmatch("[1-9][0-9]{0,5}", word) for word in words):
        raise click.BadParameter(f"{value!r} is not a list of positions from 1, as in 1,3", ctx, param)
    return frozenset(int(word) - 1 for word in words)


def read_tolerance(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, float] | None:
    """``COS,EUCLID``; nothing where nothing is said."""
    if not value:
        return None
    try:
        cosine, euclid = (float(word) for word in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not two numbers, as in 0.99,0.99", ctx, param) from None
    if not (-1 <= cosine <= 1 and euclid <= 1):
        raise click.BadParameter(f"{value!r}: similarities are at most 1, where 1 is equal", ctx, param)
    return cosine, euclid


def text_option(flag: str, read: Callable[..., Any], metavar: str, help: str, default: str = "") -> Callable[[Decorated], Decorated]:
    """An option whose text is read by ``read``, a callback of click."""
    return click.option(flag, callback=read, metavar=metavar, help=help, default=default, show_default=bool(default))


def import_options(command: Decorated) -> Decorated:
    """The options of what reads a source model; with ``preprocess_options`` they are what ``take_import_options`` reads."""
    for option in reversed(
        (
            click.option("--name", "model_name", default="", help="Name of the network; default: the file's."),
            text_option("--input-shapes", read_shapes, "SHAPES", "One shape per input: '[[1,3,224,224]]'."),
            text_option("--input-types", read_words, "NAMES", "One element type per input: float32,int32."),
            text_option("--output-names", read_words, "NAMES", "Cut the network at these tensors: a,b."),
            text_option("--input-names", read_words, "NAMES", "Begin the network at these tensors, in place of its inputs."),
            click.option("--model-data", type=FILE, help="File with the weights, where the format has two."),
        )
    ):
        command = option(command)
    return command


def frontend_option(command: Decorated) -> Decorated:
    """``--frontend NAME``."""
    text = "Read a source model with this frontend instead of the one that recognizes it."
    return click.option("--frontend", default="", metavar="NAME", help=text)(command)


def print_after_option(command: Decorated) -> Decorated:
    """``--print-after``, which ``check_passes`` checks."""
    text = "Print the network to stderr after these passes; all: after each."
    return text_option("--print-after", read_words, "PASSES", text)(command)


def verification_options(command: Decorated) -> Decorated:
    """``--test-input`` and ``--tolerance``, which ``take_verification`` reads."""
    text = "Least cosine and euclidean similarity that passes. [default: 0.99,0.99; F16 and BF16 0.99,0.90; INT8 0.90,0.80]"
    command = text_option("--tolerance", read_tolerance, "COS,EUCLID", text)(command)
    text = "Inputs in an .npz, or an image or .npy for each input: compare every stage with the one before."
    return click.option("--test-input", type=FILE, metavar="FILES", help=text)(command)


def tolerance_option(command: Decorated) -> Decorated:
    """``--tolerance COS,EUCLID``."""
    text = "Least cosine and euclidean similarity that passes."
    return text_option("--tolerance", read_tolerance, "COS,EUCLID", text, "0.99,0.99")(command)


def plugin_option(command: Decorated) -> Decorated:
    """``--plugin FILE``, given to the command as ``plugin_files``."""
    text = f"Use the plugins in this file, for this run; repeatable. Default: the files in {PLUGIN_FILES_VARIABLE}."
    return click.option(
        "--plugin", "plugin_files", type=FILE, multiple=True, envvar=PLUGIN_FILES_VARIABLE, metavar="FILE.py", help=text
    )(command)


def plugins_with(files: Sequence[Path]) -> PluginManager:
    """The installed plugins and those in ``files``. Raises PluginError for a file that cannot be imported."""
    from tpumlir_core.plugins import PluginManager

    plugins = PluginManager.discover()
    for file in files:
        plugins.add_file(file)
    return plugins


def json_option(command: Decorated) -> Decorated:
    """``--json``, given to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def take_import_options(values: dict[str, Any]) -> ImportOptions:
    """Take the values of ``import_options`` and ``preprocess_options`` out of a command's arguments."""
    from tpumlir_core.cli.preprocess_options import take_preprocess
    from tpumlir_core.plugins.extension_points import ImportOptions

    return ImportOptions(
        input_shapes=values.pop("input_shapes"),
        input_types=values.pop("input_types"),
        output_names=values.pop("output_names"),
        input_names=values.pop("input_names"),
        model_data=values.pop("model_data"),
        name=values.pop("model_name"),
        **take_preprocess(values),
    )


def check_passes(names: tuple[str, ...], run: Session) -> None:
    """Raises InputError when a name of ``--print-after`` is no pass."""
    if not names:
        return
    known = run.passes.passes()
    unknown = [name for name in names if name not in (*known, "all")]
    if unknown:
        raise InputError(f"--print-after {unknown[0]}: no such pass; there is {', '.join(known)}, or all")


def take_verification(values: dict[str, Any]) -> Verification | None:
    """Take the values of ``verification_options`` out of a command's arguments and read the inputs, but for images and .npy."""
    from tpumlir_core.checks import Verification

    path, tolerance = values.pop("test_input"), values.pop("tolerance")
    if path is None:
        return None
    given = read_inputs(path)
    return Verification(given, tolerance) if isinstance(given, dict) else Verification(tolerance=tolerance, sample=given)


def read_inputs(value: Path) -> dict[str, Array] | Sample:
    """The arrays of an .npz by name, or the files that an option names: an image or .npy for each input, separated by commas."""
    from tpumlir_core.files import read_npz
    from tpumlir_core.preprocess import is_sample_file

    files = (value,) if value.exists() else tuple(Path(word.strip()) for word in str(value).split(","))
    return files if len(files) > 1 or is_sample_file(value) else read_npz(value)
