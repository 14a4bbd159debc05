"""Runs the source model itself in onnxruntime, every intermediate tensor kept, under the names of the Top module."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError, PluginError, UnsupportedError
from tpumlir_core.ir import Array
from tpumlir_core.ir.operator import Operator
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_onnx.frontend import begun_at, cast_inputs, import_graph, known_operators, tensor_names
from tpumlir_onnx.graph import Graph, Node, used_names
from tpumlir_onnx.importer import Importer
from tpumlir_onnx.model import read_model

_LARGEST_MODEL = (1 << 31) - (1 << 20)
"""Bytes that a protobuf message can have, with some room (its limit is 2 GiB)."""

_IR_VERSION = 10
"""Newer file versions change nothing that is used here, but an older onnxruntime refuses them."""


def run_source(path: Path, inputs: Mapping[str, Array], options: ImportOptions) -> dict[str, Array]:
    """Name in the Top module -> array, as onnxruntime computes it; floats and booleans as float32."""
    proto, graph, options = _read(path, options)
    module, importer = import_graph(graph, options, "network")
    feeds = cast_inputs(graph, importer, inputs)
    produced = {output for node in graph.nodes for output in node.outputs if output}
    names = {onnx_name: value.name for onnx_name, value in importer.values.items() if onnx_name in produced}
    if importer.custom:
        results = _run_with_custom(_with_outputs(proto, graph, {}, options), graph, importer, feeds)
    else:
        results = run_onnx(_with_outputs(proto, graph, names, options), feeds, list(names))
    tensors = {names[name]: _plain(results[name]) for name in names}
    for value in module.function.outputs:
        if value.name in inputs:
            tensors[value.name] = _plain(np.asarray(inputs[value.name]))
        elif value.name in module.weights:
            tensors[value.name] = module.weights[value.name]
    return tensors


def run_source_each(path: Path, samples: Iterable[Mapping[str, Array]], options: ImportOptions) -> Iterator[dict[str, Array]]:
    """The outputs in the Top module, by name, for each sample; the model is read once, and optimized by onnxruntime."""
    proto, graph, options = _read(path, options)
    module, importer = import_graph(graph, options, "network")
    outputs = {value.name for value in module.function.outputs}
    names = {onnx_name: value.name for onnx_name, value in importer.values.items() if value.name in outputs}
    produced = {output for node in graph.nodes for output in node.outputs}
    if importer.custom or not set(names) <= produced:
        yield from (run_source(path, inputs, options) for inputs in samples)
        return
    session = OnnxSession(_with_outputs(proto, graph, names, options), optimize=True)
    for inputs in samples:
        arrays = session.run(cast_inputs(graph, importer, inputs), list(names))
        yield {names[name]: _plain(array) for name, array in zip(names, arrays, strict=True)}


def _read(path: Path, options: ImportOptions) -> tuple[Any, Graph, ImportOptions]:
    """The protobuf of a model and its graph, both begun where the options say, and the options that are left."""
    proto, graph = read_model(path, known_operators())
    if not options.input_names:
        return proto, graph, options
    graph = begun_at(graph, options.input_names, tensor_names(graph, options.output_names) or graph.outputs)
    return _begun_at(proto, graph), graph, replace(options, input_names=())


def _begun_at(proto: Any, graph: Graph) -> Any:
    """The model with the inputs and the nodes of ``graph`` only."""
    from onnx import ModelProto, helper

    model = ModelProto()
    model.CopyFrom(proto)
    kept = {node.outputs for node in graph.nodes}
    nodes = [node for node in proto.graph.node if tuple(node.output) in kept]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(nodes)
    types = {given.name: helper.np_dtype_to_tensor_dtype(given.dtype) for given in graph.inputs}
    model.graph.input.extend(helper.make_tensor_value_info(i.name, types[i.name], i.shape and list(i.shape)) for i in graph.inputs)
    return model


def _run_with_custom(model: Any, graph: Graph, importer: Importer, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Every imported tensor by its ONNX name: custom operators by their reference, the nodes between them in onnxruntime."""
    segments = _Segments(model, {*importer.values, *importer.constants})
    tensors = {**graph.initializers, **feeds}
    pending: list[Node] = []
    for node in (node for node in graph.nodes if segments.known.intersection(node.outputs)):
        operation = importer.custom.get(node.outputs) if node.domain else None
        if operation is None:
            pending.append(node)
            continue
        tensors |= segments.run(pending, tensors)
        pending = []
        arrays = _run_operation(operation, [tensors[name] if name else None for name in node.inputs])
        tensors |= {name: array for name, array in zip(node.outputs, arrays, strict=False) if name}
    return tensors | segments.run(pending, tensors)


