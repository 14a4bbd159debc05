"""TFLite on the BM1684X: `python -m sweeps.tflite`.

Single operators, trained networks and damaged files. Operators and networks are compared with TensorFlow Lite's interpreter: the
imported module, and the compiled file on the emulator. Damaged files end with one line and exit 2, or are compiled.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sweeps.mutants import Verdict
from sweeps.tflite.cases import cases
from sweeps.tflite.mutants import mutants
from sweeps.tflite.trials import Finding, findings, import_operator, networks, try_network, try_operator

RESULTS = Path("results")
MUTANTS = 2000


def main() -> None:
    """Try all, write results/tflite.json and .md, print the summary; exit 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("operators", "networks", "mutants"))
    parser.add_argument("--cases", default="", help="operators and networks whose name contains this")
    parser.add_argument("--imported", action="store_true", help="of operators look at the imported module only")
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    options = parser.parse_args()
    started = time.monotonic()
    found: list[Finding] = []
    verdicts: list[Verdict] = []
    if options.only in (None, "operators"):
        chosen = [case for case in cases() if options.cases in case.name]
        found += findings(import_operator if options.imported else try_operator, chosen, options.workers, 60.0)
    if options.only in (None, "networks"):
        chosen_networks = [network for network in networks() if options.cases in network.name]
        found += findings(try_network, chosen_networks, options.workers, 900.0)
    if options.only in (None, "mutants"):
        verdicts = mutants(options.mutants, options.workers)
    summary = _report(found, verdicts)
    print(f"{summary}; {time.monotonic() - started:.0f} s")
    raise SystemExit(any(f.kind == "wrong" for f in found) or any(v.fault for v in verdicts))


def _report(found: Sequence[Finding], verdicts: Sequence[Verdict]) -> str:
    """Write the findings; their summary."""
    counts, codes = Counter(finding.kind for finding in found), Counter(verdict.exit_code for verdict in verdicts)
    faults = [verdict for verdict in verdicts if verdict.fault]
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in ("passed", "refused", "wrong"))
    summary += f"; {len(verdicts)} mutants: {codes[0]} compiled, {codes[2]} refused, {len(faults)} at fault"
    RESULTS.mkdir(exist_ok=True)
    report = {"summary": summary, "findings": [asdict(f) for f in found], "faults": [asdict(v) for v in faults]}
    (RESULTS / "tflite.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = [f"# TFLite on the BM1684X\n\n{summary}\n"]
    for kind in ("wrong", "refused", "passed"):
        lines.append(f"\n## {kind}\n")
        lines += [f"* {f.name}{': ' if f.text else ''}{f.text}" for f in found if f.kind == kind]
    (RESULTS / "tflite.md").write_text("\n".join(lines) + "\n")
    for verdict in faults:
        print(f"{verdict.model} {verdict.seed}: {verdict.fault}: {verdict.message}")
    return summary


if __name__ == "__main__":
    main()
