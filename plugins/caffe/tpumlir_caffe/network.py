"""A Caffe network as it is deployed: its inputs, and its layers of the TEST phase, V1 and V2 alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tpumlir_caffe.prototxt import UnknownField, parse_prototxt
from tpumlir_caffe.schema import message_class
from tpumlir_caffe.weights import blobs_of_text, read_caffemodel
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array

V1_TYPES: Mapping[str, str] = {
    "ABSVAL": "AbsVal", "ACCURACY": "Accuracy", "ARGMAX": "ArgMax", "BNLL": "BNLL", "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss", "CONVOLUTION": "Convolution", "DATA": "Data", "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout", "DUMMY_DATA": "DummyData", "ELTWISE": "Eltwise", "EUCLIDEAN_LOSS": "EuclideanLoss", "EXP": "Exp",
    "FLATTEN": "Flatten", "HDF5_DATA": "HDF5Data", "HDF5_OUTPUT": "HDF5Output", "HINGE_LOSS": "HingeLoss", "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData", "INFOGAIN_LOSS": "InfogainLoss", "INNER_PRODUCT": "InnerProduct", "LRN": "LRN",
    "MEMORY_DATA": "MemoryData", "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss", "MVN": "MVN", "NONE": "NONE",
    "POOLING": "Pooling", "POWER": "Power", "RELU": "ReLU", "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss", "SILENCE": "Silence", "SLICE": "Slice", "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss", "SPLIT": "Split", "TANH": "TanH", "THRESHOLD": "Threshold", "WINDOW_DATA": "WindowData",
}
"""Layer types of V1 files -> those of V2 (upgrade_proto.cpp of Caffe)."""
SOURCES = frozenset(
    ("AnnotatedData", "Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "VideoData", "WindowData")
)
"""Layers whose results are inputs of the network here, wherever Caffe takes them from."""
DROPPED = frozenset(
    ("Accuracy", "ContrastiveLoss", "DetectionEvaluate", "EuclideanLoss", "HDF5Output", "HingeLoss", "InfogainLoss", "MultiBoxLoss",
     "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss", "Silence", "SmoothL1Loss", "SoftmaxWithLoss")
)
"""Layers that a deployed network does without: losses, measures, and what writes or swallows blobs."""
_TEST = 1
_LEGACY_RANK = 4


@dataclass(frozen=True)
class Layer:
    """One layer: ``message`` is its LayerParameter or V1LayerParameter."""

    name: str
    type: str
    bottoms: Sequence[str]
    tops: Sequence[str]
    message: Any
    blobs: Sequence[Array] = ()

    def parameters(self, name: str) -> Any:
        """One of its parameter messages, as convolution_param, with the defaults where it is absent."""
        field = self.message.DESCRIPTOR.fields_by_name.get(name)
        if field is not None:
            return getattr(self.message, name)
        modern = message_class("LayerParameter").DESCRIPTOR.fields_by_name[name]
        return message_class(modern.message_type.name)()


@dataclass(frozen=True)
class SourceInput:
    """An input: the blob's name, and its shape where the file tells it."""

    name: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Network:
    """Inputs and layers, in order; ``silenced``: blobs that are no outputs, though no layer reads them."""

    name: str
    inputs: Sequence[SourceInput]
    layers: Sequence[Layer]
    silenced: frozenset[str] = frozenset()
    unknown: Sequence[UnknownField] = field(default=())


