"""``run_calibration.py``: tables against numpy, and every flag that acts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.compat.conftest import SHAPE, Tool
from tpumlir_compat.calibration_flags import METHODS
from tpumlir_core.ir import Array
from tpumlir_core.tables import read_calibration_table


@pytest.fixture
def arrays(transformed: Path, work: Path) -> list[Array]:
    """Samples in arrays/, 0.npy and so on, each larger than the one before; lists of them are list and tuning."""
    chance = np.random.default_rng(1)
    made = [(chance.standard_normal(SHAPE) * (i + 1)).astype(np.float32) for i in range(4)]
    (work / "arrays").mkdir()
    for i, array in enumerate(made):
        np.save(work / f"arrays/{i}.npy", array)
    (work / "list").write_text("".join(f"arrays/{i}.npy\n" for i in range(4)))
    (work / "tuning").write_text("arrays/3.npy\narrays/2.npy\n")
    return made


def calibrate(tool: Tool, *flags: str) -> None:
    done = tool("run_calibration", "net.mlir", *flags, "-o", "table")
    assert done.returncode == 0, done.stderr


def thresholds(work: Path) -> dict[str, float]:
    return {name: found.threshold for name, found in read_calibration_table(work / "table").items()}


@pytest.mark.parametrize("flags", [("--dataset", "arrays"), ("--data_list", "list"), ("--dataset", "gone", "--data_list", "list")])
def test_samples(flags: tuple[str, ...], arrays: list[Array], work: Path, tool: Tool) -> None:
    calibrate(tool, *flags, "--cali_method", "max", "--tune_num", "0")
    assert thresholds(work)["x"] == pytest.approx(max(float(np.abs(array).max()) for array in arrays), rel=1e-6)


def test_how_many(arrays: list[Array], work: Path, tool: Tool) -> None:
    calibrate(tool, "--data_list", "list", "--input_num", "2", "--cali_method", "use_max", "--tune_num", "0")
    assert thresholds(work)["x"] == pytest.approx(max(float(np.abs(array).max()) for array in arrays[:2]), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_methods(method: str, arrays: list[Array], work: Path, tool: Tool) -> None:
    calibrate(tool, "--data_list", "list", "--cali_method", method, "--tune_num", "0")
    assert f"calculation method: ['{method}']" in (work / "table").read_text()
    largest = max(float(np.abs(array).max()) for array in arrays)
    assert largest / 10 < thresholds(work)["x"] < largest * 4


def test_tuning(arrays: list[Array], work: Path, tool: Tool) -> None:
    found = []
    for flags in (("--tune_num", "0"), (), ("--tune_list", "tuning"), ("--tune_list", "tuning", "--tune_num", "1")):
        calibrate(tool, "--data_list", "list", *flags)
        found.append((thresholds(work), (work / "table").read_text()))
    tuned = [text.partition("# tune number: ")[2].partition("\n")[0] for _, text in found]
    assert tuned == ["0", "4", "2", "1"]
    assert found[0][0] != found[1][0]
    assert found[1][0] != found[2][0]


@pytest.mark.parametrize("flag", ["--we", "--bc", "--sq"])
def test_weights_may_be_changed_in_place(flag: str, arrays: list[Array], work: Path, tool: Tool) -> None:
    weights = work / "net_top_f32_all_weight.npz"
    before = weights.read_bytes()
    calibrate(tool, "--data_list", "list")
    assert weights.read_bytes() == before
    calibrate(tool, "--data_list", "list", flag)
    assert weights.read_bytes() != before
    assert tool("model_transform", "--model_name", "net", "--model_def", "net.mlir", "--mlir", "again.mlir").returncode == 0


def test_the_samples_are_listed(arrays: list[Array], work: Path, tool: Tool) -> None:
    calibrate(tool, "--dataset", "arrays", "--input_num", "3", "--tune_list", "tuning", "--debug_cmd", "dump_list")
    assert len((work / "selected_image_list.txt").read_text().splitlines()) == 3
    assert (work / "selected_tune_image_list.txt").read_text().splitlines() == ["arrays/3.npy", "arrays/2.npy"]


def test_the_table_serves_both_ways_of_naming_it(arrays: list[Array], work: Path, tool: Tool) -> None:
    calibrate(tool, "--data_list", "list", "--chip", "bm1684x")
    assert tool("run_calibration", "net.mlir", "--data_list", "list", "--calibration_table", "again").returncode == 0
    assert (work / "again").read_bytes() == (work / "table").read_bytes()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "name samples with --dataset FOLDER or --data_list FILE"),
        (("--dataset", "gone"), "gone: no such folder"),
        (("--dataset", "photos", "--chip", "cv183x"), "--chip cv183x: there is no target for this chip"),
        (("--dataset", "photos", "--debug_cmd", "percentile=0.9"), "--debug_cmd: percentile=0.9: of the debug commands there is only"),
        (("--dataset", "photos", "--search", "search_qtable"), "--search search_qtable: there is no search"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(flags: tuple[str, ...], told: str, transformed: Path, tool: Tool) -> None:
    failed = tool("run_calibration", "net.mlir", *flags, "-o", "table")
    assert failed.returncode == 2
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_table_has_to_be_named(transformed: Path, tool: Tool) -> None:
    failed = tool("run_calibration", "net.mlir", "--dataset", "photos")
    assert (failed.returncode, failed.stderr) == (2, "run_calibration.py: error: -o: name the calibration table to write\n")


def test_the_search_for_mixed_precision_says_what_to_do_instead(tool: Tool) -> None:
    failed = tool("run_qtable", "net.mlir")
    assert failed.returncode == 2
    assert "--quantize_table" in failed.stderr
