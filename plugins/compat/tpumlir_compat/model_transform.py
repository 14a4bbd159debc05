"""``model_transform.py``: a network of a framework as MLIR text and weights, checked against the framework."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tpumlir_compat import images
from tpumlir_compat.entry import run
from tpumlir_compat.flags import Command, Flag, acts, nothing, refused, switch
from tpumlir_compat.values import shapes, tolerance, truth, words
from tpumlir_core.errors import InputError

if TYPE_CHECKING:
    from tpumlir_core.ir import Array, Module
    from tpumlir_core.plugins.extension_points import ImportOptions
    from tpumlir_core.stages import Session

_STATIC = "networks are compiled for fixed shapes; give them with --input_shapes"
_OWN_PASSES = "networks are optimized by passes of their own, in the same way always"
_MASKRCNN = "there is no converter for the parts of a Mask R-CNN; transform each part by itself"
_COUNTS = "it is for the reference's own tests: the passes here are others"

FLAGS: tuple[Flag, ...] = (
    acts("--model_name", "name of the network, which the files begin with", required=True),
    acts("--model_def", "file of the network: what an installed frontend reads, or a Top .mlir", required=True),
    refused("--model_extern", _MASKRCNN),
    acts("--model_data", "file with the weights, where the format has one (.caffemodel)"),
    acts("--input_shapes", "one shape per input: `[[1,3,224,224],[10]]`", read=shapes, default=()),
    acts("--input_types", "one element type per input: `float32,int32`", read=words, default=()),
    acts("--output_names", "cut the network at these tensors", read=words, default=()),
    acts("--test_input", "inputs to check the result with: .npz, or an image or .npy for each input, separated by commas",
         read=words, default=()),
    acts("--test_result", "the .npz for all tensors of the result on these inputs", default=""),
    nothing("--cache_skip", "nothing is kept from run to run, each is checked", switch=True),
    acts("--tolerance", "least cosine and euclidean similarity with what the framework computes", read=tolerance, default=(0.99, 0.99)),
    acts("--excepts", "tensors that are not compared", read=words, default=()),
    refused("--add_postprocess", "there are no layers on the host; compute it from the outputs", read=str.lower, default=""),
    refused("--pruning", "there is no pruning by a configuration file; prune the network in its framework", default=""),
    nothing("--onnx_sim", _OWN_PASSES, choices=("", "skip_fuse_bn"), default=""),
    nothing("--do_onnx_sim", _OWN_PASSES, read=bool, default=True),
    switch("--debug", "keep what the framework computes too, in NAME_ref_outputs.npz"),
    acts("--mlir", "the .mlir to write; its weights come beside it", required=True),
    refused("--patterns_count", _COUNTS),
    refused("--dynamic_shape_input_names", _STATIC, read=words, default=()),
    refused("--shape_influencing_input_names", "an input cannot decide shapes; " + _STATIC, read=words, default=()),
    refused("--dynamic", _STATIC, switch=True),
    refused("--path_yaml", _MASKRCNN),
    switch("--not_inference", "do not check, even with --test_input"),
    refused("--op_custom_shape", "shapes are inferred; " + _STATIC),
    refused("--enable_maskrcnn", _MASKRCNN, switch=True),
    refused("--replace_topk_indices", "TopK computes its own indices", read=truth, default=False),
    refused("--yuv_type", "chroma is subsampled, and its conversion differs from camera to camera; give RGB or BGR images",
            read=str.upper, default=""),
    refused("--use_rewriter_config", "there is no configuration of rewriting; write a pass, see docs/plugins/hooks.md", switch=True),
    refused("--struct_optimize", "there are no presets; write a pass, see docs/plugins/hooks.md", read=int, default=0),
    nothing("--log_level", "there is one level", read=int, choices=(0, 1), default=0),
    *images.FLAGS,
)
COMMAND = Command("model_transform.py", "A network of a framework as MLIR text and weights.", FLAGS)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    run(COMMAND, act, arguments)


def act(values: Namespace) -> int:
    """Transform, write, check. Raises CompareError where the result is not what the framework computes; the files stay."""
    from tpumlir_compat.sessions import open_session
    from tpumlir_core import api
    from tpumlir_core.files import check_output

    output = Path(values.mlir)
    if output.suffix != ".mlir":
        raise InputError(f"--mlir {values.mlir}: the name has to end with .mlir")
    if Path(values.model_name).name != values.model_name:
        raise InputError(f"--model_name {values.model_name}: files cannot be named after it")
    checked = bool(values.test_input) and not values.not_inference
    if checked and not values.test_result:
        raise InputError("--test_input: name the file for the result with --test_result")
    for path in (output, *([Path(values.test_result)] if checked else [])):
        check_output(path)
    session = open_session()
    options = _options(values)
    module = _module(values, options, session)
    api.save_module(module, output, _weights(module))
    print(f"Mlir file generated:{output}")
    if checked:
        _check(values, module, options, session)
    return 0


def _weights(module: Module) -> str:
    """What the reference calls the file of the weights: after the network, not after the .mlir."""
    return f"{module.name}_{str(module.attributes.get('module.state', 'TOP_F32')).lower()}_all_weight.npz"


def _options(values: Namespace) -> ImportOptions:
    from tpumlir_core.plugins.extension_points import ImportOptions

    return ImportOptions(
        input_shapes=values.input_shapes,
        input_types=values.input_types,
        output_names=values.output_names,
        model_data=Path(values.model_data) if values.model_data else None,
        name=values.model_name,
    )


def _module(values: Namespace, options: ImportOptions, session: Session) -> Module:
    from tpumlir_core import api
    from tpumlir_core.passes import run_pipeline

    model = Path(values.model_def)
    if model.suffix != api.TEXT_SUFFIX:
        module = api.transform(model, options=options, session=session)
        module.name = values.model_name
        images.record(module, values)
        return module
    module = api.open_module(model, session=session)
    if module.name != values.model_name:
        raise InputError(f"{model}: the network is called {module.name}; --model_name has to say so")
    run_pipeline("optimize", module, registry=session.passes)
    return module


def _check(values: Namespace, module: Module, options: ImportOptions, session: Session) -> None:
    """What the result computes on the inputs, beside what its source does; without the framework, by itself, with a warning."""
    from tpumlir_compat.checking import require, save
    from tpumlir_compat.inputs import read_inputs
    from tpumlir_core.checks import DEFAULT_INTERPRETER, interpret
    from tpumlir_core.preprocess import input_specs

    inputs = read_inputs(values.test_input, input_specs(module))
    save(Path(f"{values.model_name}_in_f32.npz"), inputs)
    expected = _source(Path(values.model_def), inputs, options, session)
    reference, result = Path(f"{values.model_name}_ref_outputs.npz"), Path(values.test_result)
    if values.debug and expected is not None:
        save(reference, expected)
    weights = {operation.name for operation in module.function.operations if operation.opcode == "top.Weight"}
    computed = interpret(module, inputs, DEFAULT_INTERPRETER, session)
    computed = {name: array for name, array in computed.items() if name not in weights}
    save(result, computed)
    if expected is not None:
        require((result, computed), (reference, expected), values.tolerance, values.excepts)


def _source(model: Path, inputs: Mapping[str, Array], options: ImportOptions, session: Session) -> dict[str, Array] | None:
    """Every tensor that the framework, or for .mlir the interpreter, computes; None, with a warning, where there is no framework."""
    from tpumlir_core import api
    from tpumlir_core.errors import AbsentFrameworkError

    try:
        return api.run(model, inputs, options=options, dump_all=True, session=session)
    except AbsentFrameworkError as error:
        print(f"{COMMAND.name}: warning: the result is not compared: {error}", file=sys.stderr)
        return None