def read_network(path: Path, model_data: Path | None) -> Network:
    """The network of a .prototxt, its blobs from ``model_data`` or from the text itself. Raises InputError."""
    message, unknown = parse_prototxt(read_file(path))
    if message.layer and message.layers:
        raise InputError("it has both 'layer' and 'layers'; upgrade it with Caffe's upgrade_net_proto_text")
    if any(layer.HasField("layer") for layer in message.layers):
        raise InputError("it has layers of Caffe's first format; upgrade it with Caffe's upgrade_net_proto_text")
    layers = [_layer(one, at) for at, one in enumerate([*message.layers, *message.layer]) if _included(one, message.state)]
    if not layers:
        raise InputError("it has no layer of the TEST phase; is it a .prototxt of Caffe?")
    kept = [layer for layer in layers if layer.type not in SOURCES and layer.type not in DROPPED]
    stored = _stored_blobs(model_data)
    kept = [_with_blobs(layer, stored) for layer in kept]
    silenced = frozenset(name for layer in layers if layer.type in DROPPED for name in layer.tops)
    silenced |= frozenset(name for layer in layers if layer.type == "Silence" for name in layer.bottoms)
    return Network(message.name, _inputs(message, layers), kept, silenced, unknown)


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises InputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _stored_blobs(model_data: Path | None) -> dict[str, list[Array]]:
    if model_data is None:
        return {}
    data = read_file(model_data)
    try:
        return read_caffemodel(data)
    except InputError as error:
        raise InputError(f"{model_data}: {error}") from None


def _layer(message: Any, at: int) -> Layer:
    kind = message.type
    if not isinstance(kind, str):
        kind = V1_TYPES[message.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[kind].name]
    return Layer(message.name or f"layer{at}", kind, tuple(message.bottom), tuple(message.top), message)


def _with_blobs(layer: Layer, stored: Mapping[str, list[Array]]) -> Layer:
    blobs = stored.get(layer.name) or blobs_of_text(layer.name, layer.message.blobs)
    return Layer(layer.name, layer.type, layer.bottoms, layer.tops, layer.message, blobs)


# --- phases -----------------------------------------------------------------------------------------------------------
def _included(message: Any, state: Any) -> bool:
    """Whether a layer is in the network that is tested, by Caffe's rules (net.cpp, FilterNet)."""
    if "phase" in message.DESCRIPTOR.fields_by_name and message.HasField("phase") and message.phase != _TEST:
        return False
    if message.include:
        return any(_meets(rule, state) for rule in message.include)
    return not any(_meets(rule, state) for rule in message.exclude)


def _meets(rule: Any, state: Any) -> bool:
    if rule.HasField("phase") and rule.phase != _TEST:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    return set(rule.stage) <= set(state.stage) and not set(rule.not_stage) & set(state.stage)


# --- inputs -----------------------------------------------------------------------------------------------------------
def _inputs(message: Any, layers: Sequence[Layer]) -> list[SourceInput]:
    """The inputs that are read by a layer that stays, in the order of the file."""
    shapes = _declared_shapes(message)
    found = [SourceInput(name, shapes[at] if at < len(shapes) else None) for at, name in enumerate(message.input)]
    for layer in layers:
        if layer.type in SOURCES:
            given = _source_shapes(layer)
            # One shape holds for all results, as in Caffe's input_layer.cpp and dummy_data_layer.cpp.
            given = given * len(layer.tops) if len(given) == 1 else given
            found += [SourceInput(name, given[at] if at < len(given) else None) for at, name in enumerate(layer.tops)]
    read = {name for layer in layers if layer.type not in DROPPED for name in layer.bottoms}
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        raise InputError("two of its inputs have the same name")
    return [one for one in found if one.name in read]


def _declared_shapes(message: Any) -> list[tuple[int, ...] | None]:
    if message.input_shape:
        return [tuple(shape.dim) for shape in message.input_shape]
    extents = tuple(message.input_dim)
    if len(extents) % _LEGACY_RANK:
        raise InputError(f"it has {len(extents)} input_dim; every input takes {_LEGACY_RANK}")
    return [extents[at : at + _LEGACY_RANK] for at in range(0, len(extents), _LEGACY_RANK)]


def _source_shapes(layer: Layer) -> list[tuple[int, ...] | None]:
    if layer.type == "Input":
        return [tuple(shape.dim) for shape in layer.parameters("input_param").shape]
    if layer.type == "MemoryData":
        p = layer.parameters("memory_data_param")
        return [(p.batch_size, p.channels, p.height, p.width), (p.batch_size,)]
    if layer.type == "DummyData":
        p = layer.parameters("dummy_data_param")
        return [tuple(s.dim) for s in p.shape] or list(zip(p.num, p.channels, p.height, p.width, strict=False))
    return []
