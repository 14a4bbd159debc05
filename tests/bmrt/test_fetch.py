"""Laying out the emulator's libraries, from a wheel made up on the spot; the download itself is pip's."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from tpumlir_bmrt import fetch
from tpumlir_bmrt.command import bmrt
from tpumlir_core.errors import InputError
from tpumlir_sophgo import cmodel


def _wheel(folder: Path, without: str = "") -> Path:
    path = folder / "tpu_mlir-1.30.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for chip in cmodel.CHIPS:
            for member in fetch.members(chip).values():
                if member != without and member not in archive.namelist():
                    archive.writestr(member, f"{member} of {chip}")
    return path


def test_every_chip_gets_its_libraries(tmp_path: Path) -> None:
    folder = tmp_path / "cmodel"
    folder.mkdir()
    assert not fetch.is_installed(folder)
    for _ in range(2):
        fetch.install(_wheel(tmp_path), folder)
    assert fetch.is_installed(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["bm1684", "bm1684x"]
    assert (folder / "bm1684" / "libcmodel.so").read_text() == "tpu_mlir/lib/libcmodel_bm1684.so of bm1684"


def test_another_wheel_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "cmodel"
    folder.mkdir()
    with pytest.raises(InputError, match=r"no tpu_mlir/lib/libcmodel_bm1684x.so in it"):
        fetch.install(_wheel(tmp_path, without="tpu_mlir/lib/libcmodel_bm1684x.so"), folder)
    assert list(folder.iterdir()) == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPUMLIR_CMODEL", str(tmp_path))
    fetch.install(_wheel(tmp_path), tmp_path)
    monkeypatch.setattr(fetch, "_download", lambda target: pytest.fail("downloads"))
    result = CliRunner().invoke(bmrt, ["fetch-cmodel"], catch_exceptions=False)
    assert result.output == f"already in {tmp_path}\n"


def test_fetched_once_from_what_pip_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPUMLIR_CMODEL", str(tmp_path / "new" / "folder"))
    monkeypatch.setattr(fetch, "_download", _wheel)
    result = CliRunner().invoke(bmrt, ["fetch-cmodel"], catch_exceptions=False)
    assert result.output.startswith("fetched to")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["bm1684", "bm1684x"]
