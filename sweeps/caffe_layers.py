"""Caffe layers with variations of shape and parameters: small networks, and for layers that OpenCV lacks what they should give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps.caffe_expected import (
    argmax_and_value,
    depthwise,
    detections,
    interp,
    lrn,
    old_batch_norm,
    pool_floor,
    prior_boxes,
    reorg,
    repeat,
    two_sizes,
)

Array = np.ndarray[Any, np.dtype[Any]]
Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Case:
    """A layer on its own: what its text says besides name, bottoms and tops, the shapes of its bottoms and blobs, how many tops.

    ``expected``: what it gives, from bottoms and blobs, where OpenCV lacks it or does something else (``why``). ``positive``:
    inputs and blobs are above 0. ``v1``: the type as old files say it, to write the layer so.
    """

    type: str
    text: str
    bottoms: Shapes
    blobs: Shapes = ()
    tops: int = 1
    expected: Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]] | None = None
    why: str = ""
    positive: bool = False
    v1: str = ""
    integers: int = 0

    def title(self) -> str:
        """The case in one line."""
        shapes = " ".join("x".join(map(str, shape)) for shape in self.bottoms)
        return f"{self.v1 or self.type} {shapes} {self.text}".strip()

    def prototxt(self) -> str:
        """The network's text: inputs in0, in1, ..., one layer `layer` with the tops `out` or out0, out1, ..."""
        lines = ['name: "case"']
        for at, shape in enumerate(self.bottoms):
            lines += [f'input: "in{at}"', "input_shape { " + " ".join(f"dim: {extent}" for extent in shape) + " }"]
        ends = [f'bottom: "in{at}"' for at in range(len(self.bottoms))] + [f'top: "{name}"' for name in self.outputs()]
        kind = f"type: {self.v1}" if self.v1 else f'type: "{self.type}"'
        lines.append(f'{"layers" if self.v1 else "layer"} {{ name: "layer" {kind} {" ".join(ends)} {self.text} }}')
        return "\n".join(lines) + "\n"

    def outputs(self) -> list[str]:
        """Names of the tops."""
        return ["out"] if self.tops == 1 else [f"out{at}" for at in range(self.tops)]

    def data(self, seed: int) -> tuple[list[Array], list[Array]]:
        """Bottoms and blobs."""
        random = np.random.default_rng(seed)
        bottoms = [random.normal(size=shape).astype(np.float32) for shape in self.bottoms]
        if self.integers:
            bottoms = [random.integers(0, self.integers, shape).astype(np.float32) for shape in self.bottoms]
        blobs = [(random.normal(size=shape) / 2).astype(np.float32) for shape in self.blobs]
        if self.positive:
            bottoms, blobs = ([np.abs(array) + np.float32(0.5) for array in arrays] for arrays in (bottoms, blobs))
        return bottoms, blobs


def cases() -> list[Case]:
    """All of them."""
    families = (_convolutions, _pools, _functions, _eltwise, _norms, _linear, _moves, _resizes, _reductions, _detections, _old)
    return [case for family in families for case in family()]


