"""The search for operations that keep floats: units, what it finds beside every other choice, and the command."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Command
from tests.passes.conftest import Graph
from tpumlir_core import api
from tpumlir_core.calibration import Calibration
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, Module, top
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.mixed_precision import Search
from tpumlir_core.mixed_precision.search import copied
from tpumlir_core.mixed_precision.units import units_of
from tpumlir_core.plugins.extension_points import LoweringOptions
from tpumlir_core.tables import TableOrigin, read_quantization_table, write_calibration_table
from tpumlir_sophgo.executor import SophgoExecutor

CHIP = "bm1684x"
POINT = {"kernel_shape": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}


def network() -> tuple[Module, list[dict[str, Array]]]:
    """Four products in a row, the second with channels of very different size, which its result stores badly; and a residual sum."""
    graph = Graph()
    wide = np.ones((8, 8, 1, 1), np.float32) * np.logspace(0, 2.5, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    narrow = np.ones((8, 8, 1, 1), np.float32) * np.logspace(0, -2.5, 8, dtype=np.float32).reshape(1, 8, 1, 1)
    a = graph.op(top.SiLU, graph.op(top.Conv, graph.input(1, 8, 6, 6), graph.random(8, 8, 1, 1), None, **POINT))
    b = graph.op(top.Conv, a, graph.weight(graph.rng.uniform(-1, 1, wide.shape) * wide), None, **POINT)
    c = graph.op(top.Conv, b, graph.weight(graph.rng.uniform(-1, 1, wide.shape) * narrow), None, do_relu=True, **POINT)
    d = graph.op(top.Add, c, a)
    module = graph.module(graph.op(top.Conv, d, graph.random(4, 8, 1, 1), None, **POINT))
    return module, [{"x0": graph.rng.uniform(-2, 2, (1, 8, 6, 6)).astype(np.float32)} for _ in range(3)]


def calibrated(module: Module, samples: list[dict[str, Array]]) -> LoweringOptions:
    return LoweringOptions(calibration=api.calibrate(module, Calibration(samples, method="max")))


def cosine(module: Module, samples: list[dict[str, Array]], options: LoweringOptions, modes: dict[str, str]) -> float:
    """Of the output over all samples, with numpy and the executor."""
    lowering = LoweringOptions(calibration=options.calibration, modes=modes)
    lowered = api.lower(copied(module), chip=CHIP, quantize="INT8", lowering=lowering)
    name = module.function.outputs[0].name
    ours = np.stack([SophgoExecutor().run(lowered, sample)[name] for sample in samples]).ravel().astype(np.float64)
    floats = np.stack([evaluate_module(module, sample)[name] for sample in samples]).ravel().astype(np.float64)
    return float(ours @ floats / np.linalg.norm(ours) / np.linalg.norm(floats))


def test_units_are_products_with_what_is_made_of_them_alone() -> None:
    module, _ = network()
    names = [op.name for op in module.function.operations if op.opcode not in ("top.Input", "top.Weight")]
    units = units_of(module, names)
    assert [[op.opcode for op in unit.operations] for unit in units] == [
        ["top.Conv", "top.SiLU"], ["top.Conv"], ["top.Conv"], ["top.Add"], ["top.Conv"],
    ]
    assert [unit.name for unit in units_of(module, names[:1])] == names[:1]


def test_it_finds_the_fewest_units_of_all_choices() -> None:
    module, samples = network()
    options = calibrated(module, samples)
    before = cosine(module, samples, options, {})
    least = 1 - (1 - before) / 5
    found = api.search_modes(module, chip=CHIP, wanted=Search(samples, least), lowering=options)
    assert found.cosine_before == pytest.approx(before, abs=1e-6)
    assert found.cosine == pytest.approx(cosine(module, samples, options, dict(found.modes)), abs=1e-6)
    assert found.cosine >= least > before
    units = units_of(module, [op.name for op in module.function.operations if op.opcode not in ("top.Input", "top.Weight")])
    chosen = [unit for unit in units if unit.name in found.modes]
    assert 0 < len(chosen) < len(units)
    for fewer in itertools.combinations(units, len(chosen) - 1):
        modes = {op.name: "F16" for unit in fewer for op in unit.operations}
        assert cosine(module, samples, options, modes) < least


def test_twice_the_same_and_the_network_stays_as_it_is() -> None:
    module, samples = network()
    options = calibrated(module, samples)
    first, second = (api.search_modes(module, chip=CHIP, wanted=Search(samples, 0.9999), lowering=options) for _ in range(2))
    assert first == second
    assert {op.opcode.split(".")[0] for op in module.function.operations} == {"top"}


def test_where_8_bits_do_nothing_is_named() -> None:
    module, samples = network()
    found = api.search_modes(module, chip=CHIP, wanted=Search(samples, 0.5), lowering=calibrated(module, samples))
    assert (dict(found.modes), list(found.units)) == ({}, [])


def test_what_is_too_large_for_f16_becomes_f32() -> None:
    module, samples = network()
    options = calibrated(module, samples)
    scaled = {name: type(one)(one.threshold * 1e6, one.low, one.high) for name, one in options.calibration.items()}
    found = api.search_modes(module, chip=CHIP, wanted=Search(samples, 1.0), lowering=LoweringOptions(calibration=scaled))
    assert set(found.modes.values()) == {"F32"}


def test_without_samples() -> None:
    module, samples = network()
    with pytest.raises(InputError, match="no sample to search with"):
        api.search_modes(module, chip=CHIP, wanted=Search([]), lowering=calibrated(module, samples))


def test_the_command_writes_a_table_that_deploy_takes(tpumlir: Command, tmp_path: Path) -> None:
    module, samples = network()
    options = calibrated(module, samples)
    write_calibration_table(tmp_path / "t", options.calibration, TableOrigin("net", "max", 3))
    api.save_module(module, tmp_path / "net.mlir")
    for place, sample in enumerate(samples):
        np.savez(tmp_path / f"{place}.npz", **sample)  # type: ignore[arg-type]
    (tmp_path / "list").write_text("".join(f"{tmp_path}/{place}.npz\n" for place in range(3)))
    common = ("--chip", CHIP, "--calibration-table", str(tmp_path / "t"))
    searched = ("qtable", str(tmp_path / "net.mlir"), *common, "--data-list", str(tmp_path / "list"), "-o", str(tmp_path / "q"))
    result = tpumlir(*searched, "--min-cos", "0.9999", "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["cosine"] >= 0.9999 > facts["cosine_before"]
    assert read_quantization_table(tmp_path / "q") == facts["modes"] != {}
    deployed = tpumlir("deploy", str(tmp_path / "net.mlir"), *common, "--quantize", "INT8", "--quantize-table", str(tmp_path / "q"),
                       "-o", str(tmp_path / "net.bmodel"))
    assert deployed.returncode == 0, deployed.stderr
    assert tpumlir(*searched, "--min-cos", "1").returncode == 1
