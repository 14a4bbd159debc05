"""``npz_tool.py``: every sub-command against numpy; comparisons in the reference's words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.compat.conftest import Tool
from tpumlir_compat.npz_tool import SUB_COMMANDS
from tpumlir_core.files import read_npz
from tpumlir_core.ir import Array


def tensors() -> dict[str, Array]:
    chance = np.random.default_rng(7)
    return {
        "image": chance.standard_normal((1, 3, 4, 5)).astype(np.float32),
        "wide": chance.standard_normal((2, 8, 4, 5)).astype(np.float32),
        "bytes": np.array([[1, -128], [127, 0]], np.int8),
    }


@pytest.fixture
def files(work: Path) -> dict[str, Array]:
    """a.npz, and b.npz, in which ``image`` is a little off, ``wide`` a lot and ``bytes`` by one."""
    made = tensors()
    np.savez(work / "a.npz", **made)
    noise = np.random.default_rng(8).standard_normal(made["wide"].shape).astype(np.float32)
    off = {"image": made["image"] * np.float32(1.0001), "wide": made["wide"] + noise / 2, "bytes": made["bytes"] + np.int8(1)}
    np.savez(work / "b.npz", **off)
    return made


# --- compare ------------------------------------------------------------------------------------------------------------
EQUAL = """\
[image                           ]        EQUAL [PASSED]
[wide                            ]        EQUAL [PASSED]
[bytes                           ]        EQUAL [PASSED]
    pos(x=127)    = 0.2500  [1/4]
    neg(x=-128)   = 0.2500  [1/4]
    zeros(x=0)    = 0.2500  [1/4]
    low(abs(x)<8) = 0.5000  [2/4]
3 compared
3 passed
  3 equal, 0 close, 0 similar
0 failed
  0 not equal, 0 not similar