def _convolutions() -> Iterator[Case]:
    def conv(
        text: str, shape: tuple[int, ...], filters: tuple[int, ...], kind: str = "Convolution", bias: bool = True, **more: Any
    ) -> Case:
        outputs = filters[0] if kind != "Deconvolution" else int(text.split("num_output: ")[1].split()[0])
        blobs = [filters, (outputs,)] if bias else [filters]
        return Case(kind, f"convolution_param {{ {text} }}", [shape], blobs, **more)

    yield conv("num_output: 8 kernel_size: 3", (1, 3, 9, 7), (8, 3, 3, 3))
    yield conv("num_output: 8 kernel_size: 3 pad: 1 stride: 2 bias_term: false", (2, 3, 9, 7), (8, 3, 3, 3), bias=False)
    yield conv("num_output: 6 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride_h: 2 stride_w: 1", (1, 4, 9, 8), (6, 4, 3, 1))
    yield conv("num_output: 6 kernel_size: 3 dilation: 2 pad: 2", (1, 4, 9, 8), (6, 4, 3, 3))
    yield conv("num_output: 6 kernel_size: 3 group: 2 pad: 1", (1, 4, 9, 8), (6, 2, 3, 3))
    yield conv("num_output: 4 kernel_size: 3 group: 4 pad: 1", (1, 4, 9, 8), (4, 1, 3, 3))
    yield conv("num_output: 65 kernel_size: 1", (1, 70, 5, 5), (65, 70, 1, 1))
    yield conv("num_output: 5 kernel_size: 3 kernel_size: 5 pad: 1 pad: 2", (1, 4, 9, 8), (5, 4, 3, 5))
    yield conv(
        "num_output: 4 kernel_size: 3 pad: 1", (1, 4, 9, 8), (4, 1, 3, 3), "ConvolutionDepthwise",
        expected=depthwise(1, 1), why="OpenCV wants group",
    )
    yield conv(
        "num_output: 4 kernel_size: 3 stride: 2", (1, 4, 9, 8), (4, 1, 3, 3), "DepthwiseConvolution",
        expected=depthwise(2, 0), why="OpenCV lacks it",
    )
    yield conv("num_output: 6 kernel_size: 4 stride: 2 pad: 1", (1, 3, 5, 7), (3, 6, 4, 4), "Deconvolution")
    yield conv("num_output: 6 kernel_size: 3 stride: 2 group: 2", (1, 4, 5, 7), (4, 3, 3, 3), "Deconvolution")
    yield conv(
        "num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false", (1, 4, 5, 7), (4, 1, 4, 4), "Deconvolution",
        bias=False,
    )
    yield conv("num_output: 5 kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1", (1, 3, 5, 7), (3, 5, 2, 3), "Deconvolution")


def _pools() -> Iterator[Case]:
    def pool(text: str, shape: tuple[int, ...] = (2, 3, 9, 8), **more: Any) -> Case:
        return Case("Pooling", f"pooling_param {{ {text} }}", [shape], **more)

    for method in ("MAX", "AVE"):
        yield pool(f"pool: {method} kernel_size: 2 stride: 2")
        yield pool(f"pool: {method} kernel_size: 3 stride: 2")
        yield pool(f"pool: {method} kernel_size: 3 stride: 2 pad: 1")
        yield pool(f"pool: {method} kernel_size: 3 stride: 2 pad: 1", (1, 2, 112, 113))
        yield pool(f"pool: {method} kernel_size: 2 stride: 2 pad: 1", (1, 2, 7, 6))
        yield pool(f"pool: {method} kernel_size: 3 stride: 3 pad: 2", (1, 2, 11, 10))
        yield pool(f"pool: {method} kernel_size: 3 pad: 1")
        yield pool(f"pool: {method} kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 1")
        yield pool(f"pool: {method} global_pooling: true")
        yield pool(f"pool: {method} kernel_size: 3 stride: 2 ceil_mode: false")
    for method, fold in (("MAX", np.max), ("AVE", np.mean)):
        yield pool(f"pool: {method} kernel_size: 3 stride: 2 round_mode: FLOOR", expected=pool_floor(fold), why="OpenCV refuses it")
    yield pool("pool: STOCHASTIC kernel_size: 2")


def _functions() -> Iterator[Case]:
    shape = (2, 5, 4, 3)

    def one(kind: str, text: str = "", **more: Any) -> Case:
        return Case(kind, text, [shape], **more)

    yield one("ReLU")
    yield one("ReLU", "relu_param { negative_slope: 0.1 }")
    yield one("PReLU", blobs=[(5,)])
    yield one("PReLU", "prelu_param { channel_shared: true }", blobs=[(1,)])
    yield one("ELU")
    yield one(
        "ELU", "elu_param { alpha: 0.7 }",
        expected=lambda b, w: [np.where(b[0] > 0, b[0], 0.7 * np.expm1(b[0]))], why="another alpha",
    )
    yield one("Sigmoid")
    yield one("TanH")
    yield one("AbsVal")
    yield one("BNLL")
    yield one("Power", "power_param { power: 2 scale: 0.5 shift: 1.5 }")
    yield one("Power", "power_param { scale: -0.5 shift: 1.5 }")
    yield one("Power", "power_param { power: 0.5 }", positive=True)
    yield one("Power", "power_param { power: -1 scale: 2 }", positive=True)
    yield one("Power", "power_param { power: 3 }")
    yield one("Power", "power_param { power: 0 }", expected=lambda b, w: [np.ones_like(b[0])], why="constants")
    yield one("Power", "power_param { power: 2 scale: 0 shift: 3 }", expected=lambda b, w: [np.full_like(b[0], 9)], why="constants")
    yield one("Power")
    yield one("Exp")
    yield one("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }")
    yield one("Log", positive=True, expected=lambda b, w: [np.log(b[0])], why="numpy")
    yield one(
        "Log", "log_param { base: 10 scale: 0.5 shift: 1 }", positive=True,
        expected=lambda b, w: [np.log10(0.5 * b[0] + 1)], why="numpy",
    )
    yield one("Threshold", "threshold_param { threshold: 0.3 }", expected=lambda b, w: [b[0] > np.float32(0.3)], why="OpenCV lacks it")
    yield one("ReLU6")
    yield one("Swish", expected=lambda b, w: [b[0] / (1 + np.exp(-b[0]))], why="numpy")
    yield one("Swish", "swish_param { beta: 1.5 }", expected=lambda b, w: [b[0] / (1 + np.exp(-1.5 * b[0]))], why="numpy")
    yield one("Mish", expected=lambda b, w: [b[0] * np.tanh(np.log1p(np.exp(b[0])))], why="numpy")
    yield one("Clip", "clip_param { min: -0.5 max: 0.7 }", expected=lambda b, w: [b[0].clip(-0.5, 0.7)], why="numpy")
    yield one("Dropout", "dropout_param { dropout_ratio: 0.3 }")


