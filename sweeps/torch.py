"""PyTorch models against PyTorch: `python -m sweeps.torch [--emulate N] [--only TEXT]`, in an environment with torch.

Every case is exported and traced, both files are imported, and what the Top module computes is compared with PyTorch. Passed, refused
and wrong go to results/torch.json and .md; wrong must be empty. Every N-th is compiled for BM1684X in F32 and run on the emulator too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweeps import torch_cases, torch_layers, torch_movement
from sweeps.torch_cases import Case, Wrapped
from tpumlir_core import api
from tpumlir_core.errors import TpumlirError, UnsupportedError
from tpumlir_core.ir import Array, Module
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_tensors
from tpumlir_torch.model import open_program

RESULTS = Path("results")
LEAST = (0.9999, 0.999)
"""Least cosine and euclidean similarity to PyTorch."""
LEAST_EMULATED = (0.9999, 0.99)


@dataclass
class Finding:
    """What became of one case in one format: passed, refused or wrong, and why."""

    case: str
    format: str
    state: str
    why: str = ""
    operators: Sequence[str] = ()
    emulated: bool = False


def cases() -> Iterator[Case]:
    """All cases."""
    sources = (
        torch_cases.pointwise, torch_cases.pairs, torch_layers.layers, torch_layers.products, torch_layers.reductions, torch_movement.views,
        torch_movement.indices, torch_movement.resampling, torch_movement.constants, torch_movement.changes,
    )
    return chain.from_iterable(source() for source in sources)


def write(case: Case, inputs: Sequence[torch.Tensor], form: str, folder: Path) -> Path:
    """The case as a file: ``exported``, ``decomposed`` to core ATen, or ``traced``."""
    module = Wrapped(case.function).eval()
    path = folder / ("case.pt" if form == "traced" else "case.pt2")
    with torch.no_grad():
        if form == "traced":
            torch.jit.save(torch.jit.trace(module, tuple(inputs), check_trace=False), path)
            return path
        program = torch.export.export(module, tuple(inputs), strict=False)
        torch.export.save(program.run_decompositions() if form == "decomposed" else program, path)
    return path


def judge(case: Case, form: str, folder: Path, emulate: bool) -> Finding:
    """Write, import, evaluate, compare; one finding."""
    finding = Finding(case.name, form, "wrong")
    inputs = case.inputs(1)
    try:
        path = write(case, inputs, form, folder)
    except Exception as error:
        finding.state, finding.why = "not written", f"{type(error).__name__}: {error}"[:200]
        return finding
    try:
        finding.operators = sorted(open_program(path).operators())
        _compare(case, path, inputs, finding, emulate)
    except UnsupportedError as error:
        finding.state, finding.why = "refused", str(error).partition(": ")[2]
    except TpumlirError as error:
        finding.why = str(error)
    except Exception as error:
        finding.why = f"{type(error).__name__}: {error}"[:300]
    return finding


def _compare(case: Case, path: Path, inputs: Sequence[torch.Tensor], finding: Finding, emulate: bool) -> None:
    session = Session()
    module = api.transform(path, options=ImportOptions(input_shapes=tuple(case.shapes), input_types=_types(inputs)), session=session)
    names = [operation.name for operation in module.function.operations if operation.opcode == "top.Input"]
    feeds = {name: _array(tensor) for name, tensor in zip(names, inputs, strict=True)}
    with torch.no_grad():
        expected = [tensor.float().numpy() for tensor in _flat(Wrapped(case.function).eval()(*[tensor.clone() for tensor in inputs]))]
    ours = evaluate_module(module, feeds)
    fault = _fault(module, expected, [ours[value.name] for value in module.function.outputs])
    if not fault and emulate:
        fault = _emulated(module, feeds, expected, path.parent, session)
        finding.emulated = True
    finding.state, finding.why = ("wrong", fault) if fault else ("passed", "")


def _array(tensor: torch.Tensor) -> Array:
    array: Array = tensor.numpy()
    return array.astype(np.int32 if tensor.dtype == torch.int64 else np.float32)


def _types(inputs: Sequence[torch.Tensor]) -> tuple[str, ...]:
    return tuple("int32" if tensor.dtype == torch.int64 else "float32" for tensor in inputs)


def _flat(value: Any) -> list[torch.Tensor]:
    return [value] if isinstance(value, torch.Tensor) else [tensor for item in value for tensor in _flat(item)]


def _fault(module: Module, expected: Sequence[Array], ours: Sequence[Array]) -> str:
    """What is wrong with some outputs, "" for nothing."""
    if len(expected) != len(ours):
        return f"{len(ours)} outputs, not {len(expected)}"
    for value, wanted, found in zip(module.function.outputs, expected, ours, strict=True):
        if wanted.shape != found.shape:
            return f"{value.name} has shape {list(found.shape)}, not {list(wanted.shape)}"
        if np.allclose(wanted, found, atol=1e-4, rtol=1e-3, equal_nan=True):
            continue
        failed = compare_tensors({value.name: found}, {value.name: wanted}, LEAST).failed
        if failed:
            return f"{value.name}: cosine {failed[0].cosine:.6f}, euclid {failed[0].euclid:.6f}"
    return ""


def _emulated(module: Module, feeds: dict[str, Array], expected: Sequence[Array], folder: Path, session: Session) -> str:
    compiled = folder / "case.bmodel"
    names = [value.name for value in module.function.outputs]
    shapes = [value.shape for value in module.function.outputs]
    artifact = api.deploy(module, chip="bm1684x", quantize="F32", session=session)
    compiled.write_bytes(artifact.data)
    found = api.run(compiled, feeds, session=session)
    ours = [next(array for key, array in found.items() if key.startswith(name)) for name in names]
    for name, wanted, array, shape in zip(names, expected, ours, shapes, strict=True):
        if not np.allclose(wanted, array.reshape(shape), atol=1e-3, rtol=1e-3):
            failed = compare_tensors({name: array.reshape(shape)}, {name: wanted}, LEAST_EMULATED).failed
            if failed:
                return f"emulator: {name}: cosine {failed[0].cosine:.6f}"
    return ""


def report(findings: Sequence[Finding]) -> str:
    """Write results/torch.json and .md; the summary."""
    RESULTS.mkdir(exist_ok=True)
    by_state: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_state[finding.state].append(finding)
    passed = {name for finding in by_state["passed"] for name in finding.operators if name.startswith(("aten", "torchvision"))}
    emulated = sum(finding.emulated for finding in by_state["passed"])
    counts = ", ".join(f"{len(by_state[state])} {state}" for state in ("passed", "refused", "wrong", "not written"))
    summary = f"{len(findings)} cases: {counts}; {len(passed)} operators passed; {emulated} cases on the emulator too"
    (RESULTS / "torch.json").write_text(json.dumps({"summary": summary, "findings": [asdict(f) for f in findings]}, indent=1) + "\n")
    lines = ["# PyTorch operators", "", summary, "", "Operators passed: " + ", ".join(sorted(passed)), ""]
    for state in ("wrong", "refused", "not written", "passed"):
        lines += [f"## {state}", "", *(f"* {f.case} ({f.format}) {f.why}".rstrip() for f in by_state[state]), ""]
    (RESULTS / "torch.md").write_text("\n".join(lines))
    return summary


def main() -> None:
    """Judge all cases; exit 1 where one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulate", type=int, default=0, help="run every N-th case on the emulator")
    parser.add_argument("--only", default="", help="part of the names of the cases to run")
    parser.add_argument("--formats", default="exported,traced,decomposed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    chosen = [case for case in cases() if options.only in case.name]
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        judged = partial(judge, folder=Path(folder))
        for form in options.formats.split(","):
            for index, case in enumerate(chosen):
                finding = judged(case, form, emulate=bool(options.emulate) and index % options.emulate == 0)
                findings.append(finding)
                if finding.state != "passed":
                    print(f"{finding.state}: {finding.case} ({form}): {finding.why}", flush=True)
    print(report(findings))
    raise SystemExit(any(finding.state == "wrong" for finding in findings))


if __name__ == "__main__":
    main()
