"""``model_tool``: what it prints and makes of bmodels, against the tables themselves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.compat.conftest import TRANSFORM, Tool
from tpumlir_compat.model_tool import ACTIONS
from tpumlir_core.bmodel import read_model, write_model
from tpumlir_core.bmodel.schema import CoeffMem, Location, Model
from tpumlir_core.files import read_npz


@pytest.fixture
def files(network: Path, work: Path, tool: Tool) -> Path:
    """a.bmodel and b.bmodel: the same network for batches of 1 and 2."""
    for name, batch in (("a", 1), ("b", 2)):
        tool("model_transform", *TRANSFORM, "--input_shapes", f"[[{batch},3,16,24]]")
        done = tool("model_deploy", "--mlir", "net.mlir", "--chip", "bm1684x", "--model", f"{name}.bmodel")
        assert done.returncode == 0, done.stderr
    return work / "a.bmodel"


def model(path: Path) -> Model:
    return read_model(path.read_bytes())


def test_info(files: Path, tool: Tool) -> None:
    stage = model(files).net[0].parameter[0]
    group = stage.sub_net[0].cmd_group[0]
    memory = stage.coeff_mem
    assert memory is not None
    weights, commands = len(memory.binary_coeff or b""), len(group.binary_bdc or b"") + len(group.binary_gdma or b"")
    assert tool("model_tool", "--info", "a.bmodel").stdout.splitlines()[1:] == [
        "chip: BM1684X", f"create time: {(model(files).time or '').strip()}", "", "no kernel_module", "=" * 42, "net 0: [net]  static",
        "-" * 12, "stage 0, core num: 1", "input: x, [1, 3, 16, 24], float32, scale: 1, zero_point: 0",
        "output: p_Softmax, [1, 10], float32, scale: 1, zero_point: 0", "",
        f"device mem size: {weights + commands + stage.ctx_size} (weight: {weights}, instruct: {commands}, runtime: {stage.ctx_size})",
        "host mem size: 0 (weight: 0, runtime: 0)",
    ]
    for flags in (("--all", "a.bmodel"), ("a.bmodel", "--all")):
        assert "subnet input: x, [1, 3, 16, 24]" in tool("model_tool", "--info", *flags).stdout


def test_facts(files: Path, tool: Tool) -> None:
    assert tool("model_tool", "--chip", "a.bmodel").stdout == "BM1684X"
    assert tool("model_tool", "--dynamic", "a.bmodel").stdout == "false"


def test_tables(files: Path, work: Path, tool: Tool) -> None:
    lines = tool("model_tool", "--print", "a.bmodel").stdout.splitlines()
    assert lines[0] == "{"
    assert lines[-1] == "}"
    stage = model(files).net[0].parameter[0]
    assert f"          ctx_size: {stage.ctx_size}," in lines
    assert '              name: "p_Softmax",' in lines
    place = lines.index("            binary_coeff: {")
    start, size = (int(line.strip(" ,").split(": ")[1]) for line in lines[place + 1 : place + 3])
    assert tool("model_tool", "--dump", "a.bmodel", str(start), hex(size), "weights.bin").returncode == 0
    assert stage.coeff_mem is not None
    assert (work / "weights.bin").read_bytes() == bytes(stage.coeff_mem.binary_coeff or b"")


def test_parts_and_combinations(files: Path, work: Path, tool: Tool) -> None:
    done = tool("model_tool", "--combine", "a.bmodel", "b.bmodel", "-o", "c.bmodel")
    assert done.returncode == 0, done.stderr
    assert [len(net.parameter) for net in model(work / "c.bmodel").net] == [2]
    assert "stage 1, core num: 1" in tool("model_tool", "--info", "c.bmodel").stdout
    assert "Generate file [bm_net0_stage1.bmodel] ......" in tool("model_tool", "--extract", "c.bmodel").stdout
    assert model(work / "bm_net0_stage1.bmodel").net[0].parameter == model(work / "b.bmodel").net[0].parameter
    chance = np.random.default_rng(0).standard_normal((2, 3, 16, 24)).astype(np.float32)
    np.savez(work / "in.npz", x=chance)
    for name in ("b", "c"):
        assert tool("model_runner", "--input", "in.npz", "--model", f"{name}.bmodel", "--output", f"{name}.npz").returncode == 0
    np.testing.assert_array_equal(read_npz(work / "c.npz")["p_Softmax"], read_npz(work / "b.npz")["p_Softmax"])


def test_equal_weights(files: Path, work: Path, tool: Tool) -> None:
    for name in ("a", "b"):
        with_weights(work / f"{name}.bmodel", b"aaaabbbb")
    done = tool("model_tool", "--combine_coeff", "a.bmodel", "b.bmodel", "-o", "c.bmodel")
    assert done.returncode == 0, done.stderr
    assert len(model(work / "c.bmodel").net[0].parameter) == 2
    with_weights(work / "b.bmodel", b"aaaacccc")
    failed = tool("model_tool", "--combine_coeff", "a.bmodel", "b.bmodel", "-o", "c.bmodel")
    assert failed.returncode == 2
    assert "b.bmodel: its weights are others than those of a.bmodel" in failed.stderr


def test_folders(files: Path, work: Path, tool: Tool) -> None:
    for name in ("a", "b"):
        (work / name).mkdir()
        (work / f"{name}.bmodel").rename(work / f"{name}/compilation.bmodel")
        (work / f"{name}/input_ref_data.dat").write_bytes(f"in {name};".encode())
        (work / f"{name}/output_ref_data.dat").write_bytes(f"out {name};".encode())
    assert tool("model_tool", "--combine_dir", "a", "b", "-o", "c").returncode == 0
    assert (work / "c/input_ref_data.dat").read_bytes() == b"in a;in b;"
    assert (work / "c/output_ref_data.dat").read_bytes() == b"out a;out b;"
    assert len(model(work / "c/compilation.bmodel").net[0].parameter) == 2


def test_firmware(files: Path, work: Path, tool: Tool) -> None:
    (work / "firm.so").write_bytes(b"firmware" * 100)
    before = files.read_bytes()
    assert tool("model_tool", "--kernel_update", "a.bmodel", "firm.so").returncode == 0
    shown = tool("model_tool", "--info", "a.bmodel").stdout
    assert "kernel_module name: firm.so\nkernel_module size: 800\nkernel mode: normal\n" in shown
    assert tool("model_tool", "--kernel_dump", "a.bmodel", "-o", "out.so").returncode == 0
    assert (work / "out.so").read_bytes() == b"firmware" * 100
    assert tool("model_tool", "--kernel_remove", "a.bmodel").returncode == 0
    assert files.read_bytes() == before
    assert "there is no firmware in it" in tool("model_tool", "--kernel_dump", "a.bmodel", "-o", "out.so").stderr
    assert tool("model_tool", "--refresh", "a.bmodel").returncode == 0
    assert files.read_bytes() == before


def with_weights(path: Path, data: bytes) -> None:
    """A bmodel whose weights are named in parts of 4 bytes."""
    found = model(path)
    stage = found.net[0].parameter[0]
    parts = tuple(Location(f"w{i}", i, 4) for i in range(0, len(data), 4))
    memory = replace(stage.coeff_mem or CoeffMem(), binary_coeff=data, location=parts)
    path.write_bytes(write_model(replace(found, net=(replace(found.net[0], parameter=(replace(stage, coeff_mem=memory),)),))))


def test_weights_are_copied(files: Path, work: Path, tool: Tool) -> None:
    with_weights(files, b"aaaabbbb")
    with_weights(work / "b.bmodel", b"ccccdddd")
    listed = "net 0 : \"net\", stage:0\n-------------------------------\nw0 : [0x0, 0x4)\nw4 : [0x4, 0x8)\n" + "=" * 42 + "\n"
    assert tool("model_tool", "--weight", "a.bmodel").stdout == listed
    done = tool("model_tool", "--update_weight", "a.bmodel", "net", "4", "b.bmodel", "net", "0x0")
    assert done.returncode == 0, done.stderr
    memory = model(files).net[0].parameter[0].coeff_mem
    assert memory is not None
    assert bytes(memory.binary_coeff or b"") == b"aaaacccc"
    assert bytes(memory.check_code) == hashlib.sha256(b"aaaacccc").digest()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--nonsense",), "--nonsense: there is --info, --chip"),
        (("--encrypt", "-model", "a.bmodel"), "--encrypt: there is no encryption"),
        (("--decrypt", "-model", "a.bmodel"), "--decrypt: there is no encryption"),
        (("--chip",), "--chip: usage: model_tool --chip FILE"),
        (("--combine", "a.bmodel", "b.bmodel"), "--combine: usage: model_tool --combine FILES -o OUT"),
        (("--combine", "a.bmodel", "a.bmodel", "-o", "c.bmodel"), "network net is there twice"),
        (("--dump", "a.bmodel", "0", "99999999999", "o"), "bytes at 0 are beyond its"),
        (("--dump", "a.bmodel", "x", "1", "o"), "x: a whole number is needed"),
        (("--update_weight", "a.bmodel", "net", "0", "b.bmodel", "gone", "0"), "b.bmodel: no network gone; there is net"),
        (("--update_weight", "a.bmodel", "net", "0", "b.bmodel", "net", "7"), "b.bmodel: network net has no weight at 7"),
        (("--info", "net.onnx"), "net.onnx: not a bmodel"),
        (("--info", "gone"), "gone: cannot be read"),
        (("--combine_dir", "photos", "-o", "c"), "compilation.bmodel: cannot be read"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments: tuple[str, ...], told: str, files: Path, tool: Tool) -> None:
    failed = tool("model_tool", *arguments)
    assert failed.returncode == 2
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_help_lists_every_action(tool: Tool) -> None:
    shown = tool("model_tool", "--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ACTIONS)
    assert tool("model_tool").returncode == 2
