"""Looking into Keras files before Keras reads them: no code, no unknown classes, nothing that leads to other files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tpumlir_tensorflow.child.network import Refused

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
LARGEST_CONFIG = 1 << 26
"""Bytes of the largest description of layers that is read."""
MODELS = frozenset(("Functional", "Model", "Sequential"))
_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D AveragePooling2D
AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization BatchNormalizationV1 Bidirectional CategoryEncoding CenterCrop
Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution1D Convolution2D Convolution2DTranspose
Convolution3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten
GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool2D
GlobalMaxPool2D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention Identity InputLayer
LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum
Minimum MultiHeadAttention Multiply Normalization PReLU Permute RMSNormalization RNN ReLU RepeatVector Rescaling Reshape Resizing
SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
SpectralNormalization StackedRNNCells Subtract ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D
UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
LAYERS = frozenset(_LAYERS.split())
_HELPERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones Orthogonal
OrthogonalInitializer RandomNormal RandomUniform STFT TruncatedNormal VarianceScaling Zeros L1 L1L2 L2 OrthogonalRegularizer MaxNorm
MinMaxNorm NonNeg UnitNorm DTypePolicy Policy PolicyV1 FloatDTypePolicy QuantizedDTypePolicy __keras_tensor__ __tuple__ __numpy__
__tensor__ __slice__ __ellipsis__ TensorShape
"""
HELPERS = frozenset(_HELPERS.split())
"""Classes that describe layers: initializers, regularizers, constraints, types."""
_FUNCTION, _CODE = "function", ("Lambda", "__lambda__")
_OWN = ("keras", "builtins", "tensorflow", "tensorflow.python", "tf_keras")


def check_file(model: Path, folder: Path) -> None:
    """Raise Refused for a file that holds more than layers and numbers. ``folder``: where a part may be unpacked."""
    if zipfile.is_zipfile(model):
        with zipfile.ZipFile(model) as archive:
            check_config(archive.read(CONFIG))
            archive.extract(WEIGHTS, folder / "inspected")
        _check_hdf5(folder / "inspected" / WEIGHTS)
        return
    config = _check_hdf5(model)
    if not config:
        raise Refused("it holds weights without a description of layers; save the whole model")
    check_config(config)


def check_config(data: bytes | str) -> None:
    """Raise Refused for a description of layers with code in it, or with classes that are no layers of Keras."""
    if len(data) > LARGEST_CONFIG:
        raise Refused(f"a description of more than {LARGEST_CONFIG >> 20} MiB is not read")
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused("the description of its layers is no JSON") from None
    if not isinstance(config, dict) or config.get("class_name") not in MODELS:
        raise Refused("it holds no model of layers (Sequential or functional); export it as a SavedModel")
    code, unknown = [], []
    for part in _dictionaries(config):
        kind, module = part.get("class_name"), part.get("module")
        label = f"{kind} ({_label(part)})"
        if kind in _CODE:
            code.append(label)
        elif kind is not None and not _is_known(kind, module):
            unknown.append(label)
    if code:
        raise Refused("it holds Python code, which is not run; put it into layers of Keras", sorted(set(code)))
    if unknown:
        raise Refused("classes that are no layers of Keras, or reach files; export the model as a SavedModel", sorted(set(unknown)))


def _is_known(kind: Any, module: Any) -> bool:
    if not isinstance(kind, str) or not (module is None or (isinstance(module, str) and _is_own(module))):
        return False
    if kind == _FUNCTION:  # by name, among the activations of Keras
        return module in (None, "builtins", "keras.activations")
    return kind in LAYERS or kind in HELPERS or kind in MODELS


def _is_own(module: str) -> bool:
    return module in _OWN or module.startswith(("keras.", "tensorflow.keras.", "tf_keras."))


def _label(part: dict[str, Any]) -> str:
    inner = part.get("config")
    name = part.get("name") or (inner.get("name") if isinstance(inner, dict) else None) or part.get("registered_name")
    return f"layer {name}" if isinstance(name, str) else "without a name"


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """All dictionaries within a JSON value."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            yield part
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _check_hdf5(path: Path) -> str:
    """Raise Refused for links and numbers that lie outside of a file; the description of layers that it holds, or ""."""
    import h5py

    with h5py.File(path, "r") as file:
        seen: set[Any] = set()
        pending: list[Any] = [file]
        while pending:
            group = pending.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise Refused(f"{group.name}/{name} is a link to another file, which is not followed")
                part = group[name]
                if isinstance(part, h5py.Group) and part.id.__hash__() not in seen:
                    seen.add(part.id.__hash__())
                    pending.append(part)
                if isinstance(part, h5py.Dataset) and (part.external or part.is_virtual):
                    raise Refused(f"{group.name}/{name} lies in another file, which is not read")
        config = file.attrs.get("model_config", "")
    return config.decode("utf-8", "replace") if isinstance(config, bytes) else str(config)
