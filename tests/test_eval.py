"""``tpumlir eval`` and its library: accuracies counted by hand, labels from every source, layers against numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Command
from tpumlir_core import api
from tpumlir_core.errors import InputError
from tpumlir_core.evaluation import Best, Labelled, Labels, LayerLoss, list_labelled
from tpumlir_core.evaluation.accuracy import accuracy, best_of
from tpumlir_core.evaluation.layers import layer_losses
from tpumlir_core.ir import Array, ElementType, Function, Module, Quantization, TensorType, WeightStore, top, tpu
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions
from tpumlir_core.preprocess import Preprocess, record_preprocess

PICTURE = Preprocess(mean=(0.0,) * 3, scale=(1.0,) * 3, pixel_format="rgb")


def brightest_channel(factor: float = 1.0) -> Module:
    """Three classes, the mean of each channel of an image of 2x2; green's is multiplied."""
    fed = top.Input.create([], [("x", TensorType((1, 3, 2, 2)))])
    weight = top.Weight.create([], [("w", TensorType((3, 3, 2, 2)))])
    conv = top.Conv.create([fed.output, weight.output, None], ["scores"], kernel_shape=(2, 2), strides=(1, 1), pads=(0, 0, 0, 0))
    store = WeightStore()
    store["w"] = np.eye(3, dtype=np.float32)[:, :, None, None].repeat(2, 2).repeat(2, 3) * np.array([1, factor, 1]).reshape(3, 1, 1, 1) / 4
    store["w"] = store["w"].astype(np.float32)
    module = Module("net", Function("main", [fed, weight, conv], [conv.output]), store)
    record_preprocess(module, PICTURE)
    return module


def picture(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2), colour).save(path)


