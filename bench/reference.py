"""The reference toolchain, TPU-MLIR, as child processes of an environment in which the user installed it.

Its results are kept in the user's cache by the hash of the model, so that it runs once a network.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.children import run
from sweeps.models import CACHE
from tpumlir_core.errors import InputError

VARIABLE = "TPU_MLIR_VENV"
TIMELINE = "compiler_profile_0.txt"
"""Where its model_deploy leaves the estimated time line of a BM1684X bmodel; the line TCYC has the total."""


@dataclass(frozen=True)
class Reference:
    """What the reference made of a network: its estimate of the cycles, the bmodel, and what making it took."""

    cycles: int
    seconds: float
    peak: int
    bmodel: Path


@dataclass(frozen=True)
class Calibrated:
    """A network as Top .mlir and the calibration table for its names: the reference fuses, and so names, tensors otherwise."""

    mlir: Path
    table: Path


def reference(
    environment: Path | None, model: Path, shape: Sequence[int], chip: str, mode: str, calibrated: Calibrated | None = None
) -> Reference | None:
    """The reference's result, from the cache or made now; None where it is neither cached nor installed.

    ``calibrated``: what its model_deploy takes in a mode that needs a table; its model_transform is run for its seconds then.
    """
    ranges = b"" if calibrated is None else calibrated.table.read_bytes()
    key = hashlib.sha256(model.read_bytes() + f"{list(shape)} {chip} {mode}".encode() + ranges).hexdigest()[:32]
    folder = CACHE.parent / "reference" / key
    facts, bmodel = folder / "facts.json", folder / "net.bmodel"
    if facts.exists():
        return Reference(**json.loads(facts.read_text()), bmodel=bmodel)
    if environment is None:
        return None
    if not (environment / "bin" / "model_deploy.py").exists():
        raise InputError(f"{environment}: no bin/model_deploy.py; name the environment in which tpu-mlir is installed")
    with tempfile.TemporaryDirectory() as work:
        made = _make(environment, model, shape, chip, mode, calibrated, Path(work))
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(made.bmodel, bmodel)
    kept = {name: value for name, value in asdict(made).items() if name != "bmodel"}
    facts.write_text(json.dumps(kept) + "\n")
    return Reference(**kept, bmodel=bmodel)


def _make(
    environment: Path, model: Path, shape: Sequence[int], chip: str, mode: str, calibrated: Calibrated | None, work: Path
) -> Reference:
    tools = environment.resolve() / "bin"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    path = {**inherited, "PATH": f"{tools}:{os.environ.get('PATH', '')}"}
    shapes = ["--input_shapes", json.dumps([list(shape)])]
    source: list[str | Path] = ["--model_name", "net", "--model_def", model.resolve(), "--mlir", "net.mlir"]
    transform = run([tools / "model_transform.py", *source, *shapes], work, path)
    made: list[str | Path] = ["--quantize", mode, "--chip", chip, "--model", "net.bmodel", "--skip_validation"]
    if calibrated is None:
        made += ["--mlir", "net.mlir"]
    else:
        for file in calibrated.mlir.parent.glob(f"{calibrated.mlir.stem}*"):
            shutil.copy(file, work)
        made += ["--mlir", calibrated.mlir.name, "--calibration_table", calibrated.table.resolve()]
    deploy = run([tools / "model_deploy.py", *made], work, path)
    found = re.findall(r"^TCYC : (\d+)", (work / TIMELINE).read_text(), re.M)
    return Reference(sum(map(int, found)), transform.cpu + deploy.cpu, max(transform.peak, deploy.peak), work / "net.bmodel")