def _eltwise() -> Iterator[Case]:
    shape = (2, 5, 4, 3)
    for operation in ("PROD", "SUM", "MAX"):
        yield Case("Eltwise", f"eltwise_param {{ operation: {operation} }}", [shape] * 2)
        yield Case("Eltwise", f"eltwise_param {{ operation: {operation} }}", [shape] * 3)
    yield Case("Eltwise", "eltwise_param { operation: SUM coeff: 0.5 coeff: -2 }", [shape] * 2)
    yield Case("Eltwise", "eltwise_param { operation: SUM coeff: 1 coeff: -1 coeff: 0.3 }", [shape] * 3)
    yield Case("Eltwise", "eltwise_param { operation: MIN }", [shape] * 2, expected=lambda b, w: [np.minimum(*b)], why="numpy")
    yield Case("Axpy", "", [(2, 5, 1, 1), shape, shape], expected=lambda b, w: [b[0] * b[1] + b[2]], why="numpy")
    yield Case("Axpy", "", [(2, 5), shape, shape], expected=lambda b, w: [b[0][..., None, None] * b[1] + b[2]], why="numpy")


def _norms() -> Iterator[Case]:
    shape = (2, 6, 4, 3)
    yield Case("BatchNorm", "", [shape], [(6,), (6,), (1,)], positive=True)
    yield Case("BatchNorm", "batch_norm_param { eps: 0.01 use_global_stats: true }", [shape], [(6,), (6,), (1,)], positive=True)
    yield Case("BatchNorm", "batch_norm_param { use_global_stats: false }", [shape], [(6,), (6,), (1,)], positive=True)
    yield Case("BN", "", [shape], [(1, 6, 1, 1)] * 4, positive=True, expected=old_batch_norm, why="OpenCV lacks it")
    yield Case(
        "BN", "bn_param { bn_mode: INFERENCE }", [shape], [(1, 6, 1, 1)] * 2, expected=lambda b, w: [b[0] * w[0] + w[1]], why="numpy"
    )
    yield Case("Scale", "", [shape], [(6,)])
    yield Case("Scale", "scale_param { bias_term: true }", [shape], [(6,), (6,)])
    yield Case("Scale", "scale_param { bias_term: true }", [(3, 6)], [(6,), (6,)])
    yield Case(
        "Scale", "scale_param { axis: 1 num_axes: 2 }", [shape], [(6, 4)],
        expected=lambda b, w: [b[0] * w[0][None, :, :, None]], why="numpy"
    )
    yield Case("Scale", "scale_param { axis: 0 num_axes: -1 }", [shape], [shape], expected=lambda b, w: [b[0] * w[0]], why="numpy")
    yield Case("Scale", "scale_param { num_axes: 0 }", [shape], [()], expected=lambda b, w: [b[0] * w[0]], why="numpy")
    yield Case("Scale", "scale_param { axis: 0 }", [shape, (2, 6)], expected=lambda b, w: [b[0] * b[1][..., None, None]], why="numpy")
    yield Case("Scale", "scale_param { axis: 0 }", [shape, shape], expected=lambda b, w: [b[0] * b[1]], why="numpy")
    yield Case("Bias", "", [shape], [(6,)], expected=lambda b, w: [b[0] + w[0][:, None, None]], why="numpy")
    yield Case("Bias", "bias_param { axis: 0 }", [shape, (2, 6)], expected=lambda b, w: [b[0] + b[1][..., None, None]], why="numpy")
    yield Case("Normalize", "norm_param { across_spatial: false channel_shared: false }", [shape], [(6,)])
    yield Case("Normalize", "norm_param { across_spatial: false channel_shared: true }", [shape], [(1,)])
    yield Case("Normalize", "norm_param { across_spatial: true channel_shared: true }", [(1, 6, 4, 3)], [(1,)])
    yield Case("Normalize", "norm_param { across_spatial: false channel_shared: false eps: 0.1 }", [shape], [(6,)])
    yield Case("LRN", "lrn_param { local_size: 5 alpha: 0.5 beta: 0.75 }", [shape])
    yield Case(
        "LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }", [shape],
        expected=lrn(3, 0.5, 0.6, 2), why="OpenCV ignores k",
    )
    yield Case("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 norm_region: WITHIN_CHANNEL }", [(2, 3, 9, 8)])
    yield Case("MVN", "", [shape])
    yield Case("MVN", "mvn_param { across_channels: true }", [shape])
    yield Case("MVN", "mvn_param { normalize_variance: false }", [shape])
    yield Case("Softmax", "", [shape])
    yield Case("Softmax", "softmax_param { axis: 2 }", [shape])
    yield Case("Softmax", "softmax_param { axis: -1 }", [(3, 7)])


