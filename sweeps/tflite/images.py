"""Operators on images: convolutions, pools, resizing."""

from __future__ import annotations

from sweeps.tflite.case import FUSED, Case, Fed, i32, weights

WINDOWS: tuple[tuple[int, int, int, int, int, int], ...] = (
    (1, 1, 1, 1, 1, 1), (3, 3, 1, 1, 1, 1), (3, 3, 2, 2, 1, 1), (5, 3, 1, 2, 1, 1), (3, 3, 1, 1, 2, 3), (2, 2, 2, 2, 1, 1),
)


def convolutions() -> list[Case]:
    """Convolutions of every kind."""
    found = []
    for kh, kw, sh, sw, dh, dw in WINDOWS:
        for padding in (0, 1):
            fields = {"Padding": padding, "StrideH": sh, "StrideW": sw, "DilationHFactor": dh, "DilationWFactor": dw}
            name, x = f"{kh}x{kw} {sh},{sw} {dh},{dw} {padding}", Fed((2, 9, 11, 6))
            bias = weights(10)
            found += [
                Case(f"CONV_2D {name}", "CONV_2D", (x, weights(10, kh, kw, 6), bias), options="Conv2DOptions", fields=fields),
                Case(f"CONV_2D groups {name}", "CONV_2D", (x, weights(10, kh, kw, 3), bias), options="Conv2DOptions", fields=fields),
                Case(
                    f"DEPTHWISE_CONV_2D {name}", "DEPTHWISE_CONV_2D", (x, weights(1, kh, kw, 6), weights(6)),
                    options="DepthwiseConv2DOptions", fields={**fields, "DepthMultiplier": 1},
                ),
                Case(
                    f"DEPTHWISE_CONV_2D times 2 {name}", "DEPTHWISE_CONV_2D", (x, weights(1, kh, kw, 12), weights(12)),
                    options="DepthwiseConv2DOptions", fields={**fields, "DepthMultiplier": 2},
                ),
            ]
    single = {"StrideH": 1, "StrideW": 1}
    for activation in FUSED:
        fields = {**single, "FusedActivationFunction": activation}
        operands = Fed((1, 5, 5, 4)), 3 * weights(8, 3, 3, 4), weights(8)
        found.append(Case(f"CONV_2D fused {activation}", "CONV_2D", operands, options="Conv2DOptions", fields=fields))
    computed = Fed((1, 5, 5, 4)), Fed((8, 3, 3, 4)), weights(8)
    found.append(Case("CONV_2D computed filter", "CONV_2D", computed, options="Conv2DOptions", fields=single))
    found += _transposed()
    for padding in (0, 1):
        fields = {"Padding": padding, "StrideD": 1, "StrideH": 2, "StrideW": 1}
        operands = Fed((1, 4, 6, 5, 3)), weights(2, 3, 3, 3, 8), weights(8)
        found.append(Case(f"CONV_3D {padding}", "CONV_3D", operands, options="Conv3DOptions", fields=fields))
    return found


def _transposed() -> list[Case]:
    found = []
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 0), (3, 2, 1), (4, 2, 0), (2, 3, 0), (2, 3, 1), (3, 1, 0)):
        extents = [(n - 1) * stride + max(kernel, stride) if padding else n * stride for n in (4, 5)]
        fields = {"Padding": padding, "StrideH": stride, "StrideW": stride}
        operands = i32(1, *extents, 7), weights(7, kernel, kernel, 6), Fed((1, 4, 5, 6)), weights(7)
        name = f"TRANSPOSE_CONV {kernel} {stride} {padding}"
        found.append(Case(name, "TRANSPOSE_CONV", operands, options="TransposeConvOptions", fields=fields))
    return found


def pools() -> list[Case]:
    """Pools."""
    found = []
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
        for kh, kw, sh, sw in dict.fromkeys(window[:4] for window in WINDOWS):
            for padding in (0, 1):
                fields = {"Padding": padding, "StrideH": sh, "StrideW": sw, "FilterHeight": kh, "FilterWidth": kw}
                label = f"{name} {kh}x{kw} {sh},{sw} {padding}"
                found.append(Case(label, name, (Fed((2, 9, 11, 6)),), options="Pool2DOptions", fields=fields))
        for activation in FUSED:
            fields = {"StrideH": 1, "StrideW": 1, "FilterHeight": 2, "FilterWidth": 2, "FusedActivationFunction": activation}
            operands = (Fed((1, 5, 5, 4), low=-12, high=12),)
            found.append(Case(f"{name} fused {activation}", name, operands, options="Pool2DOptions", fields=fields))
    return found


def resizing() -> list[Case]:
    """Resizing."""
    found = []
    sizes = ((8, 12), (7, 9), (3, 2), (4, 6), (1, 1), (5, 12))
    for name, options in (("RESIZE_BILINEAR", "ResizeBilinearOptions"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions")):
        for size in sizes:
            for corners, halves in ((False, False), (True, False), (False, True)):
                fields = {"AlignCorners": corners, "HalfPixelCenters": halves}
                operands = Fed((1, 4, 6, 5)), i32(*size)
                found.append(Case(f"{name} {size} {corners} {halves}", name, operands, options=options, fields=fields))
    return found
