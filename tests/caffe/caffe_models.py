"""What the tests of the Caffe frontend share: files from texts and blobs, and whether OpenCV is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sweeps.caffe import write_caffemodel
from tpumlir_caffe.frontend import CaffeFrontend
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import ImportOptions

needs_opencv = pytest.mark.skipif(find_spec("cv2") is None, reason="OpenCV is not installed: pip install 'tpumlir-caffe[framework]'")
INPUT = 'input: "data" input_shape { dim: 1 dim: 2 dim: 6 dim: 5 }\n'


def layer(name: str, kind: str, bottoms: str = "", tops: str = "", text: str = "") -> str:
    """The text of a V2 layer; bottoms and tops are separated by spaces."""
    ends = [f'bottom: "{one}"' for one in bottoms.split()] + [f'top: "{one}"' for one in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(ends)} {text} }}\n'


def save(folder: Path, text: str, blobs: Mapping[str, Sequence[Array]] | None = None, **more: Any) -> tuple[Path, ImportOptions]:
    """Write net.prototxt and, where there are blobs, net.caffemodel; the path and the options that name both."""
    path = folder / "net.prototxt"
    path.write_text(text)
    if blobs is not None:
        more["model_data"] = folder / "net.caffemodel"
        write_caffemodel(more["model_data"], blobs)
    return path, ImportOptions(**more)


def load(folder: Path, text: str, blobs: Mapping[str, Sequence[Array]] | None = None, **more: Any) -> Module:
    """The Top module of a text and blobs."""
    return CaffeFrontend().load(*save(folder, text, blobs, **more))


def names(module: Module) -> list[str]:
    """The tensors that its operations make, weights left out."""
    return [value.name for op in module.function.operations if op.opcode != "top.Weight" for value in op.results]


def outputs(module: Module) -> list[str]:
    """The names of its outputs."""
    return [value.name for value in module.function.outputs]
