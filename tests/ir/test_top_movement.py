"""Views, rearrangements, gathering and resampling against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.ir.onnx_node import assert_same, evaluate, normal, run_node
from tpumlir_core.errors import InputError
from tpumlir_core.ir import Array, TensorType, Value, top
from tpumlir_core.ir.attributes import InterpCoordMode, InterpMode

FEW = settings(max_examples=30, deadline=None)
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


@FEW
@given(SHAPES, st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_concat_and_split(shape: list[int], parts: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    pieces = [normal(i, *(n if k != axis % len(shape) else part for k, n in enumerate(shape))) for i, part in enumerate(parts)]
    joined = run_node("Concat", pieces, axis=axis)
    assert_same(evaluate(top.Concat, pieces, axis=axis), joined)
    assert_same(evaluate(top.Split, joined, len(parts), axis=axis, num=len(parts), split_size=parts), pieces)
    total = sum(parts)
    theirs = run_node("Split", joined, total, axis=axis)
    assert_same(evaluate(top.Split, joined, total, axis=axis, num=total), theirs)


def test_split_leaves_the_last_part_smaller() -> None:
    values = normal(1, 2, 7)
    theirs = run_node("Split", [values], 3, opset=18, axis=1, num_outputs=3)
    assert_same(evaluate(top.Split, [values], 3, axis=1, num=3), theirs)


BOUND = st.one_of(st.integers(-8, 8), st.sampled_from([2**31 - 2, -(2**31) + 1]))  # onnxruntime takes 2**31 - 1 for either end


@settings(max_examples=80, deadline=None)
@given(SHAPES, st.data())
def test_slice(shape: list[int], data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda a: a % len(shape), min_size=1))
    starts, ends, steps = ([data.draw(element) for _ in axes] for element in (BOUND, BOUND, st.sampled_from([-3, -2, -1, 1, 2, 3])))
    values = normal(1, *shape)
    theirs = run_node("Slice", [values, ints(*starts), ints(*ends), ints(*axes), ints(*steps)])
    assert_same(evaluate(top.Slice, [values], offset=starts, ends=ends, axes=axes, steps=steps), theirs)


@FEW
@given(SHAPES, st.data())
def test_views(shape: list[int], data: st.DataObject) -> None:
    values = normal(1, *shape)
    assert_same(evaluate(top.Reshape, [values], shape=[0, -1]), run_node("Reshape", [values, ints(0, -1)]))
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    merged = [*shape[:start], -1, *shape[end + 1 :]]
    assert_same(evaluate(top.Flatten, [values], start_dim=start, end_dim=end), run_node("Reshape", [values, ints(*merged)]))
    axes = data.draw(st.lists(st.integers(0, len(shape) + 1), unique=True, max_size=2))
    wide = run_node("Unsqueeze", [values, ints(*axes)]) if max(axes, default=0) < len(shape) + len(axes) else None
    if wide is not None:
        assert_same(evaluate(top.Unsqueeze, [values], axes=axes), wide)
        assert_same(evaluate(top.Squeeze, wide, axes=[]), run_node("Squeeze", wide))
    order = data.draw(st.permutations(range(len(shape))))
    assert_same(evaluate(top.Permute, [values], order=order), run_node("Transpose", [values], perm=order))
    assert_same(evaluate(top.Transpose, [values], dim0=0, dim1=-1), [values.swapaxes(0, -1)])


@FEW
@given(SHAPES, st.data())
def test_expand_and_tile(shape: list[int], data: st.DataObject) -> None:
    thin = [n if data.draw(st.booleans()) else 1 for n in shape]
    values = normal(1, *thin)
    target = shape[data.draw(st.integers(0, len(shape) - 1)) :]
    assert_same(evaluate(top.Expand, [values], shape=target), run_node("Expand", [values, ints(*target)]))
    times = [data.draw(st.integers(1, 3)) for _ in shape]
    assert_same(evaluate(top.Tile, [values], tile=times), run_node("Tile", [values, ints(*times)]))


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@FEW
@given(SHAPES, st.data())
def test_pad(mode: str, shape: list[int], data: st.DataObject) -> None:
    low = -1 if mode == "constant" else 0
    paddings = [data.draw(st.integers(low if n > 2 else 0, max(0, n - 1))) for n in shape * 2]
    values = normal(1, *shape)
    theirs = run_node("Pad", [values, ints(*paddings), np.asarray(1.5, np.float32)], mode=mode)
    assert_same(evaluate(top.Pad, [values], paddings=paddings, val=1.5, mode=mode), theirs)


@FEW
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_depth_and_space(block: int, c: int, h: int, w: int) -> None:
    deep, wide = normal(1, 2, c * block * block, h, w), normal(2, 2, c, h * block, w * block)
    sizes: dict[str, Any] = {"block_h": block, "block_w": block}
    for crd, mode in ((False, "DCR"), (True, "CRD")):
        spread = run_node("DepthToSpace", [deep], blocksize=block, mode=mode)
        assert_same(evaluate(top.Depth2Space, [deep], is_CRD=crd, is_inversed=False, **sizes), spread)
        assert_same(evaluate(top.Depth2Space, spread, is_CRD=crd, is_inversed=True, **sizes), [deep])
        nhwc = np.ascontiguousarray(np.moveaxis(deep, 1, 3))
        ours = evaluate(top.Depth2Space, [nhwc], is_CRD=crd, is_inversed=False, in_is_NCHW=False, out_is_NCHW=False, **sizes)
        assert_same(ours, [np.moveaxis(spread[0], 1, 3)])
    theirs = run_node("SpaceToDepth", [wide], blocksize=block)
    assert_same(evaluate(top.Depth2Space, [wide], is_CRD=False, is_inversed=True, **sizes), theirs)


def test_rearrangements_of_known_values() -> None:
    values = np.arange(12, dtype=np.float32).reshape(1, 6, 2)
    assert evaluate(top.ShuffleChannel, [values], group=2)[0][0, :, 0].tolist() == [0, 6, 2, 8, 4, 10]
    assert evaluate(top.SwapChannel, [values[:, :3]], channel_order=[2, 0, 1])[0][0, :, 0].tolist() == [4, 0, 2]
    assert evaluate(top.SwapDimInner, [values], offset=[0, 2, 1])[0][0, :, 0].tolist() == [5, 7, 9, 11, 1, 3]
    assert evaluate(top.Reverse, [values], axis=1)[0][0, :, 0].tolist() == [10, 8, 6, 4, 2, 0]
    parts = evaluate(top.Unpack, [values], 6, axis=1)
    assert_same(evaluate(top.Pack, parts, axis=1, values_count=6), [values])


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("diagonal", [-1, 0, 2])
def test_trilu(upper: int, diagonal: int) -> None:
    values = normal(1, 2, 4, 5)
    theirs = run_node("Trilu", [values, np.asarray(diagonal, np.int64)], upper=upper)
    assert_same(evaluate(top.Trilu, [values], upper=upper, diagonal=diagonal), theirs)


@FEW
@given(SHAPES, st.lists(st.integers(1, 3), max_size=2), st.data())
def test_gather(shape: list[int], places: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    values = normal(1, *shape)
    indices = np.random.default_rng(2).integers(-shape[axis], shape[axis], places)
    floats = indices.astype(np.float32)
    assert_same(evaluate(top.Gather, [values, floats], axis=axis), run_node("Gather", [values, indices], axis=axis))
    one = np.asarray(shape[axis] - 1)
    theirs = run_node("Gather", [values, one], axis=axis)
    assert_same(evaluate(top.Gather, [values, one.reshape(1).astype(np.float32)], axis=axis, keepdims=False), theirs)
    smaller = [data.draw(st.integers(1, n)) for n in shape]
    indices = np.random.default_rng(3).integers(-shape[axis], shape[axis], smaller)
    theirs = run_node("GatherElements", [values, indices], axis=axis)
    assert_same(evaluate(top.GatherElements, [values, indices.astype(np.float32)], axis=axis), theirs)


@FEW
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.lists(st.integers(1, 3), max_size=2), st.data())
def test_gather_nd(shape: list[int], places: list[int], data: st.DataObject) -> None:
    batch = data.draw(st.integers(0, len(shape) - 1))
    depth = data.draw(st.integers(1, len(shape) - batch))
    values = normal(1, *shape)
    rng = np.random.default_rng(2)
    indices = np.stack([rng.integers(0, n, [*shape[:batch], *places]) for n in shape[batch : batch + depth]], -1)
    theirs = run_node("GatherND", [values, indices], batch_dims=batch)
    assert_same(evaluate(top.GatherND, [values, indices.astype(np.float32)], batch_dims=batch), theirs)


def test_scatter() -> None:
    values, rng = normal(1, 4, 5, 3), np.random.default_rng(2)
    indices = np.stack([rng.permutation(5)[:2] for _ in range(6)]).reshape(2, 3, 2).swapaxes(1, 2)
    updates = normal(2, 2, 2, 3)
    theirs = run_node("ScatterElements", [values, indices, updates], axis=1)
    assert_same(evaluate(top.ScatterElements, [values, indices.astype(np.float32), updates], axis=1), theirs)
    places, updates = np.array([[0, 1], [3, -1]]), normal(3, 2, 3)
    theirs = run_node("ScatterND", [values, places, updates])
    assert_same(evaluate(top.ScatterND, [values, places.astype(np.float32), updates]), theirs)


def test_shapes_as_values() -> None:
    values = normal(1, 2, 3, 5, 7)
    assert_same(evaluate(top.Shape, [values], start=1, end=-1), run_node("Shape", [values], start=1, end=-1))
    assert evaluate(top.Size, [values], axis=2)[0].tolist() == [5]
    shape = np.array([2, 3], np.float32)
    with pytest.raises(InputError, match="depends on the values"):
        evaluate(top.ConstantFill, [shape], value=2.0)
    fill = top.ConstantFill.create([Value("x", TensorType((2,)))], [("y", TensorType((2, 3)))], value=2.0)
    np.testing.assert_array_equal(fill.evaluate([shape])[0], np.full((2, 3), 2, np.float32))
    scalars = [Value(n, TensorType(())) for n in "abc"]
    numbers = [np.asarray(n, np.float32) for n in (1, 8, 3)]
    for kind in (top.Range, top.Arange):
        counted = kind.create(scalars, [("y", TensorType((3,)))])
        assert_same(counted.evaluate(numbers), run_node("Range", numbers))


COORDS = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]


@pytest.mark.parametrize("coord", COORDS)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@FEW
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 17), st.integers(1, 17), st.booleans())
def test_interp(coord: InterpCoordMode, mode: InterpMode, h: int, w: int, out_h: int, out_w: int, by_size: bool) -> None:
    values = normal(1, 1, 2, h, w)
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coord}
    if mode == "nearest" and coord == "asymmetric":
        attributes["nearest_mode"] = "floor"
    if by_size:
        scale_h, scale_w = out_h / h, out_w / w
        theirs = run_node("Resize", [values, None, None, ints(1, 2, out_h, out_w)], **attributes)
    else:
        scale_h, scale_w = (float(np.float32(max(n / 5, 1 / k))) for n, k in ((out_h, h), (out_w, w)))
        theirs = run_node("Resize", [values, None, np.array([1, 1, scale_h, scale_w], np.float32)], **attributes)
    ours = evaluate(top.Interp, [values], mode=mode, coord_mode=coord, scale_h=scale_h, scale_w=scale_w)
    assume(by_size or theirs[0].shape != values.shape)  # onnxruntime copies when the shape stays, whatever the scales
    if mode == "linear":
        assert_same(ours, theirs, 1e-4)
        return
    # A position within float32's rounding of a half may go either way.
    assert ours[0].shape == theirs[0].shape
    for axis, scale, extent in ((2, scale_h, h), (3, scale_w, w)):
        places = top.Interp(mode=mode, coord_mode=coord, scale_h=scale_h, scale_w=scale_w).positions(extent, theirs[0].shape[axis], scale)
        border = places if coord == "asymmetric" else places - 0.5
        sure = np.abs(border - np.rint(border)) > 1e-4
        ours, theirs = ([np.compress(sure, side[0], axis)] for side in (ours, theirs))
    assert_same(ours, theirs)


def test_interp_of_a_target_shape() -> None:
    values, target = normal(1, 1, 2, 4, 5), np.array([7, 3], np.float32)
    operands = [Value("x", TensorType(values.shape)), Value("t", TensorType((2,)))]
    resized = top.Interp.create(operands, [("y", TensorType((1, 2, 7, 3)))], mode="linear", coord_mode="half_pixel")
    theirs = run_node("Resize", [values, None, None, ints(1, 2, 7, 3)], mode="linear")
    assert_same(resized.evaluate([values, target]), theirs)


def test_upsample() -> None:
    values = normal(1, 2, 3, 4, 5)
    theirs = run_node("Resize", [values, None, np.array([1, 1, 2, 3], np.float32)], mode="nearest")
    assert_same(evaluate(top.Upsample, [values], scale_h=2, scale_w=3), theirs)


@pytest.mark.parametrize(("mode", "name"), [(0, "bilinear"), (1, "nearest")])
@pytest.mark.parametrize(("padding", "padding_name"), [(0, "zeros"), (1, "border"), (2, "reflection")])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sampler(mode: int, name: str, padding: int, padding_name: str, align_corners: bool) -> None:
    inputs = [normal(1, 2, 3, 5, 6), normal(2, 2, 4, 7, 2)]
    theirs = run_node("GridSample", inputs, mode=name, padding_mode=padding_name, align_corners=int(align_corners))
    assert_same(evaluate(top.GridSampler, inputs, mode=mode, padding_mode=padding, align_corners=align_corners), theirs, 1e-4)


@pytest.mark.parametrize(
    ("kind", "attributes", "words"),
    [
        (top.Reshape, {"shape": [7]}, "does not reshape"), (top.Permute, {"order": [0, 0, 1]}, "no permutation"),
        (top.Squeeze, {"axes": [0]}, "not all 1"), (top.Pad, {"paddings": [1], "mode": "edge"}, "need 6"),
        (top.Split, {"axis": 0, "num": 2, "split_size": [1, 2]}, "do not make up"), (top.Expand, {"shape": [5]}, "do not broadcast"),
        (top.Slice, {"offset": [0], "ends": [1], "steps": [0]}, "step is 0"), (top.Reshape, {}, "depends on the values"),
    ],
)
def test_what_clashes_is_named(kind: type[Any], attributes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(kind, [normal(1, 2, 3, 4)], **attributes)
