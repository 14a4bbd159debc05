"""Operators on the places of numbers: movement, slices, reductions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sweeps.tflite.case import Case, Fed, f32, i32, weights


def movement() -> list[Case]:
    """Shapes, joining, splitting, padding, blocks."""
    image = Fed((2, 4, 6, 5))
    found = [
        *(Case(f"RESHAPE {s}", "RESHAPE", (image, i32(*s))) for s in ((2, 120), (2, 24, 5), (8, 30), (-1, 5), (2, 2, 12, 5))),
        Case("RESHAPE option", "RESHAPE", (image,), options="ReshapeOptions", fields={"NewShape": (2, -1)}),
        *(Case(f"TRANSPOSE {o}", "TRANSPOSE", (image, i32(*o))) for o in ((0, 3, 1, 2), (0, 2, 1, 3), (3, 2, 1, 0), (1, 0, 2, 3))),
        *(
            Case(f"CONCATENATION {axis}", "CONCATENATION", (image, image), options="ConcatenationOptions", fields={"Axis": axis})
            for axis in range(-1, 4)
        ),
        Case("CONCATENATION constant", "CONCATENATION", (image, weights(2, 4, 6, 1)), options="ConcatenationOptions", fields={"Axis": 3}),
        *(Case(f"TILE {t}", "TILE", (image, i32(*t))) for t in ((1, 2, 1, 1), (2, 1, 1, 3), (1, 1, 1, 1))),
        Case("BROADCAST_TO", "BROADCAST_TO", (Fed((1, 4, 1, 5)), i32(2, 4, 6, 5))),
        *(Case(f"REVERSE_V2 {a}", "REVERSE_V2", (image, i32(*a))) for a in ((1,), (3,), (1, 2))),
        *(
            Case(f"SQUEEZE {dims}", "SQUEEZE", (Fed((2, 1, 6, 1)),), options="SqueezeOptions", fields={"SqueezeDims": dims})
            for dims in ((1,), (3,), (1, 3), ())
        ),
        *(Case(f"EXPAND_DIMS {axis}", "EXPAND_DIMS", (Fed((2, 4, 5)), i32(axis))) for axis in (0, 1, -1, 3)),
        *(Case(f"PACK {a}", "PACK", (Fed((3, 4)),) * 3, options="PackOptions", fields={"ValuesCount": 3, "Axis": a}) for a in (0, 1, -1)),
        *(
            Case(f"UNPACK {axis}", "UNPACK", (Fed((3, 4, 3)),), ("FLOAT32",) * 3, "UnpackOptions", {"Num": 3, "Axis": axis})
            for axis in (0, -1)
        ),
        *(
            Case(f"SPLIT {axis}", "SPLIT", (i32(axis), Fed((2, 4, 6, 8))), ("FLOAT32",) * 2, "SplitOptions", {"NumSplits": 2})
            for axis in (-1, 0, 1, 2)
        ),
        *(
            Case(f"SPLIT_V {sizes}", "SPLIT_V", (image, i32(*sizes), i32(2)), ("FLOAT32",) * 3, "SplitVOptions", {"NumSplits": 3})
            for sizes in ((1, 2, 3), (1, -1, 2))
        ),
    ]
    return [*found, *_padding(image), *_blocks()]


def _padding(image: Fed) -> Iterator[Case]:
    for pads in (((0, 0), (1, 2), (0, 1), (0, 0)), ((0, 0), (0, 0), (0, 0), (0, 3)), ((1, 0), (1, 1), (2, 2), (1, 1))):
        yield Case(f"PAD {pads}", "PAD", (image, i32(*pads)), options="")
        yield Case(f"PADV2 {pads}", "PADV2", (image, i32(*pads), f32(1.5)))
        for mode in (0, 1):
            yield Case(f"MIRROR_PAD {pads} {mode}", "MIRROR_PAD", (image, i32(*pads)), options="MirrorPadOptions", fields={"Mode": mode})


def _blocks() -> Iterator[Case]:
    for size in (2, 3):
        fields = {"BlockSize": size}
        yield Case(f"DEPTH_TO_SPACE {size}", "DEPTH_TO_SPACE", (Fed((1, 3, 4, 36)),), options="DepthToSpaceOptions", fields=fields)
        yield Case(f"SPACE_TO_DEPTH {size}", "SPACE_TO_DEPTH", (Fed((1, 6, 12, 5)),), options="SpaceToDepthOptions", fields=fields)
    for pads in (((0, 0), (0, 0)), ((1, 1), (2, 1))):
        yield Case(f"SPACE_TO_BATCH_ND {pads}", "SPACE_TO_BATCH_ND", (Fed((2, 4, 6, 5)), i32(2, 3), i32(*pads)))
        yield Case(f"BATCH_TO_SPACE_ND {pads}", "BATCH_TO_SPACE_ND", (Fed((6, 4, 6, 5)), i32(2, 3), i32(*pads)))


def slices() -> list[Case]:
    """Slices and gathering."""
    image = Fed((2, 5, 6, 7))
    found = [
        Case(f"SLICE {begin} {size}", "SLICE", (image, i32(*begin), i32(*size)), declared=declared)
        for begin, size, declared in (
            ((0, 1, 2, 3), (2, 3, -1, 2), (2, 3, 4, 2)), ((0, 0, 0, 1), (-1, -1, -1, -1), (2, 5, 6, 6)),
            ((1, 0, 0, 0), (1, 5, 6, 7), (1, 5, 6, 7)),
        )
    ]
    bounds: Sequence[tuple[Any, Any, Any, dict[str, int]]] = (
        ((0, 1, 0, 2), (2, 5, 6, 7), (1, 2, 1, 1), {}),
        ((0, -1, 0, 0), (0, 0, 0, 0), (1, -1, 1, 2), {"BeginMask": 13, "EndMask": 15}),
        ((1, 0), (2, 4), (1, 1), {"ShrinkAxisMask": 1}),
        ((0, 0, 0, -1), (0, 0, 0, 0), (1, 1, 1, 1), {"BeginMask": 7, "EndMask": 7, "ShrinkAxisMask": 8}),
        ((0, 1), (0, 3), (1, 1), {"EllipsisMask": 1}),
        ((0, 0, 1), (0, 0, 3), (1, 1, 1), {"EllipsisMask": 1, "NewAxisMask": 2}),
        ((-5, 4, 1, 0), (9, -9, 4, 7), (1, -2, 1, 3), {}),
    )
    for begin, end, strides, masks in bounds:
        operands = image, i32(*begin), i32(*end), i32(*strides)
        found.append(Case(f"STRIDED_SLICE {begin} {end} {masks}", "STRIDED_SLICE", operands, options="StridedSliceOptions", fields=masks))
    for axis in (0, 1, 3):
        fields = {"Axis": axis}
        found.append(Case(f"GATHER {axis}", "GATHER", (image, i32(1, 0, 1)), options="GatherOptions", fields=fields))
        found.append(Case(f"GATHER one {axis}", "GATHER", (image, i32(1).reshape(())), options="GatherOptions", fields=fields))
        found.append(Case(f"GATHER table {axis}", "GATHER", (image, i32([1, 0], [0, 1])), options="GatherOptions", fields=fields))
        found.append(Case(f"GATHER computed {axis}", "GATHER", (image, Fed((3,), "INT32", 0, 1)), options="GatherOptions", fields=fields))
    found.append(Case("GATHER_ND", "GATHER_ND", (image, i32([0, 1], [1, 4]))))
    return found


def reductions() -> list[Case]:
    """Reductions, positions, running sums, normalization."""
    found = []
    for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"):
        for axes in ((1, 2), (3,), (-1,), (1,), (1, 3), (0,), (0, 1, 2, 3)):
            for keep in (False, True):
                operands = Fed((2, 4, 5, 6), low=0.3, high=1.5), i32(*axes)
                found.append(Case(f"{name} {axes} {keep}", name, operands, options="ReducerOptions", fields={"KeepDims": keep}))
    for name in ("REDUCE_ANY", "REDUCE_ALL"):
        operands = Fed((3, 4, 2), "BOOL", 0, 1), i32(1)
        found.append(Case(name, name, operands, ("BOOL",), "ReducerOptions", {"KeepDims": False}))
    for name in ("ARG_MAX", "ARG_MIN"):
        for axis in (-1, 0, 1):
            options = "ArgMaxOptions" if name == "ARG_MAX" else "ArgMinOptions"
            found.append(Case(f"{name} {axis}", name, (Fed((2, 4, 5, 6)), i32(axis)), ("INT32",), options, {"OutputType": 2}))
    for exclusive in (False, True):
        for reverse in (False, True):
            fields = {"Exclusive": exclusive, "Reverse": reverse}
            for axis in (0, 1, 3):
                name = f"CUMSUM {axis} {exclusive} {reverse}"
                found.append(Case(name, "CUMSUM", (Fed((2, 4, 5, 6)), i32(axis)), options="CumsumOptions", fields=fields))
    for shape in ((1, 5, 7, 3), (3, 8)):
        found.append(Case(f"L2_NORMALIZATION {shape}", "L2_NORMALIZATION", (Fed(shape),), options="L2NormOptions"))
    numbers = {"Radius": 2, "Bias": 1.0, "Alpha": 0.3, "Beta": 0.75}
    options = "LocalResponseNormalizationOptions"
    found.append(Case("LRN", "LOCAL_RESPONSE_NORMALIZATION", (Fed((1, 4, 5, 12)),), options=options, fields=numbers))
    found.append(Case("TOPK_V2", "TOPK_V2", (Fed((3, 20)), i32(4)), ("FLOAT32", "INT32"), "TopKV2Options"))
    return found