RED, GREEN, DIM_GREEN = (200, 10, 0), (0, 250, 5), (90, 100, 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    picture(folder / "a_red" / "one_0.png", RED)
    picture(folder / "b_green" / "two_1.png", GREEN)
    picture(folder / "b_green" / "three_1.png", DIM_GREEN)
    picture(folder / "b_green" / "four_1.png", RED)
    return folder


@pytest.fixture
def networks(tmp_path: Path) -> list[Path]:
    """One that is right where the picture is, and one that thinks little of green."""
    paths = [tmp_path / "right.mlir", tmp_path / "wrong.mlir"]
    for path, factor in zip(paths, (1.0, 0.5), strict=True):
        api.save_module(brightest_channel(factor), path)
    return paths


def test_a_table_of_accuracies(tpumlir: Command, networks: list[Path], photos: Path) -> None:
    result = tpumlir("eval", *map(str, networks), "--dataset", str(photos), "--json")
    assert result.returncode == 0, result.stderr
    right, wrong = json.loads(result.stdout)
    assert (right["samples"], right["labelled"], right["top1"], right["top5"], right["agreement"]) == (4, 4, 0.75, 1.0, 1.0)
    assert (wrong["top1"], wrong["agreement"], wrong["top1_drop"]) == (0.5, 0.75, 0.25)
    text = tpumlir("eval", *map(str, networks), "--dataset", str(photos)).stdout
    assert "75.00" in text
    assert "25.00" in text
    assert "4 samples, 4 with a label" in text


def test_pictures_become_inputs_as_the_options_say(tpumlir: Command, networks: list[Path], photos: Path) -> None:
    result = tpumlir("eval", str(networks[0]), "--dataset", str(photos), "--pixel-format", "rgb", "--mean", "0,300,0", "--json")
    assert json.loads(result.stdout)[0]["top1"] == 0.25  # nothing is green any more


def labels_by_name(found: list[Labelled]) -> dict[str, int | None]:
    return {one.sample[0].name: one.label for one in found}


def test_labels_from_every_source(photos: Path, tmp_path: Path) -> None:
    expected = {"one_0.png": 0, "two_1.png": 1, "three_1.png": 1, "four_1.png": 1}
    assert labels_by_name(list_labelled(photos)) == expected
    assert labels_by_name(list_labelled(photos, Labels(pattern="_([0-9]+)[.]", offset=2))) == {n: k + 2 for n, k in expected.items()}
    assert set(labels_by_name(list_labelled(photos, Labels(none=True))).values()) == {None}
    (tmp_path / "list.txt").write_text("a_red/one_0.png 7\n\nb_green/two_1.png 9\n")
    assert labels_by_name(list_labelled(photos, Labels(file=tmp_path / "list.txt"))) == {"one_0.png": 7, "two_1.png": 9}
    assert len(list_labelled(photos, count=2)) == 2


def test_numbers_as_folders_are_the_classes(tmp_path: Path) -> None:
    for name in ("10", "2"):
        picture(tmp_path / name / f"{name}.png", RED)
    picture(tmp_path / "loose.png", RED)
    assert labels_by_name(list_labelled(tmp_path)) == {"10.png": 10, "2.png": 2, "loose.png": None}


@pytest.mark.parametrize(
    ("line", "message"), [("one.png cat", "line 1 is not a name and a label"), ("other.png 3", "it names no sample of")]
)
def test_wrong_label_files_are_told(photos: Path, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(InputError, match=message):
        list_labelled(photos, Labels(file=tmp_path / "list.txt"))


@pytest.mark.parametrize(
    ("pattern", "message"), [("x([0-9])", "finds no number"), ("[0-9]", "needs one group"), ("(", "unterminated|missing")]
)
def test_wrong_patterns_are_told(photos: Path, pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list_labelled(photos, Labels(pattern=pattern))


def test_ranks_ties_and_missing_labels() -> None:
    best = Best(best_of(iter([np.array([1.0, 3, 3, 0]), np.array([9.0, 0, 1, 2])])))
    np.testing.assert_array_equal(best.classes, [[1, 2, 0, 3], [0, 3, 2, 1]])
    found = accuracy(best, [2, None], Best(np.array([[1], [1]])))
    assert (found.samples, found.labelled, found.top1, found.top5, found.agreement) == (2, 1, 0.0, 1.0, 0.5)
    assert accuracy(best, [None, None], best).top1 is None


def test_what_holds_no_scores_is_told(tpumlir: Command, networks: list[Path], photos: Path) -> None:
    result = tpumlir("eval", str(networks[0]), "--dataset", str(photos), "--scores", "nothing")
    assert result.returncode == 2
    assert "right.mlir: no output nothing; there is scores" in result.stderr


def lowered() -> Module:
    """x stored in 8 bits, then doubled in 8 bits."""
    fed = top.Input.create([], [("x", TensorType((4,)))])
    stored = TensorType((4,), ElementType.SI8, Quantization(0.5, 0, -64.0, 63.5))
    cast = tpu.lowered_class(top.Cast.create([fed.output], ["c"])).create([fed.output], [("x_si8", stored)])
    twice = tpu.lowered_class(top.MulConst.create([fed.output], ["d"], const_val=2.0)).create([cast.output], [("y", stored)], const_val=2.0)
    return Module("net", Function("main", [fed, cast, twice], [twice.output]), WeightStore())


def test_losses_are_relative_to_the_original_and_less_the_operands() -> None:
    x: Array = np.array([1.0, -2, 3, 0.25])
    ours = {"x": x, "x_si8": x + [0, 0, 0, 0.25], "y": 2 * x + [0, 0, 1.0, 0.5]}
    found = layer_losses(lowered(), [(ours, {"x": x, "y": 2 * x})] * 3, ["x", "y"])
    size = float(np.linalg.norm(x))
    before, after = 0.25 / size, float(np.hypot(1, 0.5)) / (2 * size)
    assert [(one.name, one.operation, one.element) for one in found] == [("y", "tpu.MulConst", "si8"), ("x_si8", "tpu.Cast", "si8")]
    assert [one.error for one in found] == pytest.approx([after, before])
    assert [one.added for one in found] == pytest.approx([np.sqrt(after**2 - before**2), before])
    a, b = ours["y"], 2 * x
    assert found[0].cosine == pytest.approx(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def test_layers_of_a_lowered_network(tpumlir: Command, networks: list[Path], photos: Path, tmp_path: Path) -> None:
    ranges = {"x": CalibratedRange(250, 0, 250), "scores": CalibratedRange(250, 0, 250)}
    lowering = LoweringOptions(calibration=ranges)
    module = api.lower(api.open_module(networks[0]), chip="bm1684x", quantize="INT8", lowering=lowering)
    api.save_module(module, tmp_path / "int8.mlir")
    pair = [str(networks[0]), str(tmp_path / "int8.mlir")]
    accuracies = json.loads(tpumlir("eval", *pair, "--dataset", str(photos), "--json").stdout)
    assert accuracies[1]["top1"] == 0.75
    losses = [LayerLoss(**one) for one in json.loads(tpumlir("eval", *pair, "--dataset", str(photos), "--layers", "4", "--json").stdout)]
    assert {loss.name for loss in losses} >= {"x_ui8"}
    assert max(loss.error for loss in losses) < 0.02
    assert tpumlir("eval", str(networks[0]), "--dataset", str(photos), "--layers", "1").returncode == 2


def test_deploy_saves_what_it_lowers(tpumlir: Command, networks: list[Path], photos: Path, tmp_path: Path) -> None:
    made = tmp_path / "tpu.mlir"
    result = tpumlir("deploy", str(networks[0]), "--chip", "bm1684x", "-o", str(tmp_path / "net.bmodel"), "--save-mlir", str(made))
    assert result.returncode == 0, result.stderr
    assert "tpu.Conv" in made.read_text()
    found = json.loads(tpumlir("eval", str(made), "--dataset", str(photos), "--json").stdout)
    assert found[0]["top1"] == 0.75