def _linear() -> Iterator[Case]:
    yield Case("InnerProduct", "inner_product_param { num_output: 5 }", [(2, 3, 4, 2)], [(5, 24), (5,)])
    yield Case("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }", [(2, 7)], [(5, 7)])
    yield Case("InnerProduct", "inner_product_param { num_output: 5 }", [(2, 3, 4, 2)], [(1, 1, 5, 24), (1, 1, 1, 5)])
    yield Case("InnerProduct", "inner_product_param { num_output: 5 axis: 2 }", [(2, 3, 4, 2)], [(5, 8), (5,)])
    yield Case("InnerProduct", "inner_product_param { num_output: 5 axis: -1 }", [(2, 3, 4, 2)], [(5, 2), (5,)])
    yield Case(
        "InnerProduct", "inner_product_param { num_output: 5 transpose: true }", [(2, 7)], [(7, 5), (5,)],
        expected=lambda b, w: [b[0] @ w[0] + w[1]], why="OpenCV ignores transpose",
    )
    yield Case(
        "Embed", "embed_param { num_output: 5 input_dim: 9 }", [(2, 4)], [(9, 5), (5,)], integers=9,
        expected=lambda b, w: [w[0][b[0].astype(int)] + w[1]], why="OpenCV lacks it",
    )
    yield Case(
        "Embed", "embed_param { num_output: 5 input_dim: 9 bias_term: false }", [(3,)], [(9, 5)], integers=9,
        expected=lambda b, w: [w[0][b[0].astype(int)]], why="OpenCV lacks it",
    )


