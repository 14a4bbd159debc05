"""Kernels along axes on the emulator: softmax, reductions, normalizations, index of the extreme, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from tpumlir_bm1684x.emitter import Bm1684xEmitter
from tpumlir_bm1684x.kernels.choice import ChoiceKernel
from tpumlir_core.ir import Array, Operation
from tpumlir_sophgo.kernel import Kernel, Views
from tpumlir_sophgo.tensor import Shape4
from tpumlir_sophgo.testing.kernels import run_kernel

FACTORS = frozenset({1, 2})
few = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
shapes = st.lists(st.sampled_from([1, 2, 3, 5, 8, 17, 33, 70]), min_size=1, max_size=4).filter(lambda s: np.prod(s) <= 20000)
layouts = st.sampled_from([{}, {"loose": True}, {"pieces": 2, "loose": True}])


def random(shape: Any, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32)


@few
@given(st.data(), shapes, layouts, st.sampled_from([0.5, 1.0]), st.booleans())
def test_softmax_along_any_axis(runner: Any, data: st.DataObject, shape: list[int], layout: dict[str, Any], beta: float, log: bool) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    runner.check("tpu.Softmax", [random(shape) * 9], axis=axis, beta=beta, log=log, **layout)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((1, 3, 6625), -1), ((2, 20001), 1), ((32000,), 0), ((2, 60000), 1), ((1, 50257), 1), ((2, 30000, 3), 1), ((2, 300000), 1)],
)
def test_softmax_of_long_rows(runner: Any, shape: tuple[int, ...], axis: int, log: bool) -> None:
    x = random(shape) * 9
    _, (ours,) = runner.run("tpu.Softmax", [x], axis=axis, log=log, pieces=2, beta=0.5)
    scaled = 0.5 * (x.astype(np.float64) - x.max(axis, keepdims=True))
    wanted = scaled - np.log(np.exp(scaled).sum(axis, keepdims=True))
    np.testing.assert_allclose(ours, wanted if log else np.exp(wanted), rtol=1e-5, atol=1e-35)


def test_softmax_of_extreme_logits(runner: Any) -> None:
    logits = np.array([[-1e30, 0.0, 1.0, -3e38], [500.0, 501.0, -500.0, 3e38], [-2e4, -2e4, -2e4, -2e4]], np.float32)
    runner.check("tpu.Softmax", [logits], axis=1)


@few
@given(st.data(), shapes, layouts, st.sampled_from(["Sum", "Mean", "Max", "Min", "L1", "L2", "Prod"]))
def test_reduce_one_run_of_axes(runner: Any, data: st.DataObject, shape: list[int], layout: dict[str, Any], mode: str) -> None:
    first = data.draw(st.integers(0, len(shape) - 1))
    last = data.draw(st.integers(first, len(shape) - 1))
    values = random(shape)
    if mode == "Prod":
        values = 1 + values / 20
    keepdims = data.draw(st.booleans())
    # The largest magnitude is a poor yardstick where a sum cancels; the sum of magnitudes is what rounding scales with.
    tolerance = 2e-5 if mode in ("Sum", "Mean", "Prod") else 2e-6
    axes = tuple(range(first, last + 1))
    runner.check("tpu.Reduce", [values], tolerance=tolerance, axes=axes, keepdims=keepdims, mode=f"Reduce{mode}", **layout)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2, 3, 4, 5), (0, 2)), ((3, 150, 4, 3), (1, 3)), ((5, 3, 1, 7), (0, 3)), ((2, 1, 6, 1), (0, 1, 2, 3)), ((3, 70000), (1,))],
)
def test_reduce_other_axes(runner: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    runner.check("tpu.Reduce", [np.abs(random(shape))], axes=axes, keepdims=False, mode="ReduceSum")
    runner.check("tpu.Reduce", [random(shape)], tolerance=0.0, axes=axes, keepdims=True, mode="ReduceMax")


@few
@given(st.data(), shapes, layouts)
def test_layer_norm(runner: Any, data: st.DataObject, shape: list[int], layout: dict[str, Any]) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    inner = tuple(shape[axis:])
    weight, bias = (random(inner, seed) if data.draw(st.booleans()) else None for seed in (1, 2))
    runner.check("tpu.LayerNorm", [random(shape) + 1, weight, bias], FACTORS, axis=axis, eps=1e-5, normalized_shape=inner, **layout)


@pytest.mark.parametrize("shape", [(3, 12000), (1, 2, 3001), (1, 1, 768)])
def test_layer_norm_of_long_rows(runner: Any, shape: tuple[int, ...]) -> None:
    row = shape[-1:]
    runner.check("tpu.LayerNorm", [random(shape), random(row, 1), random(row, 2)], FACTORS, axis=-1, eps=1e-5, normalized_shape=row)


@few
@given(
    st.tuples(st.sampled_from([1, 2, 5, 12]), st.sampled_from([3, 7, 70]), st.integers(1, 9), st.integers(1, 9)), layouts,
    st.sampled_from([0.75, 0.6, 1.0]),
)
def test_channel_normalizations(runner: Any, shape: tuple[int, ...], layout: dict[str, Any], beta: float) -> None:
    c = shape[1]
    factors = [random((c,), 1), random((c,), 2)]
    runner.check("tpu.PixelNorm", [random(shape), *factors], FACTORS, eps=1e-5, **layout)
    runner.check("tpu.InstanceNorm", [random(shape), *factors], FACTORS, eps=1e-5, **layout)
    runner.check("tpu.Normalize", [random(shape), factors[0]], FACTORS, channel_shared=False, **layout)
    runner.check("tpu.Normalize", [random(shape), factors[0]], FACTORS, channel_shared=False, across_spatial=True, **layout)
    runner.check("tpu.RMSNorm", [random(shape), random(shape[-1:], 3)], FACTORS, eps=1e-5, **layout)
    runner.check("tpu.LRN", [random(shape) * 5], size=5, alpha=0.2, beta=beta, bias=1.5, **layout)


@pytest.mark.parametrize(("shape", "groups"), [((2, 12, 5, 7), 4), ((2, 192, 3, 5), 96), ((3, 6, 16, 16), 2), ((2, 256, 3, 3), 2)])
@pytest.mark.parametrize("layout", [{}, {"loose": True, "pieces": 2}])
def test_group_norm(runner: Any, shape: tuple[int, ...], groups: int, layout: dict[str, Any]) -> None:
    c = shape[1]
    runner.check("tpu.GroupNorm", [random(shape) + 1, random((c,), 1), random((c,), 2)], FACTORS, num_groups=groups, eps=1e-5, **layout)
    runner.check("tpu.GroupNorm", [random(shape), None, random((c,), 2)], FACTORS, num_groups=groups, eps=1e-5, **layout)


@few
@given(st.data(), shapes, layouts, st.sampled_from(["ArgMax", "ArgMin"]), st.booleans())
def test_index_of_the_extreme(
    runner: Any, data: st.DataObject, shape: list[int], layout: dict[str, Any], mode: str, last: bool
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    values = np.random.default_rng(0).integers(-4, 4, shape).astype(np.float32)
    runner.check("tpu.Arg", [values], tolerance=0.0, axis=axis, keepdims=True, mode=mode, select_last_index=last, results=2, **layout)


def resized(values: Array, size: tuple[int, int], mode: str, coordinates: str) -> Array:
    """onnxruntime's Resize to a size."""
    rounding = {"nearest_mode": "floor" if coordinates == "asymmetric" else "round_prefer_floor"} if mode == "nearest" else {}
    node = helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode=mode, coordinate_transformation_mode=coordinates, **rounding)
    target = helper.make_tensor("size", 7, [4], [*values.shape[:2], *size])
    inputs, outputs = (helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", values.shape), ("y", None)))
    graph = helper.make_graph([node], "g", [inputs], [outputs], [target])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return np.asarray(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": values})[0])


@few
@given(
    st.tuples(st.integers(1, 2), st.sampled_from([3, 70]), st.integers(1, 9), st.integers(1, 9)), st.integers(1, 20), st.integers(1, 20),
    st.sampled_from(["nearest", "linear"]), st.sampled_from(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]), layouts,
)
def test_interp_to_any_size(
    runner: Any, shape: tuple[int, ...], h: int, w: int, mode: str, coordinates: str, layout: dict[str, Any]
) -> None:
    values = random(shape)
    _, (ours,) = runner.run("tpu.Interp", [values], results=(*shape[:2], h, w), mode=mode, coord_mode=coordinates, **layout)
    np.testing.assert_allclose(ours, resized(values, (h, w), mode, coordinates), rtol=0, atol=5e-6)


@pytest.mark.parametrize("layout", [{}, {"loose": True}, {"cut": (2, 70, 4, 5)}])
@pytest.mark.parametrize("scale", [(2, 2), (3, 1), (1, 4)])
def test_upsample(runner: Any, scale: tuple[int, int], layout: dict[str, Any]) -> None:
    values = random((2, 70, 3, 4))
    expected = np.maximum(values.repeat(scale[0], 2).repeat(scale[1], 3), 0)
    _, (ours,) = runner.run("tpu.Upsample", [values], results=expected.shape, scale_h=scale[0], scale_w=scale[1], do_relu=True, **layout)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize(
    ("opcode", "shape", "view", "attributes"),
    [
        ("tpu.Softmax", (2, 70, 5, 17), (2, 70, 5, 17), {"axis": 3}),
        ("tpu.Softmax", (2, 21, 99), (2, 21, 9, 11), {"axis": 1}),
        ("tpu.Softmax", (6, 8, 17), (2, 3, 8, 17), {"axis": -1}),
        ("tpu.Reduce", (2, 70, 5, 7), (2, 70, 5, 7), {"axes": (2, 3), "keepdims": True, "mode": "ReduceMax"}),
        ("tpu.Reduce", (2, 70, 5, 7), (2, 70, 5, 7), {"axes": (1, 2), "keepdims": False, "mode": "ReduceMax"}),
        ("tpu.PixelNorm", (2, 70, 35), (2, 70, 5, 7), {"eps": 1e-5}),
        ("tpu.InstanceNorm", (2, 70, 35), (2, 70, 5, 7), {"eps": 1e-5}),
        ("tpu.LRN", (2, 70, 35), (2, 70, 5, 7), {"size": 5}),
    ],
)
def test_takes_the_view_that_is_there(
    runner: Any, opcode: str, shape: tuple[int, ...], view: Shape4, attributes: dict[str, Any], loose: bool
) -> None:
    op, store = runner.operation(opcode, [random(shape)], **attributes)
    kernel = runner.kernels[opcode]

    class There(ChoiceKernel):
        """The kernel asked with an operand that has its view already."""

        def choose(self, op: Any) -> Kernel:
            chosen: Kernel = kernel
            return chosen

        def views(self, op: Operation, known: Sequence[Shape4 | None]) -> Views | None:
            return self.choose(op).views(op, [view])

    views = There().views(op, [])
    assert views is not None
    assert views.operands[0] == view
    (ours,) = run_kernel(runner.machine, Bm1684xEmitter.new, There(), op, [random(shape)], store, loose=loose)
    np.testing.assert_allclose(ours, op.evaluate([random(shape)])[0], rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("opcode", "shape", "attributes", "reason"),
    [
        ("tpu.Softmax", (2, 70001), {"axis": 1}, "70001 elements along its axis are too many for local memory"),
        ("tpu.Softmax", (2, 6), {"axis": 1, "beta": -1.0}, "beta -1.0 is not positive"),
        ("tpu.Reduce", (2, 3, 2, 3, 2), {"axes": (1, 3)}, "axes [1, 3] of [2, 3, 2, 3, 2] cannot be reduced at once"),
        ("tpu.Reduce", (3, 70001), {"axes": (1,)}, "axes [1] of [3, 70001] are too long for local memory"),
    ],
)
def test_says_why_not(runner: Any, opcode: str, shape: tuple[int, ...], attributes: dict[str, Any], reason: str) -> None:
    if opcode == "tpu.Reduce":
        attributes = {"keepdims": False, "mode": "ReduceSum", **attributes}
    op, _ = runner.operation(opcode, [np.zeros(shape, np.float32)], **attributes)
    assert runner.kernels[opcode].supports(op) == reason
