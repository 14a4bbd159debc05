"""`python -m bench [--mode M] [--reference VENV] [NETWORK ...]`: cycles, seconds and memory of every network, ours and the
reference's. In INT8 both get the same calibration table, of the largest magnitudes on seeded inputs."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.children import run
from bench.networks import CHOSEN, locate
from bench.reference import VARIABLE, Calibrated, Reference, reference
from sweeps.models import Network
from sweeps.networks import calibrated
from tpumlir_core import api
from tpumlir_core.errors import TpumlirError
from tpumlir_core.plugins import TARGET, PluginManager
from tpumlir_core.plugins.extension_points import ImportOptions, Profile

CHIP = "bm1684x"
MODES = ("F32", "F16", "BF16", "INT8")
RESULTS = Path("results")


@dataclass(frozen=True)
class Row:
    """What was measured of one network. Cycles are estimated, seconds are processor time, peaks are bytes.

    ``reference_profile``: our estimate for the reference's bmodel. What starts with ``reference`` is None without one.
    """

    network: str
    cycles: int
    tiu: int
    dma: int
    file: int
    seconds: float
    peak: int
    reference_cycles: int | None = None
    reference_profile: int | None = None
    reference_seconds: float | None = None
    reference_peak: int | None = None
    reference_file: int | None = None

    @property
    def error(self) -> float | None:
        """How far our estimate for the reference's bmodel is from its own."""
        return _ratio(self.reference_profile, self.reference_cycles, -1.0)

    @property
    def cycle_ratio(self) -> float | None:
        """Ours by the reference's, both by our estimate."""
        return _ratio(self.cycles, self.reference_profile)

    @property
    def second_ratio(self) -> float | None:
        """Ours by the reference's."""
        return _ratio(self.seconds, self.reference_seconds)

    @property
    def file_ratio(self) -> float | None:
        """Ours by the reference's."""
        return _ratio(self.file, self.reference_file)


def _ratio(a: float | None, b: float | None, offset: float = 0.0) -> float | None:
    return None if a is None or not b else a / b + offset


COLUMNS: Sequence[tuple[str, Callable[[Row], float | None], str]] = (
    ("cycles", lambda r: r.cycles, "{:,.0f}"),
    ("TIU", lambda r: r.tiu, "{:,.0f}"),
    ("DMA", lambda r: r.dma, "{:,.0f}"),
    ("bytes", lambda r: r.file, "{:,.0f}"),
    ("CPU s", lambda r: r.seconds, "{:.2f}"),
    ("peak MB", lambda r: r.peak / 1e6, "{:.0f}"),
    ("ref. cycles", lambda r: r.reference_cycles, "{:,.0f}"),
    ("our estimate", lambda r: r.reference_profile, "{:,.0f}"),
    ("error", lambda r: r.error, "{:+.2%}"),
    ("ref. CPU s", lambda r: r.reference_seconds, "{:.1f}"),
    ("cycles/ref.", lambda r: r.cycle_ratio, "{:.3f}"),
    ("s/ref.", lambda r: r.second_ratio, "{:.3f}"),
    ("ref. bytes", lambda r: r.reference_file, "{:,.0f}"),
    ("bytes/ref.", lambda r: r.file_ratio, "{:.3f}"),
)


def profile(data: bytes) -> Profile:
    """Our estimate of a bmodel."""
    found: Profile = PluginManager.discover().get(TARGET, CHIP).profile(data)
    return found


