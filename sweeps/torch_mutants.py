"""Damaged PyTorch files through the command: `python -m sweeps.torch_mutants [--count N]`; PyTorch is not needed.

Of every four mutants one is a damaged archive; of the others a member is changed and the archive is whole again, checksums too: a field
of the program, a piece of its text or of a pickle, or a weight.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections import Counter
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sweeps.mutants import COUNT, RESULTS, SECONDS, Mutant, Verdict, broken_bytes, judge_file
from sweeps.pool import run_tasks

DATA = Path(__file__).parent.parent / "tests" / "torch" / "data"
EXPORTED, SCRIPTS = ("exported.pt2",), ("traced.pt", "frozen.pt", "scripted.pt")
_VALUES: tuple[Any, ...] = (
    -(1 << 63), -1, 0, 1, 2, 7, 1 << 16, 1 << 31, (1 << 63) - 1, 10**400, 0.5, "", "x", "Infinity", None, True, [], {}, [[]], [-1, -1],
)
_TEXTS = ("torch.", "(", ")", "self", "x", "forward", "[", "]", "1", "-1", "9223372036854775807", "inf", "CONSTANTS.c0", "return", ":", ",")

_TRACED_SHAPE = b"(K\x02K\x03K\x06K\x07t"
_EXAMPLE_SHAPES = {"frozen.pt": _TRACED_SHAPE, "scripted.pt": b"(K\x04K\x06t"}
"""Pickled shapes of example inputs for scripted models, which have none: else a shape would have to be given on the command line."""


@cache
def _original(name: str) -> bytes:
    return (DATA / name).read_bytes()


@cache
def _members(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(_original(name))) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    if name in _EXAMPLE_SHAPES:
        example = _members("traced.pt")["traced/traced_inputs.pkl"]
        members[f"{Path(name).stem}/traced_inputs.pkl"] = example.replace(_TRACED_SHAPE, _EXAMPLE_SHAPES[name])
    return members


def damaged(mutant: Mutant) -> bytes:
    """The bytes of a mutant."""
    random = np.random.default_rng(mutant.seed)
    if mutant.seed % 4 == 0:
        return broken_bytes(_packed(_members(mutant.model)), random)
    members = dict(_members(mutant.model))
    names = sorted(members)
    programs = [name for name in names if name.endswith(("model.json", ".py"))]
    weighted = programs * 4 + [name for name in names if name.endswith((".json", ".pkl"))]
    name = str(random.choice(weighted if random.integers(8) else names))
    if name.endswith("model.json"):
        members[name] = _changed_json(members[name], random)
    elif name.endswith(".py") and random.integers(3):
        members[name] = _changed_text(members[name], random)
    elif members[name]:
        members[name] = broken_bytes(members[name], random)
    return _packed(members)


def _packed(members: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return whole.getvalue()


def _changed_json(data: bytes, random: np.random.Generator) -> bytes:
    """One value anywhere in the program becomes another, or goes."""
    model = json.loads(data)
    places = [place for place in _places(model["graph_module"]) if "metadata" not in place[2]]
    holder, key, _ = places[int(random.integers(len(places)))]
    match int(random.integers(4)):
        case 0:
            del holder[key]
        case 1:
            other_holder, other_key, _ = places[int(random.integers(len(places)))]
            holder[key] = json.loads(json.dumps(other_holder[other_key]))
        case _:
            holder[key] = _VALUES[int(random.integers(len(_VALUES)))]
    return json.dumps(model).encode()


def _places(value: Any, path: str = "") -> list[tuple[Any, Any, str]]:
    """(holder, key, path) of every value inside."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in ((value, key, f"{path}.{key}"), *_places(value[key], f"{path}.{key}"))]


def _changed_text(data: bytes, random: np.random.Generator) -> bytes:
    """A word of the program's text becomes another word of it, or something else."""
    lines = data.decode().splitlines()
    at = int(random.integers(len(lines)))
    words = lines[at].split(" ")
    everything = data.decode().split()
    place = int(random.integers(len(words)))
    words[place] = str(random.choice(everything if random.integers(2) else _TEXTS))
    lines[at] = " ".join(words)
    if not random.integers(6):
        del lines[at]
    return ("\n".join(lines) + "\n").encode()


def judge(mutant: Mutant) -> Verdict:
    """Compile one mutant by the command, in this process."""
    return judge_file(mutant, damaged(mutant), f"mutant{Path(mutant.model).suffix}")


def sweep(models: tuple[str, ...], count: int, workers: int) -> list[Verdict]:
    """The verdicts on so many mutants of some models in turn."""
    tasks = [Mutant(models[i % len(models)], i) for i in range(count)]
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, tasks, workers, SECONDS):
        mutant = tasks[index]
        found[index] = outcome.value or Verdict(mutant.model, mutant.seed, -1, outcome.kind, outcome.text)
    return [found[index] for index in range(count)]


def main() -> None:
    """Judge the mutants of both formats, write results/torch_mutants.json; exit 1 where one misbehaves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=COUNT, help="mutants of each format")
    options = parser.parse_args()
    verdicts = [v for models in (EXPORTED, SCRIPTS) for v in sweep(models, options.count, options.workers)]
    bad = [verdict for verdict in verdicts if verdict.fault]
    codes = Counter(verdict.exit_code for verdict in verdicts)
    summary = f"{len(verdicts)} mutants of PyTorch files: {codes[0]} compiled, {codes[2]} refused, {len(bad)} at fault"
    RESULTS.mkdir(exist_ok=True)
    report = {"summary": summary, "faults": [asdict(v) for v in bad], "verdicts": [asdict(v) for v in verdicts]}
    (RESULTS / "torch_mutants.json").write_text(json.dumps(report, indent=1) + "\n")
    for verdict in bad:
        print(f"{verdict.model} {verdict.seed}: {verdict.fault}: {verdict.message}")
    print(summary)
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