def _moves() -> Iterator[Case]:
    shape = (2, 6, 4, 3)
    yield Case("Concat", "", [shape, (2, 3, 4, 3)])
    yield Case("Concat", "concat_param { axis: 2 }", [shape, shape, (2, 6, 1, 3)])
    yield Case("Concat", "concat_param { axis: -1 }", [(2, 4), (2, 3)])
    yield Case("Concat", "concat_param { concat_dim: 0 }", [shape, shape], expected=lambda b, w: [np.concatenate(b)], why="numpy")
    yield Case("Slice", "", [shape], tops=3, expected=lambda b, w: np.split(b[0], 3, 1), why="OpenCV refuses it")
    yield Case("Slice", "slice_param { axis: 1 slice_point: 1 slice_point: 4 }", [shape], tops=3)
    yield Case("Slice", "slice_param { axis: 2 slice_point: 3 }", [shape], tops=2)
    yield Case("Slice", "slice_param { slice_dim: 0 }", [shape], tops=2, expected=lambda b, w: np.split(b[0], 2), why="numpy")
    yield Case("Split", "", [shape], tops=2)
    yield Case("Flatten", "", [shape])
    yield Case("Flatten", "flatten_param { axis: 1 end_axis: 2 }", [shape])
    yield Case("Flatten", "flatten_param { axis: -2 }", [shape])
    yield Case("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }", [shape])
    yield Case("Reshape", "reshape_param { shape { dim: 2 dim: 3 dim: -1 } }", [shape])
    yield Case("Reshape", "reshape_param { axis: 1 num_axes: 2 shape { dim: 8 dim: 3 } }", [shape])
    yield Case("Reshape", "reshape_param { axis: 1 shape { dim: -1 } }", [shape])
    yield Case("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", [shape])
    yield Case("Permute", "permute_param { order: 0 order: 3 }", [shape], expected=lambda b, w: [b[0].transpose(0, 3, 1, 2)], why="numpy")
    yield Case("Crop", "crop_param { axis: 2 offset: 1 }", [shape, (2, 6, 2, 2)])
    yield Case("Crop", "crop_param { axis: 2 offset: 2 offset: 1 }", [shape, (2, 6, 2, 2)])
    yield Case("Crop", "crop_param { axis: 1 }", [shape, (2, 3, 2, 2)])
    yield Case("Tile", "tile_param { axis: 1 tiles: 3 }", [shape], expected=lambda b, w: [np.tile(b[0], (1, 3, 1, 1))], why="numpy")
    yield Case("Tile", "tile_param { axis: -1 tiles: 2 }", [shape], expected=lambda b, w: [np.tile(b[0], (1, 1, 1, 2))], why="numpy")
    yield Case("ShuffleChannel", "shuffle_channel_param { group: 2 }", [shape])
    yield Case("ShuffleChannel", "shuffle_channel_param { group: 3 }", [shape])
    yield Case("Reorg", "reorg_param { stride: 2 }", [(1, 4, 6, 8)], expected=reorg, why="OpenCV's is darknet's, which is another")
    yield Case("Reorg", "reorg_param { stride: 2 reverse: true }", [(1, 4, 6, 8)])
    yield Case(
        "Padding", "padding_param { pad_t: 1 pad_r: 2 pad_value: 3 }", [shape],
        expected=lambda b, w: [np.pad(b[0], ((0, 0), (0, 0), (1, 0), (0, 2)), constant_values=3)], why="SOPHGO's layer",
    )
    yield Case("Reverse", "reverse_param { axis: 1 }", [shape], expected=lambda b, w: [b[0][:, ::-1]], why="SOPHGO's layer")


def _resizes() -> Iterator[Case]:
    shape = (1, 3, 5, 7)
    yield Case("Upsample", "upsample_param { scale: 2 }", [shape], expected=repeat(2, 2), why="OpenCV lacks it")
    yield Case("Upsample", "upsample_param { scale_h: 2 scale_w: 3 }", [shape], expected=repeat(2, 3), why="OpenCV lacks it")
    yield Case("Upsample", "upsample_param { scale: 2 upsample_h: 9 }", [shape])
    for text in ("height: 9 width: 11", "zoom_factor: 2", "shrink_factor: 2", "zoom_factor: 3"):
        yield Case("Interp", f"interp_param {{ {text} }}", [shape], expected=interp(text), why="numpy")
    yield Case("Interp", "interp_param { height: 9 width: 13 }", [shape])


def _reductions() -> Iterator[Case]:
    shape = (2, 6, 4, 3)
    formulas: Mapping[str, Callable[[Array], Array]] = {
        "SUM": lambda x: x.sum(-1), "ASUM": lambda x: np.abs(x).sum(-1), "SUMSQ": lambda x: (x * x).sum(-1), "MEAN": lambda x: x.mean(-1),
    }

    def reduced(formula: Callable[[Array], Array], kept: tuple[int, ...]) -> Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]]:
        return lambda bottoms, blobs: [1.5 * formula(bottoms[0].reshape(*kept, -1))]

    for operation, formula in formulas.items():
        for axis, kept in ((1, (2,)), (2, (2, 6)), (0, (1,)), (-1, (2, 6, 4))):
            yield Case(
                "Reduction", f"reduction_param {{ operation: {operation} axis: {axis} coeff: 1.5 }}", [shape], why="numpy",
                expected=reduced(formula, kept),
            )
    yield Case(
        "Reduction", "reduction_param { operation: MEAN axis: 1 }", [shape],
        expected=lambda b, w: [b[0].mean((1, 2, 3))], why="numpy",
    )
    yield Case("ArgMax", "argmax_param { axis: 1 }", [shape], expected=lambda b, w: [b[0].argmax(1)[:, None]], why="numpy")
    yield Case(
        "ArgMax", "argmax_param { axis: 1 out_max_val: true }", [shape],
        expected=lambda b, w: [b[0].max(1, keepdims=True)], why="numpy",
    )
    yield Case("ArgMax", "", [shape], expected=lambda b, w: [b[0].reshape(2, -1).argmax(1).reshape(2, 1, 1, 1)], why="numpy")
    yield Case("ArgMax", "argmax_param { out_max_val: true }", [shape], expected=argmax_and_value, why="numpy")
    yield Case("ArgMax", "argmax_param { top_k: 3 }", [shape])


