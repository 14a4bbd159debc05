"""``run_calibration.py``: tables against numpy, and every flag that acts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.compat.conftest import SHAPE, Tool
from tpumlir_compat.calibration_flags import METHODS
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array
from tpumlir_core.tables import read_calibration_table, read_quantization_table


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
        (("--dataset", "photos", "--search", "search_threshold"), "--search search_threshold: there is no search over methods"),
        (("--dataset", "photos", "--search", "fast_search"), "--search fast_search: name the table to write with --quantize_table"),
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


# --- mixed precision ----------------------------------------------------------------------------------------------------
@pytest.fixture
def coarse(transformed: Path, work: Path) -> Path:
    """A table in which the range of ``hidden`` is much too small: its 8 bits spoil the network."""
    ranges = dict.fromkeys(read_npz(work / "net_top_outputs.npz"), (40.0, -40.0, 40.0)) | {"hidden_Relu": (0.01, 0.0, 0.01)}
    (work / "coarse").write_text("".join(f"{name} {' '.join(map(str, found))}\n" for name, found in ranges.items()))
    return work / "coarse"


def lowered_cosine(work: Path, tool: Tool, table: str, modes: str) -> float:
    """Of the output in 8 bits with a table of modes, as model_deploy.py tells it."""
    done = tool("model_deploy", "--mlir", "net.mlir", "--chip", "bm1684x", "--quantize", "INT8", "--calibration_table", table,
                "--quantize_table", modes, "--test_input", "net_in_f32.npz", "--test_reference", "net_top_outputs.npz", "--tolerance=-1,-9",
                "--skip_validation", "--model", "out.bmodel")
    assert done.returncode == 0, done.stderr
    return float(done.stdout.partition("min_similarity = (")[2].partition(",")[0])


def test_operations_that_stay_float_are_searched(coarse: Path, work: Path, tool: Tool) -> None:
    given = ("net.mlir", "--dataset", "photos", "--calibration_table", "coarse", "--chip", "bm1684x", "--expected_cos", "0.98")
    done = tool("run_qtable", *given, "-o", "modes")
    assert done.returncode == 0, done.stderr
    modes = read_quantization_table(work / "modes")
    assert "c2_Conv" in modes  # what takes ``hidden``, which becomes floats by that
    assert set(modes.values()) == {"F16"}
    (work / "none").write_text("")
    assert lowered_cosine(work, tool, "coarse", "none") < 0.98 < lowered_cosine(work, tool, "coarse", "modes")
    tool("run_qtable", *given, "--fp_type", "F32", "--input_num", "1", "-o", "modes")
    assert set(read_quantization_table(work / "modes").values()) == {"F32"}


def test_what_cannot_be_reached_is_warned_of(coarse: Path, work: Path, tool: Tool) -> None:
    given = ("net.mlir", "--dataset", "photos", "--calibration_table", "coarse", "--chip", "bm1684x")
    done = tool("run_qtable", *given, "--expected_cos", "1.1", "-o", "modes")
    assert done.returncode == 0
    assert "warning: modes: the cosine stays below --expected_cos 1.1" in done.stderr


@pytest.mark.parametrize("way", ["search_qtable", "fast_search", "mix_search"])
def test_calibration_and_search_in_one(way: str, arrays: list[Array], work: Path, tool: Tool) -> None:
    calibrate(tool, "--data_list", "list", "--search", way, "--quantize_table", "modes", "--inference_num", "2", "--expected_cos", "0.9999")
    modes = read_quantization_table(work / "modes")
    assert modes
    assert modes.keys() <= read_calibration_table(work / "table").keys()