min_similarity = (1.0, 1.0, inf)
Target    a.npz
Reference a.npz
npz compare PASSED.
"""
"""As TPU-MLIR 1.30.2 prints it, but for an empty line before."""


def test_equal_files(files: dict[str, Array], tool: Tool) -> None:
    done = tool("npz_tool", "compare", "a.npz", "a.npz")
    assert (done.returncode, done.stdout) == (0, EQUAL)


def test_files_that_differ(files: dict[str, Array], work: Path, tool: Tool) -> None:
    done = tool("npz_tool", "compare", "a.npz", "b.npz", "-vv")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "[image                           ]        CLOSE [PASSED]"
    assert lines[1:3] == ["    (1, 3, 4, 5) float32 ", "    close order            = 3"]
    assert lines[3] == "[wide                            ]  NOT_SIMLIAR [FAILED]"
    a, b = (x.astype(np.float64).reshape(-1) for x in (files["wide"], read_npz(work / "b.npz")["wide"]))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    euclid = 1 - np.linalg.norm(a - b) / np.linalg.norm((a + b) / 2)
    assert lines[5] == f"    cosine_similarity      = {cosine:.6f}"
    assert lines[6] == f"    euclidean_similarity   = {euclid:.6f}"
    assert lines[7] == f"    sqnr_similarity        = {10 * np.log10(a.var() / (a - b).var()):.6f}"
    assert lines[8:10] == ["top-k:", " idx-t  target  idx-r  ref"]
    assert lines[10].split()[0::2] == [str(a.argmax()), str(b.argmax())]
    assert "[bytes                           ]    NOT_EQUAL [FAILED]" in lines
    assert lines[-9:-4] == ["3 compared", "1 passed", "  0 equal, 1 close, 0 similar", "2 failed", "  1 not equal, 1 not similar"]
    assert lines[-1] == "npz compare FAILED."


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (("--excepts", "wide,bytes"), 0, "1 compared"),
        (("--tolerance", "0.5,0.1", "--excepts", "bytes"), 0, "  0 equal, 1 close, 1 similar"),
        (("--key", "image"), 0, "1 compared"),
        (("-k", "wide"), 1, "1 compared"),
        (("--key", "bytes", "--int8_tensor_close", "0", "--tolerance=-1,-9"), 0, "1 compared"),
        (("--key", "wide", "--per_axis_compare", "1", "-v"), 1, "on axis 1 :"),
        (("-vvv", "--key", "wide"), 1, "all-diffs:"),
        (("-vvvv", "--key", "wide"), 1, "all-elements:"),
        (("--key", "nothing"), 0, "0 compared"),
    ],
)
def test_ways_to_compare(flags: tuple[str, ...], code: int, told: str, files: dict[str, Array], tool: Tool) -> None:
    done = tool("npz_tool", "compare", "a.npz", "b.npz", *flags)
    assert done.returncode == code
    assert told in done.stdout


def test_the_worst_slice_counts(files: dict[str, Array], work: Path, tool: Tool) -> None:
    b = read_npz(work / "b.npz")["wide"].astype(np.float64)
    done = tool("npz_tool", "compare", "a.npz", "b.npz", "--key", "wide", "--per_axis_compare", "1", "-v")
    rows = zip(files["wide"].astype(np.float64).reshape(16, -1), b.reshape(16, -1), strict=True)
    cosines = [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in rows]
    assert f"channel {int(np.argmin(cosines))} on axis 1" in done.stdout
    assert f"{min(cosines):.6f}" in done.stdout


def test_results_in_a_file(files: dict[str, Array], work: Path, tool: Tool) -> None:
    assert "Results saved as all.csv" in tool("npz_tool", "compare", "a.npz", "b.npz", "--save", "all.csv").stdout
    rows = [line.split(", ") for line in (work / "all.csv").read_text().splitlines()]
    assert rows[0] == ["name", "op", "quant", "pass", "sim_cos", "sim_euc", "sqnr"]
    assert [row[:4] for row in rows[1:]] == [["image", "-", "-", "True"], ["wide", "-", "-", "False"], ["bytes", "-", "-", "False"]]
    tool("npz_tool", "compare", "a.npz", "b.npz", "-s", "names", "--only_key")
    assert (work / "names").read_text() == "wide\nbytes\n"


def test_fuzzy(files: dict[str, Array], work: Path, tool: Tool) -> None:
    np.savez(work / "c.npz", some=files["wide"], other=files["image"])
    assert tool("npz_tool", "compare", "c.npz", "a.npz", "--fuzzy_match").returncode == 0


def test_shapes_that_overlap(work: Path, tool: Tool) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.savez(work / "whole.npz", x=whole, y=whole, z=whole)
    np.savez(work / "part.npz", x=whole[:3, :5], y=whole.reshape(6, 4), z=whole[:3].reshape(2, 9))
    done = tool("npz_tool", "compare", "part.npz", "whole.npz")
    assert [line.split("]")[1].split()[0] for line in done.stdout.splitlines()[:3]] == ["EQUAL", "EQUAL", "NOT_MATCH"]


def test_nothing_in_common_passes_as_in_the_reference(files: dict[str, Array], work: Path, tool: Tool) -> None:
    np.savez(work / "c.npz", other=np.zeros(1))
    done = tool("npz_tool", "compare", "c.npz", "a.npz")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "0 compared")
    assert "no tensor in common" in done.stderr


def test_what_8_bits_make_of_tensors(files: dict[str, Array], work: Path, tool: Tool) -> None:
    (work / "table").write_text("image 2.5 -2.5 2.5\nwide 3 -3 3\nbytes 1 -1 1\n")
    done = tool("npz_tool", "cali_test", "a.npz", "--calibration_table", "table")
    assert "2 compared" in done.stdout
    found = read_npz(work / "requant.npz")
    assert found.keys() == {"image", "wide"}
    np.testing.assert_allclose(found["image"], np.clip(np.round(files["image"] * 127 / 2.5), -128, 127) * 2.5 / 127, rtol=1e-5)


# --- files of files -----------------------------------------------------------------------------------------------------
def test_edit(files: dict[str, Array], work: Path, tool: Tool) -> None:
    def run(*arguments: str) -> str:
        done = tool("npz_tool", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("extract", "a.npz", "c.npz", "wide,bytes") == "extract wide\nextract bytes\n"
    assert list(read_npz(work / "c.npz")) == ["wide", "bytes"]
    assert run("remove", "c.npz", "bytes") == "remove bytes\n"
    assert list(read_npz(work / "c.npz")) == ["wide"]
    run("rename", "c.npz", "wide", "broad")
    np.testing.assert_array_equal(read_npz(work / "c.npz")["broad"], files["wide"])
    run("reshape", "c.npz", "broad", "16,-1")
    assert read_npz(work / "c.npz")["broad"].shape == (16, 20)
    run("permute", "c.npz", "1,0")
    np.testing.assert_array_equal(read_npz(work / "c.npz")["broad"], files["wide"].reshape(16, 20).T)
    run("merge", "c.npz", "a.npz", "b.npz", "d.npz")
    merged = read_npz(work / "d.npz")
    assert list(merged) == ["broad", "image", "wide", "bytes"]
    np.testing.assert_array_equal(merged["bytes"], files["bytes"] + np.int8(1))
    run("insert", "a.npz", "c.npz")
    assert read_npz(work / "c.npz").keys() == {"broad", "image", "wide", "bytes"}
    run("permute", "a.npz", "wide", "0,2,3,1")
    assert {name: array.shape for name, array in read_npz(work / "a.npz").items()} == {
        "image": (1, 3, 4, 5), "wide": (2, 4, 5, 8), "bytes": (2, 2),
    }


def test_convert(files: dict[str, Array], work: Path, tool: Tool) -> None:
    for kind, precision in (("bf16", 2**-8), ("fp16", 2**-11)):
        assert tool("npz_tool", f"fp32_to_{kind}", "a.npz", "c.npz").returncode == 0
        assert tool("npz_tool", f"{kind}_to_fp32", "c.npz", "d.npz").returncode == 0
        stored, back = read_npz(work / "c.npz"), read_npz(work / "d.npz")
        assert (stored["image"].dtype, stored["bytes"].dtype, back["image"].dtype) == (np.uint16, np.int8, np.float32)
        np.testing.assert_allclose(back["image"], files["image"], rtol=precision)
    np.testing.assert_array_equal(back["image"], files["image"].astype(np.float16).astype(np.float32))


def test_bytes(files: dict[str, Array], work: Path, tool: Tool) -> None:
    assert tool("npz_tool", "to_bin", "a.npz", "wide", "w.bin").stdout == "shape (2, 8, 4, 5)\ndtype float32\n"
    assert (work / "w.bin").read_bytes() == files["wide"].tobytes()
    tool("npz_tool", "to_bin", "a.npz", "bytes", "b.bin", "float32")
    assert (work / "b.bin").read_bytes() == files["bytes"].astype(np.float32).tobytes()
    tool("npz_tool", "to_dat", "a.npz", "a.dat")
    assert (work / "a.dat").read_bytes() == b"".join(array.tobytes() for array in files.values())
    tool("npz_tool", "to_npy", "a.npz", "wide")
    np.testing.assert_array_equal(np.load(work / "wide.npy"), files["wide"])


# --- what is printed ----------------------------------------------------------------------------------------------------
def test_dump(files: dict[str, Array], tool: Tool) -> None:
    listed = "image\t(1, 3, 4, 5)\tfloat32\nwide\t(2, 8, 4, 5)\tfloat32\nbytes\t(2, 2)\tint8\n"
    assert tool("npz_tool", "dump", "a.npz").stdout == listed == tool("npz_tool", "dump", "a.npz", "--list").stdout
    assert tool("npz_tool", "dump", "a.npz", "bytes").stdout == "[[   1 -128]\n [ 127    0]]\nshape (2, 2)\ndtype int8\n"
    assert tool("npz_tool", "dump", "a.npz", "bytes", "1,:").stdout.startswith("[127   0]\n")
    assert f"mean {files['image'].reshape(3, -1).mean(axis=1).round(6)}"[:10] in tool("npz_tool", "dump", "a.npz", "image").stdout


def test_shapes_and_differences(files: dict[str, Array], work: Path, tool: Tool) -> None:
    assert tool("npz_tool", "get_shape", "a.npz", "image").stdout == "[1,3,4,5]\n"
    assert tool("npz_tool", "print_diff", "a.npz", "a.npz", "wide").stdout.endswith("No difference!\n")
    assert tool("npz_tool", "print_diff", "a.npz", "b.npz", "bytes", "2").stdout.splitlines()[1:] == ["0: 1, 2", "1: -128, -127"]
    np.savez(work / "bad.npz", good=np.ones(2), nan=np.array([np.nan]), inf=np.array([[np.inf]]), whole=np.ones(2, np.int32))
    assert tool("npz_tool", "check_nan_inf", "bad.npz").stdout == "NaN in nan:(1,)\nInf in inf:(1, 1)\n"


def test_statistic(files: dict[str, Array], tool: Tool) -> None:
    assert tool("npz_tool", "statistic", "a.npz").stdout == "image\nwide\nbytes\n"
    printed = tool("npz_tool", "statistic", "a.npz", "image", "1").stdout
    rows = files["image"].reshape(3, -1)
    extent = rows.max(axis=1) - rows.min(axis=1)
    with np.printoptions(precision=6, suppress=True):
        assert f"data range {extent}\n" in printed
        assert f"norm_odr {np.argsort(extent)}\n" in printed


# --- what is wrong ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nonsense",), "nonsense: there is compare, print_diff"),
        (("visualize_diff", "a.npz", "b.npz"), "visualize_diff: there are no plots"),
        (("rename", "a.npz"), "rename: usage: npz_tool.py rename in.npz OLD NEW"),
        (("extract", "a.npz", "c.npz", "gone"), "a.npz: no array gone; there is image, wide, bytes"),
        (("reshape", "a.npz", "bytes", "3,3"), "a.npz: bytes has the shape [2, 2], which cannot be [3, 3]"),
        (("permute", "a.npz", "0,1"), "a.npz: image has 4 axes, which 0,1 does not order"),
        (("dump", "a.npz", "bytes", "x"), "'x' is not indices"),
        (("statistic", "a.npz", "bytes", "5"), "a.npz: bytes has 2 axes, none is 5"),
        (("to_bin", "a.npz", "wide", "w.bin", "int4"), "to_bin: int4: there is int8"),
        (("compare", "gone.npz", "a.npz"), "gone.npz: cannot be read"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments: tuple[str, ...], told: str, files: dict[str, Array], tool: Tool) -> None:
    failed = tool("npz_tool", *arguments)
    assert failed.returncode == 2
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_help_lists_every_sub_command(tool: Tool) -> None:
    shown = tool("npz_tool", "--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in SUB_COMMANDS)
    assert tool("npz_tool").returncode == 2


def test_every_sub_command_of_the_reference_is_known() -> None:
    theirs = """compare print_diff visualize_diff dump extract remove insert merge rename reshape permute bf16_to_fp32 fp16_to_fp32
        fp32_to_bf16 fp32_to_fp16 get_shape to_bin to_dat to_npy cali_test statistic check_nan_inf"""
    assert SUB_COMMANDS.keys() == set(theirs.split())
