"""Calibration from end to end: samples of every kind, through the command and the library, against numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Command, Site
from tests.passes.conftest import Graph
from tests.preprocess.test_resize import pattern
from tpumlir_core import api
from tpumlir_core.calibration import Calibration
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Function, Module, TensorType, WeightStore, top
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.plugins.extension_points import CalibratedRange, Effort
from tpumlir_core.tables import read_calibration_table

LAZY = """
    from tpumlir_core.plugins.extension_points import CalibratedRange, Calibrator


    class Counting(Calibrator):
        '''Tells how many tensors it was given.'''

        def calibrate(self, tensors):
            sizes = [len(sample) for sample in tensors]
            return {"seen": CalibratedRange(float(sum(sizes)), 0.0, float(len(sizes)))}


    class Refining(Calibrator):
        '''Tells the largest inputs of the samples that it refines on.'''

        def calibrate(self, tensors):
            return {f"{i}": CalibratedRange(1.0, 0.0, 1.0) for i, sample in enumerate(tensors)}

        def refine(self, module, ranges, samples, interpreter, effort):
            return {str(i): CalibratedRange(float(sample["x"].max()), 0.0, 1.0) for i, sample in enumerate(samples)}


    class Faulty(Calibrator):
        '''Fails.'''

        def calibrate(self, tensors):
            next(iter(tensors))
            return 1 / 0
