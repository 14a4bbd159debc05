"""Whole networks, from their files to the emulator, compared with onnxruntime: `python -m sweeps.networks [--mode M] [NAME...]`.

A NAME is a network's name or a part of several. In INT8 a network is calibrated on the very inputs that it runs on, as `tpumlir calibrate
--method max` does: of those nothing is to be cut off; --calibrated does so in other modes. Each network is compiled by the command, in a
process of its own, whose processor time and peak memory are the figures; then it runs through SOPHGO's runtime on the emulator, on seeded
inputs, and in INT8 by the chip's executor too, which should agree bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.children import run
from sweeps.models import NETWORKS, Network
from tpumlir_core import api
from tpumlir_core.calibration import Calibration
from tpumlir_core.checks import execute, interpret
from tpumlir_core.errors import TpumlirError
from tpumlir_core.ir import Array, Module
from tpumlir_core.plugins.extension_points import ImportOptions, LoweringOptions
from tpumlir_core.stages import Session
from tpumlir_core.tables import TableOrigin, read_calibration_table, write_calibration_table
from tpumlir_core.verify import Report, compare_tensors

CHIP = "bm1684x"
LEAST = {"F32": (0.9999, 0.99), "F16": (0.999, 0.95), "BF16": (0.99, 0.85), "INT8": (0.95, 0.70)}
"""Least cosine and euclidean similarity to onnxruntime, by mode."""
MEMORY_FACTOR, MEMORY_ALLOWANCE = 2, 300e6
"""Peak memory may be so many times the weights, and so many bytes more."""
RESULTS = Path("results")
SEED = 0


@dataclass(frozen=True)
class Similarity:
    """The worst output on one kind of input."""

    inputs: str
    cosine: float
    euclid: float
    emulator_seconds: float
    note: str = ""
    inexact: float | None = None
    """Share of the outputs' numbers that the executor has otherwise than the emulator, in the last bit or more; None: not asked."""


@dataclass
class Finding:
    """What became of one network; ``fault`` is "" where all is well, ``skipped`` says why there was nothing to measure."""

    network: str
    shape: Sequence[int]
    fault: str = ""
    skipped: str = ""
    operators: int = 0
    tiu_instructions: int = 0
    dma_instructions: int = 0
    bytes: int = 0
    weight_bytes: int = 0
    processor_seconds: float = 0.0
    peak_bytes: int = 0
    similarities: list[Similarity] = field(default_factory=list)


def measure(network: Network, folder: Path, mode: str = "F32", with_table: bool = False) -> Finding:
    """Compile a network in a mode, run it, compare it."""
    finding = Finding(network.name, network.shape)
    try:
        source = network.file()
    except (OSError, subprocess.CalledProcessError, TpumlirError) as error:
        finding.skipped = f"its file cannot be had: {error}"
        return finding
    try:
        compiled = folder / "network.bmodel"
        table = calibrated(network, source, compiled.with_suffix(".table")) if with_table or mode == "INT8" else None
        _compile(network, source, compiled, finding, mode, table)
        _compare(network, source, compiled, finding, mode)
    except TpumlirError as error:
        finding.fault = str(error)
    return finding


def _compile(network: Network, source: Path, compiled: Path, finding: Finding, mode: str, table: Path | None) -> None:
    shapes = json.dumps([network.shape])
    how = ["--quantize", mode]
    if table is not None:
        how += ["--calibration-table", str(table)]
    tool = Path(sys.executable).with_name("tpumlir")
    command: list[str | Path] = [tool, "compile", source, "-o", compiled, "--chip", CHIP, *how, "--input-shapes", shapes, "--json"]
    usage = run(command, compiled.parent, os.environ)
    facts: dict[str, Any] = json.loads((compiled.parent / "tpumlir.log").read_text())
    finding.tiu_instructions, finding.dma_instructions = facts["instructions"]["tiu"], facts["instructions"]["dma"]
    finding.bytes = facts["bytes"]
    finding.processor_seconds = round(usage.cpu, 2)
    finding.peak_bytes = usage.peak


def calibrated(network: Network, source: Path, table: Path) -> Path:
    """Write the calibration table over all kinds of a network's inputs."""
    session = Session()
    module = api.transform(source, options=ImportOptions(input_shapes=(network.shape,)), session=session)
    name = next(op.name for op in module.function.operations if op.opcode == "top.Input")
    samples = [{name: draw(network.shape, np.random.default_rng(SEED))} for draw in network.inputs.values()]
    wanted = Calibration(samples, method="max")
    write_calibration_table(table, api.calibrate(module, wanted, session=session), TableOrigin(network.name, wanted.method, len(samples)))
    return table


def _compare(network: Network, source: Path, compiled: Path, finding: Finding, mode: str) -> None:
    session = Session()
    options = ImportOptions(input_shapes=(network.shape,))
    module = api.transform(source, options=options, session=session)
    finding.operators = sum(op.opcode != "top.Weight" for op in module.function.operations)
    finding.weight_bytes = sum(module.weights[name].nbytes for name in module.weights)
    if finding.peak_bytes > MEMORY_FACTOR * finding.weight_bytes + MEMORY_ALLOWANCE:
        finding.fault = f"peak memory of {finding.peak_bytes:,} bytes for {finding.weight_bytes:,} bytes of weights"
    name = next(op.name for op in module.function.operations if op.opcode == "top.Input")
    for kind, draw in network.inputs.items():
        inputs = {name: draw(network.shape, np.random.default_rng(SEED))}
        began = time.monotonic()
        ours = api.run(compiled, inputs, session=session)
        seconds = round(time.monotonic() - began, 1)
        expected = api.run(source, inputs, options=options, session=session)
        report = compare_tensors(ours, expected)
        cosine, euclid = report.cosine, report.euclid
        inexact = _inexact(source, options, compiled, inputs, ours) if mode == "INT8" else None
        found = Similarity(kind, cosine, euclid, seconds, inexact=inexact)
        if ours.keys() != expected.keys() or not _similar(report, mode):
            exact = _exact_outputs(module, inputs, session)
            own, theirs = compare_tensors(ours, exact), compare_tensors(expected, exact)
            found = replace(found, note=f"of exact last operations: ours {own.cosine:.7f}, onnxruntime's {theirs.cosine:.7f}")
            if ours.keys() != expected.keys() or not _similar(own, mode) or _similar(theirs, mode):
                finding.fault = f"on {kind} input: cosine {cosine:.7f}, euclidean similarity {euclid:.5f}"
        finding.similarities.append(found)


