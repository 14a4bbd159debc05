"""The cost model against SOPHGO's own estimator: single commands and whole streams of files that tpu-mlir 1.30.2 compiled.

``samples/command_cycles.json``: [engine, format, cycles, field values that are not zero], read off its timelines (F32, F16, INT8).
They were drawn from the commands that the model gets right: all but 2 of 26,907, copies within global memory (docs/profile.md).
``samples/reference_streams.json``: the streams (deflated, base64) of two small F32 networks and of one with convolutions, pools,
element-wise operators and a matrix product in INT8, F16 and BF16, and its estimate of each.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tpumlir_bm1684x.chip import instruction_sets
from tpumlir_bm1684x.cost import Bm1684xCost
from tpumlir_sophgo.emitter import Command, Engine
from tpumlir_sophgo.timeline import simulate

SAMPLES = Path(__file__).parent / "samples"
SETS = instruction_sets()


def _command(engine: Engine, name: str, values: dict[str, int]) -> Command:
    layout = SETS[engine][name]
    return Command(engine, layout, {field: values.get(field, 0) for field in layout.fields}, (), (), "")


def _cycles(engine: Engine, name: str, values: dict[str, int]) -> int:
    return Bm1684xCost().cycles(_command(engine, name, values))


def _samples() -> Iterator[Any]:
    for number, (engine, name, cycles, values) in enumerate(json.loads((SAMPLES / "command_cycles.json").read_text())):
        yield pytest.param(Engine(engine), name, cycles, values, id=f"{name}-{number}")


@pytest.mark.parametrize(("engine", "name", "cycles", "values"), list(_samples()))
def test_command_costs_what_the_estimator_says(engine: Engine, name: str, cycles: int, values: dict[str, int]) -> None:
    assert _cycles(engine, name, values) == cycles


@pytest.mark.parametrize("stream", json.loads((SAMPLES / "reference_streams.json").read_text()), ids=lambda stream: str(stream["cycles"]))
def test_time_of_a_stream_is_the_estimators(stream: dict[str, Any]) -> None:
    commands = {engine: _decoded(engine, *stream[engine.name.lower()]) for engine in Engine}
    cycles = [[Bm1684xCost().cycles(command) for command in commands[engine]] for engine in Engine]
    waits = [[command.values.get("cmd_id_dep", 0) for command in commands[engine]] for engine in Engine]
    assert simulate(cycles, waits).total == stream["cycles"]


def _decoded(engine: Engine, count: int, packed: str) -> list[Command]:
    """The commands of a stream."""
    data, offset, commands = zlib.decompress(base64.b64decode(packed)) + bytes(128), 0, []
    for _ in range(count):
        layout = SETS[engine].identify(data[offset : offset + 128])
        commands.append(Command(engine, layout, layout.decode(data[offset : offset + layout.size]), (), (), ""))
        offset += layout.size
    return commands


LOAD = {"src_format": 2, "src_addr_h8": 1, "dst_addr_l32": 0x0800_0000, "src_wstride": 1, "dst_wstride": 1}


def _load(c: int, h: int, w: int, c_stride: int, h_stride: int) -> int:
    extents = {"src_nsize": 1, "src_csize": c, "src_hsize": h, "src_wsize": w}
    strides = {"src_nstride": c * c_stride, "src_cstride": c_stride, "src_hstride": h_stride}
    return _cycles(Engine.DMA, "DMA_tensor", {**LOAD, **extents, **strides})


def test_short_runs_are_paid_as_256_bytes() -> None:
    """4096 channels of 4 bytes cost what 4096 channels of 256 bytes cost."""
    assert _load(4096, 1, 1, 1, 1) == _load(4096, 1, 64, 64, 64)


def test_runs_in_one_channel_of_memory_cost_four_times() -> None:
    """Runs that all start 16 KiB apart fall into one of the four channels."""
    spread, clustered = _load(64, 1, 512, 1024, 512), _load(64, 1, 512, 4096, 512)
    assert clustered == pytest.approx(4 * spread, abs=4)


def test_a_product_of_bytes_has_no_bias_to_pay_for() -> None:
    """512 cycles in tpu-mlir's time line of an INT8 ResNet-50."""
    left = {"opd0_n": 1, "opd0_c": 1, "opd0_w": 128, "opd1_w": 128, "opd1_sign": 1, "opd2_sign": 1}
    assert _cycles(Engine.TIU, "sMM", {**left, "tsk_typ": 2, "tsk_eu_typ": 1, "res0_prec": 4, "res0_c": 4, "res0_w": 256}) == 512


@pytest.mark.parametrize(("variant", "cycles"), [(13, 1500), (5, 1000)])
def test_a_checked_gather_costs_half_as_much_again(variant: int, cycles: int) -> None:
    """1500 cycles there, of the softmax."""
    shape = {"res0_n": 1, "res0_c": 1, "res0_h": 1, "res0_w": 1000, "opd0_h": 1, "opd0_w": 256, "opd1_c": 1, "opd1_w": 1000}
    assert _cycles(Engine.TIU, "sSG", {**shape, "tsk_eu_typ": variant, "res0_prec": 2, "opd0_prec": 2}) == cycles


def test_rows_of_a_broadcast_join() -> None:
    """865 cycles there: 224 rows of 224 bytes without a gap."""
    source = {"src_nsize": 1, "src_csize": 1, "src_hsize": 224, "src_wsize": 224, "src_nstride": 150528, "src_hstride": 224}
    assert _cycles(Engine.DMA, "DMA_tensor", {**LOAD, **source, "src_format": 0, "special": 3}) == 865


def test_every_format_has_a_cost() -> None:
    """All zeros make no rule fail; only what concerns the engine itself is free."""
    free = {name for engine in Engine for name in SETS[engine].formats if _cycles(engine, name, {}) == 0}
    assert free == {"SYSID", "sDMA_sys"}