def measure(network: Network, model: Path, environment: Path | None, mode: str = "F32") -> Row:
    """Compile a network in a process of its own and compare with the reference."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        both = _calibrated(network, model, folder) if mode == "INT8" else None
        calibration = both.table if both is not None else None
        usage = run([*_command(model, network.shape, mode, calibration), "-o", folder / "net.bmodel"], folder, os.environ)
        data = (folder / "net.bmodel").read_bytes()
        theirs = reference(environment, model, network.shape, CHIP, mode, both)
    ours = profile(data)
    row = Row(network.name, ours.cycles, ours.engines["tiu"], ours.engines["dma"], len(data), usage.cpu, usage.peak)
    return row if theirs is None else _compared(row, theirs)


def _calibrated(network: Network, model: Path, folder: Path) -> Calibrated:
    """The network as .mlir, and its table."""
    module = api.transform(model, options=ImportOptions(input_shapes=(network.shape,)))
    api.save_module(module, folder / "calibrated.mlir")
    return Calibrated(folder / "calibrated.mlir", calibrated(network, model, folder / "net.table"))


def _command(model: Path, shape: Sequence[int], mode: str, calibration: Path | None) -> list[str | Path]:
    shapes = ["--input-shapes", json.dumps([list(shape)])]
    table: list[str | Path] = ["--calibration-table", calibration.resolve()] if calibration is not None else []
    return [sys.executable, "-m", "tpumlir_core", "compile", model.resolve(), "--chip", CHIP, "--quantize", mode, *shapes, *table]


def _compared(row: Row, theirs: Reference) -> Row:
    data = theirs.bmodel.read_bytes()
    facts = asdict(row) | {
        "reference_cycles": theirs.cycles, "reference_profile": profile(data).cycles, "reference_seconds": theirs.seconds,
        "reference_peak": theirs.peak, "reference_file": len(data),
    }
    return Row(**facts)


def stem(mode: str) -> str:
    """The name of a mode's results, without suffix."""
    return "bench" if mode == "F32" else f"bench-{mode.lower()}"


def geometric_mean(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def table(rows: Sequence[Row]) -> str:
    """The rows and the geometric means of the ratios, in Markdown."""
    lines = ["| network | " + " | ".join(title for title, _, _ in COLUMNS) + " |", "|---" + "|--:" * len(COLUMNS) + "|"]
    for row in rows:
        cells = ["" if (value := get(row)) is None else shape.format(value) for _, get, shape in COLUMNS]
        lines.append(f"| {row.network} | " + " | ".join(cells) + " |")
    means = {
        title: geometric_mean([value for row in rows if (value := get(row)) is not None]) for title, get, _ in COLUMNS if "/" in title
    }
    cells = [f"{mean:.3f}" if (mean := means.get(title)) is not None else "" for title, _, _ in COLUMNS]
    return "\n".join([*lines, "| geometric mean | " + " | ".join(cells) + " |"])


def main() -> int:
    """Measure, print, write results/bench.json and .md; exit code 1 where a network failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(network.name for network in CHOSEN)}; default: all")
    parser.add_argument("--mode", choices=MODES, default="F32")
    parser.add_argument("--reference", type=Path, default=os.environ.get(VARIABLE), help=f"environment with tpu-mlir (default: {VARIABLE})")
    options = parser.parse_args()
    unknown = set(options.networks) - {network.name for network in CHOSEN}
    if unknown:
        parser.error(f"no network {', '.join(sorted(unknown))}")
    rows, failed = [], []
    for network in CHOSEN:
        if options.networks and network.name not in options.networks:
            continue
        try:
            model = locate(network)
            if model is None:
                print(f"{network.name}: left out, its file is not in the cache", file=sys.stderr)
                continue
            rows.append(measure(network, model, options.reference, options.mode))
            print(table(rows[-1:]).splitlines()[2], file=sys.stderr)
        except TpumlirError as error:
            failed.append(network.name)
            print(f"{network.name}: {error}", file=sys.stderr)
    RESULTS.mkdir(exist_ok=True)
    text = table(rows)
    (RESULTS / f"{stem(options.mode)}.md").write_text(f"# Benchmark, {CHIP} {options.mode}\n\n{text}\n")
    facts = [asdict(row) | {name: getattr(row, name) for name in ("cycle_ratio", "error", "second_ratio", "file_ratio")} for row in rows]
    (RESULTS / f"{stem(options.mode)}.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(text)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