"""


def network() -> Module:
    """y = relu(x * w + 1), of an image of 2x2."""
    fed = top.Input.create([], [("x", TensorType((1, 3, 2, 2)))])
    weight = top.Weight.create([], [("w", TensorType((1, 3, 1, 1)))])
    scaled = top.Mul.create([fed.output, weight.output], ["scaled"])
    moved = top.AddConst.create([scaled.output], ["moved"], const_val=1.0)
    relu = top.Relu.create([moved.output], ["y"])
    store = WeightStore()
    store["w"] = np.array([1.0, -2.0, 0.5], np.float32).reshape(1, 3, 1, 1)
    return Module("net", Function("main", [fed, weight, scaled, moved, relu], [relu.output]), store)


def test_means_of_what_products_take() -> None:
    """Each channel over all samples, in numpy; of nothing else."""
    graph = Graph()
    x = graph.input(1, 3, 4, 4)
    conv = graph.op(top.Conv, x, graph.random(5, 3, 1, 1), None, kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0))
    module = graph.module(graph.op(top.MatMul, graph.op(top.Relu, conv), graph.random(4, 2), None))
    samples = [{"x0": graph.rng.normal(size=(1, 3, 4, 4)).astype(np.float32)} for _ in range(3)]
    found = api.calibrate(module, Calibration(samples, method="max"))
    ((user, _),) = conv.uses
    relu = user.results[0]
    arrays = [evaluate_module(module, sample) for sample in samples]
    for name, axes in (("x0", (0, 2, 3)), (relu.name, (0, 1, 2))):
        np.testing.assert_allclose(found[name].means, np.mean([one[name].mean(axes) for one in arrays], axis=0), atol=1e-6)
    assert found[conv.name].means == ()


def tensors(x: Array) -> dict[str, Array]:
    scaled = x * np.array([1.0, -2.0, 0.5]).reshape(1, 3, 1, 1)
    return {"x": x, "scaled": scaled, "moved": scaled + 1, "y": np.maximum(scaled + 1, 0)}


def extremes(samples: list[Array]) -> dict[str, tuple[float, float]]:
    """Least and greatest value of every tensor, computed apart."""
    each = [tensors(sample) for sample in samples]
    return {name: (min(float(t[name].min()) for t in each), max(float(t[name].max()) for t in each)) for name in each[0]}


def check(ranges: Mapping[str, CalibratedRange], samples: list[Array]) -> None:
    expected = extremes(samples)
    assert list(ranges) == list(expected)
    for name, (low, high) in expected.items():
        assert (ranges[name].low, ranges[name].high) == pytest.approx((low, high), rel=1e-6)
        assert ranges[name].threshold == pytest.approx(max(-low, high), rel=1e-6)


@pytest.fixture
def mlir(tmp_path: Path) -> Path:
    api.save_module(network(), tmp_path / "net.mlir")
    return tmp_path / "net.mlir"


def arrays() -> list[Array]:
    random = np.random.default_rng(3)
    return [random.standard_normal((1, 3, 2, 2)).astype(np.float32) for _ in range(5)]


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_folder_of_arrays(kind: str, mlir: Path, tmp_path: Path, tpumlir: Command) -> None:
    (tmp_path / "data").mkdir()
    for index, array in enumerate(arrays()):
        if kind == "npz":
            np.savez(tmp_path / f"data/{index}.npz", x=array)
        else:
            np.save(tmp_path / f"data/{index}.npy", array)
    done = tpumlir("calibrate", mlir, "--dataset", tmp_path / "data", "--method", "max", "-o", "table", "--json")
    facts = json.loads(done.stdout)
    assert (facts["samples"], facts["tensors"], facts["method"], done.stderr) == (5, 4, "max", "")
    check(read_calibration_table(tmp_path / "work/table"), arrays())


def test_images_by_what_the_network_records(tmp_path: Path, tpumlir: Command) -> None:
    (tmp_path / "data").mkdir()
    for index in range(3):
        Image.fromarray(pattern(2 + index, 2, 3)).save(tmp_path / f"data/{index}.bmp")
    api.save_module(network(), tmp_path / "net.mlir")
    picture = ["--mean", "100,110,120", "--scale", "0.5,1,2", "--pixel-format", "rgb"]
    one = tpumlir("calibrate", tmp_path / "net.mlir", "--dataset", tmp_path / "data", "--method", "max", "-o", "table", *picture)
    assert one.returncode == 0, one.stderr
    mean, scale = (np.array(numbers).reshape(1, 3, 1, 1) for numbers in ([100.0, 110.0, 120.0], [0.5, 1.0, 2.0]))
    exact = (pattern(2, 2, 3).transpose(2, 0, 1)[None] - mean) * scale  # the first picture needs no resizing
    found = read_calibration_table(tmp_path / "work/table")
    low, high = extremes([exact])["x"]
    assert found["x"].low <= low
    assert found["x"].high >= high


def test_a_list_and_a_number(mlir: Path, tmp_path: Path, tpumlir: Command) -> None:
    for index, array in enumerate(arrays()):
        np.save(tmp_path / f"work/{index}.npy", array)
    (tmp_path / "work/list").write_text("0.npy\n1.npy\n2.npy\n")
    done = tpumlir("calibrate", mlir, "--data-list", "list", "--input-num", "2", "--method", "max", "-o", "table")
    assert "table: 4 tensors, max, 2 samples" in done.stdout
    check(read_calibration_table(tmp_path / "work/table"), arrays()[:2])


@pytest.mark.parametrize("interpreter", ["numpy", "onnxruntime"])
def test_from_the_library(interpreter: str) -> None:
    samples: list[Mapping[str, Array]] = [{"x": array} for array in arrays()]
    check(api.calibrate(network(), Calibration(samples, "max", interpreter)), arrays())


def test_calibrators_see_every_tensor_but_weights(site: Site) -> None:
    site.install("acme", {"tpumlir.calibrators": {"counting": "acme_c:Counting"}}, {"acme_c": LAZY})
    found = api.calibrate(network(), Calibration([{"x": array} for array in arrays()], "counting"))
    assert found == {"seen": CalibratedRange(20.0, 0.0, 5.0)}


def test_samples_to_refine_on_may_be_others(site: Site) -> None:
    site.install("acme", {"tpumlir.calibrators": {"refining": "acme_c:Refining"}}, {"acme_c": LAZY})
    samples: list[Mapping[str, Array]] = [{"x": array} for array in arrays()]
    others: list[Mapping[str, Array]] = [{"x": array + 100} for array in arrays()]
    for tuning, seen in (([], arrays()[:2]), (others, [array + 100 for array in arrays()[:2]])):
        wanted = Calibration(samples, "refining", effort=Effort.NORMAL, tuned=2, tuning=tuning)
        found = api.calibrate(network(), wanted)
        assert [one.threshold for one in found.values()] == [float(array.max()) for array in seen]


def test_a_faulty_calibrator_is_named(site: Site, mlir: Path, tmp_path: Path, tpumlir: Command) -> None:
    site.install("acme", {"tpumlir.calibrators": {"faulty": "acme_c:Faulty"}}, {"acme_c": LAZY})
    np.savez(tmp_path / "work/s.npz", x=arrays()[0])
    (tmp_path / "work/list").write_text("s.npz\n")
    failed = tpumlir("calibrate", mlir, "--data-list", "list", "--method", "faulty", "-o", "table")
    assert failed.returncode == 3
    assert "calibrator faulty of acme 1.0" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "needs samples: --dataset FOLDER or --data-list FILE"),
        (["--dataset", "gone"], "gone: no such folder"),
        (["--dataset", ".", "--data-list", "x"], "give one of them"),
        (["--data-list", "list"], "wrong.npz: no data for the input x"),
        (["--data-list", "list", "--method", "none"], "none"),
    ],
)
def test_what_cannot_be_calibrated(arguments: list[str], told: str, mlir: Path, tmp_path: Path, tpumlir: Command) -> None:
    np.savez(tmp_path / "work/wrong.npz", z=arrays()[0])
    (tmp_path / "work/list").write_text("wrong.npz\n")
    failed = tpumlir("calibrate", mlir, "-o", "table", *arguments)
    assert failed.returncode == 2, failed.stderr
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "work/table").exists()


def test_images_of_a_verification_and_of_a_run(tmp_path: Path, tpumlir: Command) -> None:
    api.save_module(network(), tmp_path / "net.mlir")
    Image.fromarray(pattern(2, 2, 3)).save(tmp_path / "work/x.png")
    done = tpumlir("run", tmp_path / "net.mlir", "--input", "x.png", "--output", "y.npz", "--pixel-format", "rgb", "--scale", "1,2,3")
    assert done.returncode == 0, done.stderr
    exact = pattern(2, 2, 3).transpose(2, 0, 1)[None] * np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(np.load(tmp_path / "work/y.npz")["y"], tensors(exact)["y"], rtol=1e-6)


def test_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tpumlir_core.cli.output import Progress
    from tpumlir_core.stages import Session

    samples: list[Mapping[str, Array]] = [{"x": array} for array in arrays()]
    api.calibrate(network(), Calibration(samples, "max"), session=Session(observer=Progress()))
    written = capsys.readouterr().err
    assert "calibrate 3/5 [########################................]" in written
    assert written.endswith("\x1b[K")


def test_no_samples() -> None:
    with pytest.raises(InputError, match="no sample"):
        api.calibrate(network(), Calibration([]))


def test_the_same_table_again(mlir: Path, tmp_path: Path, tpumlir: Command) -> None:
    np.save(tmp_path / "work/0.npy", arrays()[0])
    texts: list[Any] = []
    for name in ("one", "two"):
        assert tpumlir("calibrate", mlir, "--dataset", ".", "-o", name).returncode == 0
        texts.append((tmp_path / "work" / name).read_bytes())
    assert texts[0] == texts[1]
