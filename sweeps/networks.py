"""Whole networks, from their files to the emulator, compared with onnxruntime: `python -m sweeps.networks [NAME...]`.

A NAME is a part of a network's name. Each network is compiled by the command, in a process of its own, whose processor time
and peak memory are the figures; then it runs through SOPHGO's runtime on the emulator, on seeded inputs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.children import run
from sweeps.models import NETWORKS, Network
from tpumlir_core import api
from tpumlir_core.errors import TpumlirError
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_tensors

CHIP = "bm1684x"
COSINE, EUCLID = 0.9999, 0.99
"""Least similarities to onnxruntime."""
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


def measure(network: Network, folder: Path) -> Finding:
    """Compile a network, run it, compare it."""
    finding = Finding(network.name, network.shape)
    try:
        source = network.file()
    except (OSError, subprocess.CalledProcessError, TpumlirError) as error:
        finding.skipped = f"its file cannot be had: {error}"
        return finding
    try:
        compiled = folder / "network.bmodel"
        _compile(network, source, compiled, finding)
        _compare(network, source, compiled, finding)
    except TpumlirError as error:
        finding.fault = str(error)
    return finding


def _compile(network: Network, source: Path, compiled: Path, finding: Finding) -> None:
    shapes = json.dumps([network.shape])
    tool = Path(sys.executable).with_name("tpumlir")
    usage = run([tool, "compile", source, "-o", compiled, "--chip", CHIP, "--input-shapes", shapes, "--json"], compiled.parent, os.environ)
    facts: dict[str, Any] = json.loads((compiled.parent / "tpumlir.log").read_text())
    finding.tiu_instructions, finding.dma_instructions = facts["instructions"]["tiu"], facts["instructions"]["dma"]
    finding.bytes = facts["bytes"]
    finding.processor_seconds = round(usage.cpu, 2)
    finding.peak_bytes = usage.peak


def _compare(network: Network, source: Path, compiled: Path, finding: Finding) -> None:
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
        finding.similarities.append(Similarity(kind, cosine, euclid, seconds))
        if ours.keys() != expected.keys() or math.isnan(cosine + euclid) or cosine < COSINE or euclid < EUCLID:
            finding.fault = f"on {kind} input: cosine {cosine:.7f}, euclidean similarity {euclid:.5f}"


def main() -> int:
    """Measure, write results/networks.json and .md, print a line a network; 1 when one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks whose name contains this; default: all")
    names = parser.parse_args().names
    warnings.simplefilter("ignore")
    findings = []
    for network in NETWORKS:
        if not names or any(name in network.name for name in names):
            with tempfile.TemporaryDirectory() as folder:
                findings.append(measure(network, Path(folder)))
            print(_line(findings[-1]), flush=True)
    if not names:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "networks.json").write_text(json.dumps([asdict(finding) for finding in findings], indent=1) + "\n")
        (RESULTS / "networks.md").write_text(_table(findings))
    return int(any(finding.fault for finding in findings))


def _line(finding: Finding) -> str:
    if finding.skipped:
        return f"{finding.network}: skipped: {finding.skipped}"
    similar = "; ".join(f"{s.inputs} cosine {s.cosine:.7f} euclid {s.euclid:.5f}" for s in finding.similarities)
    verdict = f"FAULT: {finding.fault}" if finding.fault else "ok"
    return f"{finding.network}: {verdict}: {finding.processor_seconds} s, {finding.peak_bytes / 1e6:.0f} MB; {similar}"


def _table(findings: Sequence[Finding]) -> str:
    lines = [
        "# Whole networks on the BM1684X, F32, against onnxruntime",
        "",
        "Processor time and peak memory of the whole command `tpumlir compile`; the similarities are the worst output's.",
        "",
        "| network | shape | operators | TIU | DMA | bmodel bytes | CPU s | peak MB | inputs: cosine, euclid | |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for f in findings:
        similar = "<br>".join(f"{s.inputs}: {s.cosine:.7f}, {s.euclid:.5f}" for s in f.similarities)
        shape = "x".join(map(str, f.shape))
        lines.append(
            f"| {f.network} | {shape} | {f.operators} | {f.tiu_instructions:,} | {f.dma_instructions:,} | {f.bytes:,} "
            f"| {f.processor_seconds} | {f.peak_bytes / 1e6:.0f} | {similar} | {f.fault or f.skipped or 'ok'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