def _inexact(
    source: Path, options: ImportOptions, compiled: Path, inputs: Mapping[str, Array], ours: Mapping[str, Array]
) -> float:
    """The share of numbers in which the emulator's outputs and the executor's differ."""
    session = Session()
    lowering = LoweringOptions(calibration=read_calibration_table(compiled.with_suffix(".table")))
    module = api.transform(source, options=options, session=session)
    lowered = api.lower(module, chip=CHIP, quantize="INT8", lowering=lowering, session=session)
    executed = execute(lowered, inputs, CHIP, session)
    differ = [np.sum(executed[name].reshape(array.shape) != array) for name, array in ours.items()]
    return float(sum(differ)) / sum(array.size for array in ours.values())


def _similar(report: Report, mode: str) -> bool:
    """Whether the worst output is as similar as the mode asks."""
    cosine, euclid = LEAST[mode]
    return report.cosine >= cosine and report.euclid >= euclid


def _exact_outputs(module: Module, inputs: Mapping[str, Array], session: Session) -> dict[str, Array]:
    """Outputs whose last operation is calculated in float64 from onnxruntime's operands.

    Its Sigmoid is a difference from one half, in steps of 6e-8: of logits about -12, as those of a page without text, little is left.
    """
    known = interpret(module, inputs, "onnxruntime", session)
    known |= {name: module.weights[name] for name in module.weights}
    exact = {}
    for value in module.function.outputs:
        assert value.owner is not None
        operands = [None if operand is None else known[operand.name].astype(np.float64) for operand in value.owner.operands]
        exact[value.name] = dict(zip(value.owner.results, value.owner.evaluate(operands), strict=True))[value]
    return exact


def main() -> int:
    """Measure, write results/networks.json and .md, print a line a network; 1 when one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="the network of this name, or those whose name contains it; default: all")
    parser.add_argument("--mode", choices=LEAST, default="F32")
    parser.add_argument("--calibrated", action="store_true", help="compile with a calibration table in every mode, not only in INT8")
    options = parser.parse_args()
    names, mode = options.names, options.mode
    warnings.simplefilter("ignore")
    findings = []
    for network in _chosen(names):
        with tempfile.TemporaryDirectory() as folder:
            findings.append(measure(network, Path(folder), mode, options.calibrated))
        print(_line(findings[-1]), flush=True)
    if not names:
        RESULTS.mkdir(exist_ok=True)
        stem = ("networks" if mode == "F32" else f"networks-{mode.lower()}") + ("-calibrated" if options.calibrated else "")
        (RESULTS / f"{stem}.json").write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
        (RESULTS / f"{stem}.md").write_text(_table(findings, mode))
    return int(any(finding.fault for finding in findings))


def _chosen(names: Sequence[str]) -> list[Network]:
    """The networks that the names stand for: exactly one where it is a whole name, those that contain it otherwise."""
    if not names:
        return list(NETWORKS)
    whole = {network.name for network in NETWORKS}
    return [n for n in NETWORKS if any(n.name == name if name in whole else name in n.name for name in names)]


def _line(finding: Finding) -> str:
    if finding.skipped:
        return f"{finding.network}: skipped: {finding.skipped}"
    similar = "; ".join(f"{s.inputs} cosine {s.cosine:.7f} euclid {s.euclid:.5f}{_remarks(s)}" for s in finding.similarities)
    verdict = f"FAULT: {finding.fault}" if finding.fault else "ok"
    return f"{finding.network}: {verdict}: {finding.processor_seconds} s, {finding.peak_bytes / 1e6:.0f} MB; {similar}"


def _remarks(found: Similarity) -> str:
    exact = {None: "", 0.0: "executor equal"}.get(found.inexact, f"executor differs in {found.inexact or 0:.2%}")
    told = [remark for remark in (exact, found.note) if remark]
    return f" ({'; '.join(told)})" if told else ""


def _table(findings: Sequence[Finding], mode: str) -> str:
    lines = [
        f"# Whole networks on the BM1684X, {mode}, against onnxruntime",
        "",
        "Processor time and peak memory of the whole command `tpumlir compile`; the similarities are the worst output's.",
        "",
        "| network | shape | operators | TIU | DMA | bmodel bytes | CPU s | peak MB | inputs: cosine, euclid | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for f in findings:
        similar = "<br>".join(f"{s.inputs}: {s.cosine:.7f}, {s.euclid:.5f}{_remarks(s)}" for s in f.similarities)
        shape = "x".join(map(str, f.shape))
        lines.append(
            f"| {f.network} | {shape} | {f.operators} | {f.tiu_instructions:,} | {f.dma_instructions:,} | {f.bytes:,} "
            f"| {f.processor_seconds} | {f.peak_bytes / 1e6:.0f} | {similar} | {f.fault or f.skipped or 'ok'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