def _run_operation(operation: Operator, inputs: Sequence[Array | None]) -> list[Array]:
    """The results of a node by the operator's reference; floats in the type of the first float among ``inputs``, integers as int64."""
    typed = [
        None if value is None or array is None else array.astype(value.type.element.numpy)
        for value, array in zip(operation.operands, inputs, strict=True)
    ]
    real = next((array.dtype for array in inputs if array is not None and array.dtype.kind == "f"), np.dtype(np.float32))
    return [array.astype(real if array.dtype.kind == "f" else np.int64) for array in operation.evaluate(typed)]


class _Segments:
    """Parts of a model, to be run one at a time; the results that are kept are those ``known``."""

    def __init__(self, model: Any, known: Collection[str]) -> None:
        self.known = frozenset(known)
        self._model = model
        self._nodes = {tuple(node.output): node for node in model.graph.node}
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}

    def run(self, nodes: Sequence[Node], tensors: Mapping[str, Array]) -> dict[str, Array]:
        """The results of some nodes; what they need besides the model's initializers is in ``tensors``."""
        from onnx import ModelProto, ValueInfoProto, helper

        made = {name for node in nodes for name in node.outputs}
        used = dict.fromkeys(name for node in nodes for name in used_names(node) if name not in made)
        fed = [name for name in used if name not in self._initializers]
        outputs = [name for node in nodes for name in node.outputs if name in self.known]
        part = ModelProto(ir_version=self._model.ir_version, opset_import=self._model.opset_import)
        part.graph.name = "segment"
        part.graph.node.extend(self._nodes[node.outputs] for node in nodes)
        part.graph.initializer.extend(self._initializers[name] for name in used if name in self._initializers)
        types = {name: helper.np_dtype_to_tensor_dtype(tensors[name].dtype) for name in fed}
        part.graph.input.extend(helper.make_tensor_value_info(name, types[name], tensors[name].shape) for name in fed)
        part.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
        return run_onnx(part, {name: tensors[name] for name in fed}, outputs)


def _plain(array: Array) -> Array:
    return array if array.dtype.kind in "iu" or array.dtype == np.float32 else array.astype(np.float32)


def _with_outputs(proto: Any, graph: Any, names: Mapping[str, str], options: ImportOptions) -> Any:
    """The model with the fixed input shapes, every tensor in ``names`` an output, external data taken in."""
    import onnx
    from onnx import numpy_helper

    model = onnx.ModelProto()
    model.CopyFrom(proto)
    model.ir_version = min(model.ir_version, _IR_VERSION)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            array = graph.initializers[tensor.name]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))
    if options.input_shapes:
        shapes = dict(zip((i.name for i in graph.inputs), options.input_shapes, strict=True))
        for value in model.graph.input:
            if value.name in shapes:
                shape = value.type.tensor_type.shape
                del shape.dim[:]
                shape.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=d) for d in shapes[value.name])
    del model.graph.value_info[:]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return model


def run_onnx(model: Any, feeds: Mapping[str, Array], outputs: list[str]) -> dict[str, Array]:
    """Run a ModelProto once. Raises InputError with onnxruntime's own words where it refuses the model."""
    return dict(zip(outputs, OnnxSession(model).run(feeds, outputs), strict=True)) if outputs else {}


class OnnxSession:
    """A ModelProto in onnxruntime on the CPU, node by node, or (``optimize``) fused and rearranged for many runs.

    Raises InputError with onnxruntime's own words where it refuses the model.
    """

    def __init__(self, model: Any, optimize: bool = False) -> None:
        if model.ByteSize() > _LARGEST_MODEL:
            raise UnsupportedError("models of 2 GiB and more cannot be handed to onnxruntime in memory")
        try:
            import onnxruntime
        except ImportError:
            raise PluginError("onnxruntime is not installed; run: pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait leave the processor to others
        with _refusals():
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The outputs asked for, in that order."""
        with _refusals():
            return list(self._session.run(list(outputs), dict(feeds)))


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the classes of onnxruntime share no base but this
        raise InputError(f"onnxruntime refuses the model: {(str(error).strip() or type(error).__name__).splitlines()[0][:300]}") from None
