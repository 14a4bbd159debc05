"""Networks in a file: what is written is what was said, and combining and extracting are opposites."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from tpumlir_core.bmodel import (
    BmodelNet,
    BmodelTensor,
    CommandStreams,
    WeightLocation,
    build_model,
    combine,
    extract,
    extract_all,
    read_model,
    read_notes,
    write_bmodel,
    write_model,
)  # fmt: skip
from tpumlir_core.bmodel.schema import NetParameter
from tpumlir_core.errors import InputError, InternalError
from tpumlir_core.ir.types import ElementType

BASE = 1 << 32


def _net(name: str = "n", height: int = 4, **changes: Any) -> BmodelNet:
    inputs = (BmodelTensor("x", ElementType.F32, (1, 3, height, 5), BASE + 4096, 60 * height),)
    outputs = (BmodelTensor("y", ElementType.SI8, (1, 10), BASE + 8192, 10, scale=0.25, zero_point=-3),)
    net = BmodelNet(
        name, "BM1684X", inputs, outputs, b"w" * 100, BASE, BASE + 4096, 8192, (CommandStreams(b"t" * 16, 1, b"d" * 112, 2),),
        (WeightLocation("filter", 0, 100),),
    )
    return replace(net, **changes)


def test_the_tables_say_what_was_given() -> None:
    model = read_model(write_bmodel([_net()], "maker 1"))
    assert (model.type, model.version, model.chip, model.neuron_size) == ("B", "2.2+maker 1", "BM1684X", 8192)
    assert model.kernel_module is None
    stage = model.net[0].parameter[0]
    (y,) = stage.output_tensor
    assert (y.name, y.data_type, y.device_addr, y.size, y.shape[0].dim) == ("y", 2, BASE + 8192, 10, (1, 10))
    assert (y.scale, y.zero_point, y.mem_type, y.hidden) == (0.25, -3, 1, 2)
    assert stage.coeff_mem is not None
    assert stage.coeff_mem.binary_coeff == b"w" * 100
    assert bytes(stage.coeff_mem.check_code) == hashlib.sha256(b"w" * 100).digest()
    (group,) = stage.cmd_group
    assert (group.bdc_num, group.gdma_num, group.bdc_cmd_byte, group.gdma_cmd_byte) == (1, 2, 128, 128)
    assert group.binary_bdc == b"t" * 16 + bytes(112)
    assert stage.sub_net[0].cmd_group == stage.cmd_group


def test_the_same_input_gives_the_same_bytes() -> None:
    assert write_bmodel([_net(), _net("m")]) == write_bmodel([_net(), _net("m")])


def test_a_network_of_one_name_has_stages() -> None:
    model = build_model([_net(), _net("other"), _net(height=8, neuron_bytes=1 << 20)])
    assert [(net.name, len(net.parameter)) for net in model.net] == [("n", 2), ("other", 1)]
    assert model.neuron_size == 1 << 20


def test_combine_is_build_of_all() -> None:
    nets = [_net(), _net(height=8), _net("other")]
    assert combine([read_model(write_bmodel([net])) for net in nets]) == build_model(nets)


def test_extract_undoes_combine() -> None:
    nets = [_net(), _net(height=8), _net("other", neuron_bytes=1 << 20)]
    model = build_model(nets)
    parts = extract_all(model)
    assert list(parts) == ["bm_net0_stage0", "bm_net0_stage1", "bm_net1_stage0"]
    assert [write_model(part) for part in parts.values()] == [write_bmodel([net]) for net in nets]
    assert extract(model, "n") == build_model(nets[:2])


@pytest.mark.parametrize(("others", "message"), [
    ([_net(chip="BM1684")], "different chips: BM1684, BM1684X"),
    ([_net()], r"network n is there twice with input shapes \[\[1, 3, 4, 5\]\]"),
    ([_net(height=8, inputs=())], "networks n have different inputs or outputs"),
])  # fmt: skip
def test_what_does_not_go_together(others: list[BmodelNet], message: str) -> None:
    with pytest.raises(InputError, match=message):
        combine([build_model([net]) for net in [_net(), *others]])


def test_nothing_to_combine_or_extract() -> None:
    with pytest.raises(InputError, match="no bmodel given"):
        combine([])
    with pytest.raises(InputError, match="no network z; there are n"):
        extract(build_model([_net()]), "z")
    with pytest.raises(InputError, match="no stage 1; its stages are 0 to 0"):
        extract(build_model([_net()]), "n", 1)


@pytest.mark.parametrize(("changes", "message"), [
    ({"neuron_address": BASE + 50}, "weights reach into the neurons"),
    ({"neuron_bytes": 4096}, "tensor y: 10 bytes at 0x100002000 are not within its neurons"),
    ({"groups": ()}, "without even its end command"),
    ({"groups": (CommandStreams(b"", 0, b"d" * 16, 1),)}, "without even its end command"),
    ({"inputs": (BmodelTensor("x", ElementType.F32, (), BASE + 4096, 4),)}, r"holds no f32 of shape \(\)"),
    ({"inputs": (BmodelTensor("x", ElementType.SI64, (1,), BASE + 4096, 8),)}, "holds no si64"),
])  # fmt: skip
def test_faults_of_the_compiler_are_found(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InternalError, match=message):
        write_bmodel([_net(**changes)])


def test_notes_are_read_back_and_cost_no_space() -> None:
    notes = {"layers": {"names": ["größe"], "tiu": [0, 1]}, "other": 1.5}
    plain, noted = write_bmodel([_net()]), write_bmodel([_net(notes=notes)])
    (stage,) = read_model(noted).net[0].parameter
    assert read_notes(stage) == notes
    assert len(noted) == len(plain)
    assert read_notes(read_model(plain).net[0].parameter[0]) == {}


@pytest.mark.parametrize("found", [b"[1, 2]", b"{}", b'{"tpumlir": 3}', b"\xff\xfe", b"[" * 100_000, b"1" * 10_000])
def test_what_others_put_there_is_no_note(found: bytes) -> None:
    assert read_notes(NetParameter(tensor_loc=found)) == {}


def test_binaries_that_a_runtime_reads_stay_aligned_behind_notes() -> None:
    data = write_bmodel([_net(name, coeff=name.encode() * 50, notes={"name": name}) for name in ("n", "m")])
    for net in read_model(data).net:
        (stage,) = net.parameter
        assert stage.coeff_mem is not None
        for binary in (stage.coeff_mem.binary_coeff, stage.cmd_group[0].binary_bdc, stage.cmd_group[0].binary_gdma):
            assert binary is not None
            assert data.index(binary) % 4096 == 0
        assert read_notes(stage) == {"name": net.name}
