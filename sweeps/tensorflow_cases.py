"""Operators of TensorFlow with variations, all in one frozen graph: ``tensorflow_cases.py FOLDER``, run by the Python that has TensorFlow.

Writes ``cases.pb``; ``cases.npz``: every input, and ``out:CASE``, what TensorFlow computes; ``cases.json``: of every case its tensor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

nn, math, raw = tf.nn, tf.math, tf.raw_ops
RANDOM = np.random.default_rng(7)
INPUTS = {
    "x": RANDOM.uniform(-2, 2, (1, 8, 9, 4)), "y": RANDOM.uniform(-2, 2, (1, 8, 9, 4)), "p": RANDOM.uniform(0.2, 3, (1, 8, 9, 4)),
    "u": RANDOM.uniform(-0.9, 0.9, (1, 8, 9, 4)), "m": RANDOM.uniform(-2, 2, (3, 4, 5)), "r": RANDOM.uniform(-2, 2, (4, 6)),
    "v": RANDOM.uniform(-2, 2, (2, 5, 6, 4, 3)),
}  # fmt: skip


def weight(*shape: int) -> Any:
    return tf.constant(RANDOM.uniform(-1, 1, shape), tf.float32)


UNARY = {
    "x": "abs ceil cos erf erfc exp expm1 floor negative rint round sigmoid sign sin sinh softplus softsign square tanh cosh atan asinh",
    "p": "log log1p reciprocal rsqrt sqrt", "u": "acos asin atanh tan",
}  # fmt: skip
ACTIVATIONS = "relu relu6 elu selu leaky_relu softmax log_softmax silu gelu"
BINARY = "add subtract multiply maximum minimum squared_difference"
REDUCTIONS = "reduce_sum reduce_mean reduce_max reduce_min reduce_prod reduce_euclidean_norm reduce_logsumexp"


def elementwise(i: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, functions in UNARY.items():
        for function in functions.split():
            yield f"{function}", getattr(math, function, None) and getattr(math, function)(i[name])
    for function in ACTIVATIONS.split():
        yield function, getattr(nn, function)(i["x"])
    for function in BINARY.split():
        yield function, getattr(math, function)(i["x"], i["y"])
        yield f"{function}, channels", getattr(math, function)(i["x"], weight(4))
        yield f"{function}, broadcast", getattr(math, function)(i["m"], weight(3, 1, 5))
    yield "divide", i["x"] / i["p"]
    yield "div_no_nan", math.divide_no_nan(i["x"], i["p"])
    yield "floordiv", math.floordiv(i["x"], i["p"])
    yield "floormod", math.floormod(i["x"], i["p"])
    yield "pow", math.pow(i["p"], 1.7)
    yield "pow of tensors", math.pow(i["p"], i["x"])
    yield "clip", tf.clip_by_value(i["x"], -0.5, 0.7)
    yield "add_n", math.add_n([i["x"], i["y"], i["p"]])
    yield "bias_add", nn.bias_add(i["x"], weight(4))
    yield "where", tf.where(i["x"] > 0.1, i["x"], i["y"])
    yield "comparisons", tf.cast((i["x"] > i["y"]) | (i["x"] <= -1.0), tf.float32)
    yield "not_equal", tf.cast(tf.not_equal(math.sign(i["x"]), 1.0), tf.float32)


def windows(i: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for stride, padding in ((1, "SAME"), (2, "SAME"), (1, "VALID"), (2, "VALID")):
        kind = f"{stride}, {padding}"
        yield f"conv2d {kind}", nn.conv2d(i["x"], weight(3, 3, 4, 6), stride, padding)
        yield f"depthwise {kind}", nn.depthwise_conv2d(i["x"], weight(3, 3, 4, 1), (1, stride, stride, 1), padding)
        yield f"max_pool {kind}", nn.max_pool2d(i["x"], 3, stride, padding)
        yield f"avg_pool {kind}", nn.avg_pool2d(i["x"], (2, 3), stride, padding)
        size = (8 * stride, 9 * stride) if padding == "SAME" else (7 * stride + 3, 8 * stride + 3)
        yield f"conv2d_transpose {kind}", nn.conv2d_transpose(i["x"], weight(3, 3, 5, 4), (1, *size, 5), stride, padding)
    yield "conv2d dilated", nn.conv2d(i["x"], weight(3, 3, 4, 6), 1, "SAME", dilations=2)
    yield "conv2d dilated, valid", nn.conv2d(i["x"], weight(3, 2, 4, 6), 1, "VALID", dilations=(2, 3))
    yield "conv2d explicit", nn.conv2d(i["x"], weight(3, 3, 4, 6), 2, [[0, 0], [2, 1], [0, 1], [0, 0]])
    yield "conv2d grouped", nn.conv2d(i["x"], weight(3, 3, 2, 6), 1, "SAME")
    yield "depthwise multiplier", nn.depthwise_conv2d(i["x"], weight(3, 3, 4, 3), (1, 1, 1, 1), "SAME")
    yield "separable", nn.separable_conv2d(i["x"], weight(3, 3, 4, 2), weight(1, 1, 8, 5), (1, 1, 1, 1), "SAME")
    yield "conv1d", nn.conv1d(i["m"], weight(3, 5, 2), 1, "SAME")
    yield "conv3d", nn.conv3d(i["v"], weight(3, 3, 3, 3, 4), (1, 1, 1, 1, 1), "SAME")
    yield "max_pool3d", nn.max_pool3d(i["v"], 2, 2, "VALID")
    yield "batch norm", raw.FusedBatchNormV3(
        x=i["x"], scale=weight(4), offset=weight(4), mean=weight(4), variance=tf.abs(weight(4)) + 0.3, is_training=False
    )[0]
    yield "lrn", nn.local_response_normalization(i["x"], 2, 1.0, 0.3, 0.75)
    yield "patches", tf.image.extract_patches(i["x"], [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID")


def shapes(i: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "reshape", tf.reshape(i["x"], (1, 72, 4))
    yield "flatten", tf.reshape(i["x"], (1, -1))
    yield "transpose", tf.transpose(i["x"], (0, 3, 1, 2))
    yield "transpose 3", tf.transpose(i["m"], (2, 0, 1))
    yield "expand, squeeze", tf.squeeze(tf.expand_dims(i["m"], 2), 2) + 1.0
    yield "concat", tf.concat([i["x"], i["y"][:, :, :, 1:3]], 3)
    yield "concat rows", tf.concat([i["x"], i["y"]], 1)
    yield "split", tf.split(i["x"], 2, 3)[1]
    yield "split sizes", tf.split(i["x"], [1, 5, 3], 2)[1]
    yield "stack", tf.stack([i["m"], i["m"] * 2.0], 1)
    yield "unstack", tf.unstack(i["m"], axis=1)[2]
    yield "slice", tf.slice(i["x"], (0, 1, 2, 0), (1, 5, 6, 3))
    yield "strided slice", i["x"][:, 1:-1:2, ::3, -2:]
    yield "strided slice, negative", i["x"][:, ::-1, 5::-2]
    yield "strided slice, new and gone", i["m"][0, tf.newaxis, ..., 1]
    yield "pad", tf.pad(i["x"], ((0, 0), (1, 2), (0, 3), (0, 0)))
    yield "pad value", tf.pad(i["x"], ((0, 0), (1, 2), (0, 3), (0, 0)), constant_values=1.5)
    yield "pad reflect", tf.pad(i["x"], ((0, 0), (1, 2), (0, 3), (0, 0)), "REFLECT")
    yield "pad symmetric", tf.pad(i["x"], ((0, 0), (1, 2), (0, 3), (0, 0)), "SYMMETRIC")
    yield "tile", tf.tile(i["m"], (1, 2, 3))
    yield "broadcast", tf.broadcast_to(i["r"][:1], (3, 6)) * 1.0
    yield "gather", tf.gather(i["m"], [2, 0, 1, 1], axis=1)
    yield "gather_nd", tf.gather_nd(i["m"], [[0, 1], [2, 3]])
    yield "reverse", tf.reverse(i["m"], [1, 2])
    yield "roll", tf.roll(i["m"], 2, 1)
    yield "depth_to_space", nn.depth_to_space(i["x"], 2)
    yield "space_to_depth", nn.space_to_depth(i["x"][:, :, :8], 2)
    yield "space_to_batch", tf.space_to_batch(i["x"], (2, 2), ((0, 0), (1, 0)))
    for size, name in (((16, 18), "up"), ((5, 4), "down")):
        yield f"nearest {name}", tf.compat.v1.image.resize_nearest_neighbor(i["x"], size)
        yield f"nearest {name}, centres", tf.image.resize(i["x"], size, "nearest")
        yield f"bilinear {name}", tf.compat.v1.image.resize_bilinear(i["x"], size)
        yield f"bilinear {name}, corners", tf.compat.v1.image.resize_bilinear(i["x"], size, align_corners=True)
        yield f"bilinear {name}, centres", tf.image.resize(i["x"], size, "bilinear")
    yield "one_hot", tf.one_hot(tf.constant([0, 2, 1, 3]), 4) * i["r"][:, :4]


def products(i: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "matmul", i["r"] @ weight(6, 5)
    yield "matmul, transposed", tf.matmul(i["r"], weight(5, 6), transpose_b=True)
    yield "matmul of batches", tf.matmul(i["m"], weight(3, 5, 2))
    yield "matmul of tensors", tf.matmul(i["m"], i["m"], transpose_b=True)
    yield "einsum", tf.einsum("bij,jk->bik", i["m"], weight(5, 3))
    yield "einsum of tensors", tf.einsum("bij,bkj->bik", i["m"], i["m"])
    for function in REDUCTIONS.split():
        yield function, getattr(math, function)(i["x"], (1, 2))
        yield f"{function}, last, kept", getattr(math, function)(i["m"], -1, keepdims=True)
    yield "argmax", math.argmax(i["m"], 2, tf.int32)
    yield "argmin", math.argmin(i["x"], 3, tf.int32)
    yield "top_k", math.top_k(i["m"], 2).values
    yield "cumsum", math.cumsum(i["m"], 1)
    yield "cumsum, reversed", math.cumsum(i["m"], 2, reverse=True)
    yield "all", tf.cast(math.reduce_all(i["m"] > -1.9, 1), tf.float32)
    yield "any", tf.cast(math.reduce_any(i["m"] > 1.5, 1), tf.float32)
    yield "l2_normalize", math.l2_normalize(i["x"], 3)
    yield "moments", nn.moments(i["x"], (1, 2))[1]
    yield "segment_sum", math.segment_sum(i["r"], [0, 0, 1, 2])


def main(folder: Path) -> None:
    tensors: dict[str, Any] = {}
    arrays: dict[str, Any] = {name: array.astype(np.float32) for name, array in INPUTS.items()}
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        given = {name: tf.compat.v1.placeholder(tf.float32, array.shape, name) for name, array in INPUTS.items()}
        for family in (elementwise, windows, shapes, products):
            for name, tensor in family(given):
                tensors[name] = tf.identity(tensor, f"case_{len(tensors)}")
        feed = {given[name]: array for name, array in arrays.items()}
        for name, tensor in tensors.items():
            try:
                arrays[f"out:{name}"] = session.run(tensor, feed)
            except tf.errors.OpError as error:
                print(name, error.message[:100])
        (folder / "cases.pb").write_bytes(graph.as_graph_def().SerializeToString())
    np.savez(folder / "cases.npz", **arrays)
    names = {name: tensor.op.name for name, tensor in tensors.items() if f"out:{name}" in arrays}
    (folder / "cases.json").write_text(json.dumps(names))


main(Path(sys.argv[1]))