def _detections() -> Iterator[Case]:
    def priors(text: str, **more: Any) -> Case:
        return Case("PriorBox", f"prior_box_param {{ {text} }}", [(1, 4, 5, 6), (1, 3, 80, 96)], **more)

    variances = "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"
    yield priors("min_size: 30", expected=prior_boxes([(30, 30)], (16, 16)), why="OpenCV wants variances")
    yield priors(f"min_size: 30 max_size: 60 aspect_ratio: 2 flip: true clip: false {variances}")
    yield priors("min_size: 10 min_size: 20 aspect_ratio: 2 aspect_ratio: 3 flip: false clip: true step: 16 offset: 0.3 variance: 0.1")
    yield priors(
        "min_size: 10 min_size: 20 max_size: 30 max_size: 40 aspect_ratio: 2 step_h: 8 step_w: 16",
        expected=prior_boxes(list(two_sizes()), (8, 16)), why="OpenCV clips by default",
    )

    def output(text: str, **more: Any) -> Case:
        given = f"detection_output_param {{ num_classes: 3 {text} }}"
        return Case("DetectionOutput", given, [(1, 32), (1, 24), (1, 2, 32)], positive=True, **more)

    common = "share_location: true background_label_id: 0"
    nms = "nms_param { nms_threshold: 0.45 top_k: 20 }"
    yield output(f"{common} keep_top_k: 10 confidence_threshold: 0.6 code_type: CENTER_SIZE {nms}")
    yield output(f"{common} keep_top_k: 200 confidence_threshold: 0.6 code_type: CENTER_SIZE {nms}")
    yield output(f"{common} keep_top_k: 4 confidence_threshold: 0.1 code_type: CORNER {nms}")
    yield output(f"{common} keep_top_k: 9 confidence_threshold: 9 code_type: CORNER {nms}")
    yield output(
        "keep_top_k: 9 confidence_threshold: 0.6 code_type: CORNER_SIZE variance_encoded_in_target: true "
        "nms_param { nms_threshold: 0.7 eta: 0.9 }", expected=detections(3, 9, 0.6, 0.7, 0.9), why="OpenCV does not know eta",
    )


def _old() -> Iterator[Case]:
    """V1 layers with blobs of four extents."""
    yield Case(
        "Convolution", "convolution_param { num_output: 6 kernel_size: 3 pad: 1 }", [(1, 4, 9, 8)], [(6, 4, 3, 3), (1, 1, 1, 6)],
        v1="CONVOLUTION",
    )
    yield Case("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }", [(1, 4, 9, 8)], v1="POOLING")
    yield Case("InnerProduct", "inner_product_param { num_output: 5 }", [(1, 4, 3, 2)], [(1, 1, 5, 24), (1, 1, 1, 5)], v1="INNER_PRODUCT")
    yield Case("ReLU", "", [(1, 4, 9, 8)], v1="RELU")
    yield Case("Softmax", "", [(1, 4, 9, 8)], v1="SOFTMAX")
    yield Case("LRN", "lrn_param { local_size: 3 }", [(1, 4, 9, 8)], v1="LRN", expected=lrn(3, 1, 0.75, 1), why="OpenCV has another alpha")
    yield Case("Concat", "concat_param { concat_dim: 1 }", [(1, 4, 9, 8)] * 2, v1="CONCAT")
    yield Case("Eltwise", "eltwise_param { operation: PROD }", [(1, 4, 9, 8)] * 2, v1="ELTWISE")
    for kind in ("ROIPooling", "Proposal", "LSTM", "Lstm", "YoloDetection", "FrcnDetection", "RetinaFaceDetection", "MatMul",
                 "ContinuationIndicator", "SPP", "Im2col", "Python"):
        yield Case(kind, "", [(1, 4, 9, 8)])
