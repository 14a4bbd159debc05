"""Operators of Paddle with variations, a model in PIR each: ``paddle_cases.py FOLDER``, run by the Python that has Paddle.

Writes ``NUMBER.json`` and its weights; ``cases.npz``: every input, and ``out:CASE``, what Paddle computes; ``cases.json``: the cases.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle.nn import functional as F

RANDOM = np.random.default_rng(7)
INPUTS = {
    "x": RANDOM.uniform(-2, 2, (1, 4, 8, 9)), "y": RANDOM.uniform(-2, 2, (1, 4, 8, 9)), "p": RANDOM.uniform(0.2, 3, (1, 4, 8, 9)),
    "m": RANDOM.uniform(-2, 2, (3, 4, 5)), "r": RANDOM.uniform(-2, 2, (4, 6)), "v": RANDOM.uniform(-2, 2, (2, 3, 5, 6, 4)),
}  # fmt: skip
INPUTS = {name: array.astype(np.float32) for name, array in INPUTS.items()}


def weight(*shape: int) -> Any:
    array = RANDOM.uniform(-1, 1, shape).astype(np.float32)
    return paddle.static.create_parameter(shape, "float32", default_initializer=paddle.nn.initializer.Assign(array))


UNARY = {
    "x": "abs ceil cos erf exp floor round sigmoid sign sin sinh square tanh cosh atan", "p": "log log10 log1p log2 reciprocal rsqrt sqrt",
}  # fmt: skip
ACTIVATIONS = (
    "relu relu6 elu selu leaky_relu softmax log_softmax silu gelu hardswish hardsigmoid hardtanh mish softplus softsign swish tanhshrink"
)
BINARY = "add subtract multiply maximum minimum"
REDUCTIONS = "sum mean max min prod logsumexp"


def elementwise() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for name, functions in UNARY.items():
        for function in functions.split():
            yield function, name, getattr(paddle, function)
    for function in ACTIVATIONS.split():
        yield function, "x", getattr(F, function)
    for function in BINARY.split():
        yield function, "xy", getattr(paddle, function)
        yield f"{function}, broadcast", "m", lambda m, function=function: getattr(paddle, function)(m, weight(3, 1, 5))
    yield "divide", "xp", paddle.divide
    yield "pow", "p", lambda p: paddle.pow(p, 1.7)
    yield "pow of tensors", "px", paddle.pow
    yield "floor_divide", "xp", lambda x, p: paddle.floor_divide(x, p)
    yield "clip", "x", lambda x: paddle.clip(x, -0.5, 0.7)
    yield "scale", "x", lambda x: paddle.scale(x, 2.0, 0.5)
    yield "where", "xy", lambda x, y: paddle.where(x > 0.1, x, y)
    yield "comparisons", "xy", lambda x, y: paddle.cast(paddle.logical_or(x > y, x <= -1.0), "float32")
    yield "prelu", "x", lambda x: F.prelu(x, weight(4))
    yield "dropout", "x", lambda x: F.dropout(x, 0.3, training=False)


def windows() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for stride, padding in ((1, 0), (1, 1), (2, 1), (2, "SAME"), (1, [2, 1, 0, 1])):
        kind = f"{stride}, {padding}"
        yield f"conv2d {kind}", "x", lambda x, s=stride, p=padding: F.conv2d(x, weight(6, 4, 3, 3), weight(6), s, p)
        yield f"depthwise {kind}", "x", lambda x, s=stride, p=padding: F.conv2d(x, weight(4, 1, 3, 3), None, s, p, groups=4)
    yield "conv2d dilated", "x", lambda x: F.conv2d(x, weight(6, 4, 3, 3), None, 1, 2, 2)
    yield "conv2d grouped", "x", lambda x: F.conv2d(x, weight(6, 2, 3, 3), None, 1, 1, groups=2)
    yield "conv3d", "v", lambda v: F.conv3d(v, weight(4, 3, 3, 3, 3), None, 1, 1)
    for stride, padding in ((1, 0), (2, 0), (2, 1)):
        kind = f"{stride}, {padding}"
        yield f"conv2d_transpose {kind}", "x", lambda x, s=stride, p=padding: F.conv2d_transpose(x, weight(4, 5, 3, 3), None, s, p)
        yield f"max_pool {kind}", "x", lambda x, s=stride, p=padding: F.max_pool2d(x, 3, s, p)
        yield f"avg_pool {kind}", "x", lambda x, s=stride, p=padding: F.avg_pool2d(x, 3, s, p)
        yield f"avg_pool {kind}, padding counts", "x", lambda x, s=stride, p=padding: F.avg_pool2d(x, 3, s, p, exclusive=False)
    yield "max_pool ceil", "x", lambda x: F.max_pool2d(x, 3, 2, 0, ceil_mode=True)
    yield "avg_pool ceil", "x", lambda x: F.avg_pool2d(x, 2, 2, 0, ceil_mode=True)
    yield "adaptive_avg_pool 1", "x", lambda x: F.adaptive_avg_pool2d(x, 1)
    yield "adaptive_avg_pool", "x", lambda x: F.adaptive_avg_pool2d(x, (4, 3))
    yield "adaptive_max_pool 1", "x", lambda x: F.adaptive_max_pool2d(x, 1)
    yield "batch_norm", "x", lambda x: F.batch_norm(x, weight(4), paddle.abs(weight(4)) + 0.3, weight(4), weight(4))
    yield "instance_norm", "x", lambda x: F.instance_norm(x, weight=weight(4), bias=weight(4))
    yield "group_norm", "x", lambda x: F.group_norm(x, 2, weight=weight(4), bias=weight(4))
    yield "layer_norm", "m", lambda m: F.layer_norm(m, 5, weight(5), weight(5))
    yield "layer_norm of two", "m", lambda m: F.layer_norm(m, (4, 5))
    for mode in ("nearest", "bilinear", "bicubic"):
        for size in ((16, 18), (5, 4)):
            yield f"{mode} {size}", "x", lambda x, m=mode, s=size: F.interpolate(x, s, mode=m)
    yield "bilinear corners", "x", lambda x: F.interpolate(x, (16, 18), mode="bilinear", align_corners=True)
    yield "pixel_shuffle", "x", lambda x: F.pixel_shuffle(x, 2)
    yield "unfold", "x", lambda x: F.unfold(x, 3, 2, 1)
    yield "grid_sample", "xy", lambda x, y: F.grid_sample(x, paddle.transpose(y[:, :2], [0, 2, 3, 1]) * 0.5)


def shapes() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    yield "reshape", "x", lambda x: paddle.reshape(x, [1, 4, 72])
    yield "flatten", "x", lambda x: paddle.flatten(x, 1)
    yield "transpose", "x", lambda x: paddle.transpose(x, [0, 2, 3, 1])
    yield "squeeze", "m", lambda m: paddle.squeeze(paddle.unsqueeze(m, [0, 2]), 2) + 1.0
    yield "concat", "xy", lambda x, y: paddle.concat([x, y[:, 1:3]], 1)
    yield "split", "x", lambda x: paddle.split(x, [1, 3], 1)[1]
    yield "split even", "x", lambda x: paddle.split(x, 2, 1)[1]
    yield "stack", "m", lambda m: paddle.stack([m, m * 2.0], 1)
    yield "unstack", "m", lambda m: paddle.unstack(m, 1)[2]
    yield "slice", "x", lambda x: x[:, 1:3, 2:, :-1]
    yield "strided slice", "x", lambda x: x[:, ::2, 1:7:3]
    yield "index", "m", lambda m: m[:, 2]
    yield "pad", "x", lambda x: F.pad(x, [1, 2, 0, 3], value=1.5)
    yield "pad reflect", "x", lambda x: F.pad(x, [1, 2, 0, 3], mode="reflect")
    yield "pad replicate", "x", lambda x: F.pad(x, [1, 2, 0, 3], mode="replicate")
    yield "tile", "m", lambda m: paddle.tile(m, [1, 2, 3])
    yield "expand", "r", lambda r: paddle.expand(r[:1], [3, 6]) * 1.0
    yield "gather", "m", lambda m: paddle.gather(m, paddle.to_tensor([2, 0, 1, 1]), 1)
    yield "index_select", "m", lambda m: paddle.index_select(m, paddle.to_tensor([2, 0]), 2)
    yield "flip", "m", lambda m: paddle.flip(m, [1, 2])
    yield "roll", "m", lambda m: paddle.roll(m, 2, 1)
    yield "tril", "r", paddle.tril
    yield "matmul", "r", lambda r: paddle.matmul(r, weight(6, 5))
    yield "matmul, transposed", "m", lambda m: paddle.matmul(m, m, transpose_y=True)
    yield "bmm", "m", lambda m: paddle.bmm(m, weight(3, 5, 2))
    yield "linear", "m", lambda m: F.linear(m, weight(5, 3), weight(3))
    yield "embedding", "r", lambda r: F.embedding(paddle.to_tensor([[1, 3, 0]]), weight(5, 6)) + r[:1]
    for function in REDUCTIONS.split():
        yield function, "x", lambda x, function=function: getattr(paddle, function)(x, [2, 3] if function != "prod" else 2)
        yield f"{function}, kept", "m", lambda m, function=function: getattr(paddle, function)(m, -1, keepdim=True)
    yield "norm", "x", lambda x: paddle.norm(x, 2, 1)
    yield "argmax", "m", lambda m: paddle.cast(paddle.argmax(m, 2), "float32")
    yield "argmin", "x", lambda x: paddle.cast(paddle.argmin(x, 1), "float32")
    yield "topk", "m", lambda m: paddle.topk(m, 2)[0]
    yield "cumsum", "m", lambda m: paddle.cumsum(m, 1)


def build(folder: Path, number: int, names: str, function: Callable[..., Any]) -> Any:
    """Save one case; what it computes."""
    program, startup = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(program, startup):
        given = [paddle.static.data(name, INPUTS[name].shape, "float32") for name in names]
        result = function(*given)
        executor = paddle.static.Executor(paddle.CPUPlace())
        executor.run(startup)
        paddle.static.save_inference_model(str(folder / str(number)), given, [result], executor, program=program)
        return executor.run(program, feed={name: INPUTS[name] for name in names}, fetch_list=[result])[0]


def main(folder: Path) -> None:
    paddle.enable_static()
    cases: list[str] = []
    arrays: dict[str, Any] = dict(INPUTS)
    for family in (elementwise, windows, shapes):
        for name, names, function in family():
            try:
                arrays[f"out:{name}"] = build(folder, len(cases), names, function)
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[-200:]}")
                arrays[f"out:{name}"] = np.zeros(0)
            cases.append(name)
    np.savez(folder / "cases.npz", **arrays)
    (folder / "cases.json").write_text(json.dumps(cases))


main(Path(sys.argv[1]))
