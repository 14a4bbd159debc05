"""The benchmark: what it measures, its table, and the reference's results by way of a stand-in for its tools."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.__main__ import Row, geometric_mean, profile, table
from bench.calibration import Rate, make_photos, row
from bench.children import Usage, run
from bench.reference import reference
from sweeps.mutants import convolution
from tpumlir_core import api
from tpumlir_core.errors import InputError
from tpumlir_core.preprocess.images import decode

TOOL = """#!{python}
import pathlib, sys
pathlib.Path("calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[0].endswith("deploy.py"):
    pathlib.Path("compiler_profile_0.txt").write_text("x\\nTCYC : 1200\\nTCYC : 34\\n")
    pathlib.Path("net.bmodel").write_bytes(b"made from " + pathlib.Path("calls").read_bytes())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache of this test only."""
    monkeypatch.setattr("bench.reference.CACHE", tmp_path / "cache" / "models")
    return tmp_path / "cache"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """An environment with stand-ins for the reference's tools."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("model_transform.py", "model_deploy.py"):
        (folder / name).write_text(TOOL.format(python=sys.executable))
        (folder / name).chmod(0o755)
    return folder.parent


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(convolution())
    return path


def test_the_reference_runs_once_a_model(cache: Path, tools: Path, model: Path) -> None:
    assert reference(None, model, (1, 2, 6, 5), "bm1684x", "F32") is None
    made = reference(tools, model, (1, 2, 6, 5), "bm1684x", "F32")
    assert made is not None
    assert made.cycles == 1234
    assert made.seconds > 0
    words = made.bmodel.read_text()
    assert "--input_shapes [[1, 2, 6, 5]]" in words
    assert "--quantize F32 --chip bm1684x" in words
    assert reference(None, model, (1, 2, 6, 5), "bm1684x", "F32") == made
    assert reference(None, model, (1, 2, 7, 5), "bm1684x", "F32") is None


def test_an_environment_without_the_tools_is_named(cache: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tpu-mlir is installed"):
        reference(tmp_path, model, (1, 2, 6, 5), "bm1684x", "F32")


def test_a_child_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ends with 3: so it is"):
        run([sys.executable, "-c", "print('so it is'); raise SystemExit(3)"], tmp_path, os.environ)


def test_what_a_child_costs(tmp_path: Path) -> None:
    usage = run([sys.executable, "-c", "x = b'x' * 200_000_000; sum(range(3_000_000))"], tmp_path, os.environ)
    assert 0 < usage.cpu < 30
    assert 200_000_000 < usage.peak < 400_000_000


def test_the_profile_is_that_of_the_file(model: Path) -> None:
    found = profile(api.compile(model, chip="bm1684x").data)
    assert max(found.engines.values()) <= found.cycles <= sum(found.engines.values())


def test_the_table_has_ratios_and_their_means() -> None:
    rows = [
        Row("a", 100, 60, 50, 1000, 0.5, 80_000_000, 205, 200, 10.0, 1),
        Row("b", 800, 60, 50, 1000, 1.0, 80_000_000, 400, 400, 10.0, 1),
        Row("alone", 5, 3, 2, 10, 0.1, 1),
    ]
    lines = table(rows).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    titles = cells[0]
    assert [cells[2][titles.index(t)] for t in ("cycles/ref.", "s/ref.", "error")] == ["0.500", "0.050", "-2.44%"]
    assert cells[4][1:3] == ["5", "3"]
    assert cells[4][titles.index("cycles/ref.")] == ""
    assert cells[5][titles.index("cycles/ref.")] == "1.000"
    assert geometric_mean([]) is None


def test_the_rate_of_calibration_leaves_start_up_out() -> None:
    def calibrate(method: str, count: int) -> Usage:
        return Usage(cpu=3.0 + 0.25 * count, wall=5.0 + 0.5 * count, peak=0)

    assert Rate.of(calibrate, "kl") == Rate(by_clock=2.0, processor=0.25)
    assert row("ours", "kl", Rate(2.0, 0.25)) == "| ours | kl | 2.0 | 0.250 |"


def test_photos_are_as_many_as_wanted_and_all_different(tmp_path: Path) -> None:
    make_photos(tmp_path, 6)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"{index:04}.jpg" for index in range(6)]
    assert len({file.read_bytes() for file in files}) == 6
    assert decode(files[0], "rgb").shape == (512, 512, 3)
