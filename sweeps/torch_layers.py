"""Layers, reductions, views, indexing and products for the PyTorch sweep: as modules and functions, with parameters varied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweeps.torch_cases import Case, Shape

IMAGE = (2, 6, 9, 8)


def layers() -> Iterator[Case]:
    """Convolutions, pools, normalizations, recurrent layers and products with weights."""
    torch.manual_seed(0)
    for kernel, stride, padding, dilation, groups in ((3, 1, 1, 1, 1), (3, 2, 0, 1, 2), (2, 1, 1, 2, 6), (1, 1, 0, 1, 3), (5, 3, 2, 1, 1)):
        what = f"k{kernel} s{stride} p{padding} d{dilation} g{groups}"
        for n, kind, transposed in ((1, nn.Conv1d, nn.ConvTranspose1d), (2, nn.Conv2d, nn.ConvTranspose2d), (3, nn.Conv3d, None)):
            shape: Shape = (2, 6, *(9, 8, 7)[:n])
            yield Case(f"conv{n}d {what}", kind(6, 12, kernel, stride, padding, dilation, groups), [shape])
            if transposed is not None:
                extra = stride - 1
                layer = transposed(6, 12, kernel, stride, padding, extra, groups, dilation=dilation)
                yield Case(f"conv_transpose{n}d {what}", layer, [shape])
    yield Case("conv2d same", nn.Conv2d(6, 4, (3, 4), padding="same"), [IMAGE])
    yield Case("conv2d reflect", nn.Conv2d(6, 4, 3, padding=2, padding_mode="reflect"), [IMAGE])
    yield Case("conv2d circular", nn.Conv2d(6, 4, 3, padding=2, padding_mode="circular"), [IMAGE])
    yield Case("conv2d no batch", nn.Conv2d(6, 4, 3), [IMAGE[1:]])
    yield Case("conv2d dynamic", F.conv2d, [IMAGE, (4, 6, 3, 3), (4,)])
    for affine in (True, False):
        yield Case(f"batch_norm1d {affine}", nn.BatchNorm1d(6, affine=affine).eval(), [(4, 6)])
        yield Case(f"batch_norm2d {affine}", nn.BatchNorm2d(6, affine=affine).eval(), [IMAGE])
        yield Case(f"batch_norm of the batch {affine}", nn.BatchNorm2d(6, affine=affine, track_running_stats=False).eval(), [IMAGE])
        yield Case(f"batch_norm of one {affine}", nn.BatchNorm1d(6, affine=affine, track_running_stats=False).eval(), [(1, 6, 5)])
        yield Case(f"batch_norm of rows {affine}", nn.BatchNorm1d(6, affine=affine, track_running_stats=False).eval(), [(4, 6)])
        yield Case(f"instance_norm {affine}", nn.InstanceNorm2d(6, affine=affine), [IMAGE])
        yield Case(f"group_norm {affine}", nn.GroupNorm(3, 6, affine=affine), [IMAGE])
        yield Case(f"layer_norm {affine}", nn.LayerNorm(8, elementwise_affine=affine), [IMAGE])
        yield Case(f"layer_norm2 {affine}", nn.LayerNorm((9, 8), elementwise_affine=affine), [IMAGE])
        yield Case(f"rms_norm {affine}", nn.RMSNorm(8, elementwise_affine=affine), [IMAGE])
    yield Case("local_response_norm", nn.LocalResponseNorm(3), [IMAGE])
    yield Case("prelu one", nn.PReLU(), [IMAGE])
    yield Case("prelu channels", nn.PReLU(6), [IMAGE])
    yield Case("glu", nn.GLU(1), [IMAGE])
    yield Case("rrelu", nn.RReLU().eval(), [IMAGE])
    yield Case("linear", nn.Linear(8, 5), [IMAGE])
    yield Case("linear no bias", nn.Linear(8, 5, bias=False), [(3, 8)])
    yield Case("linear vector", nn.Linear(8, 5), [(8,)])
    yield Case("bilinear", nn.Bilinear(4, 5, 3), [(7, 4), (7, 5)])
    yield Case("embedding", nn.Embedding(11, 6), [(2, 5)], whole=[11])
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        yield Case(f"{kind.__name__}", kind(5, 6), [(4, 2, 5)])
        yield Case(f"{kind.__name__} two both first", kind(5, 6, 2, batch_first=True, bidirectional=True), [(2, 4, 5)])
        yield Case(f"{kind.__name__} no bias", kind(5, 6, bias=False), [(3, 2, 5)])
    yield Case("LSTMCell", nn.LSTMCell(5, 6), [(3, 5)])
    yield Case("GRUCell", nn.GRUCell(5, 6), [(3, 5)])
    yield Case("MultiheadAttention", lambda x: _attention(x), [(2, 5, 8)])
    yield Case("TransformerEncoderLayer", nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), [(2, 5, 8)])
    yield from pools()


_ATTENTION = nn.MultiheadAttention(8, 2, batch_first=True).eval()


def _attention(x: Tensor) -> Tensor:
    result: Tensor = _ATTENTION(x, x, x, need_weights=False)[0]
    return result


def pools() -> Iterator[Case]:
    """Pools of all kinds."""
    for kernel, stride, padding, ceil in ((2, 2, 0, False), (3, 2, 1, False), (3, 2, 1, True), (2, 3, 0, True), (3, 1, 1, False)):
        what = f"k{kernel} s{stride} p{padding} {ceil}"
        for n, largest, average in ((1, nn.MaxPool1d, nn.AvgPool1d), (2, nn.MaxPool2d, nn.AvgPool2d), (3, nn.MaxPool3d, nn.AvgPool3d)):
            image: Shape = (2, 3, *(9, 8, 7)[:n])
            yield Case(f"max_pool{n}d {what}", largest(kernel, stride, padding, ceil_mode=ceil), [image])
            for include in (True, False):
                pool = average(kernel, stride, padding, ceil_mode=ceil, count_include_pad=include)
                yield Case(f"avg_pool{n}d {what} {include}", pool, [image])
    yield Case("avg_pool2d divisor", nn.AvgPool2d(2, divisor_override=3), [IMAGE])
    yield Case("max_pool2d no batch", nn.MaxPool2d(2), [IMAGE[1:]])
    yield Case("lp_pool2d", nn.LPPool2d(2, 2), [IMAGE], 0.1, 3)
    for size in (1, 3, 4, (3, 2), (None, 2)):
        yield Case(f"adaptive_avg_pool2d {size}", nn.AdaptiveAvgPool2d(size), [IMAGE])
        yield Case(f"adaptive_max_pool2d {size}", nn.AdaptiveMaxPool2d(size), [IMAGE])
    yield Case("adaptive_avg_pool1d", nn.AdaptiveAvgPool1d(3), [(2, 3, 9)])
    yield Case("adaptive_avg_pool3d", nn.AdaptiveAvgPool3d(2), [(2, 3, 4, 6, 8)])


def products() -> Iterator[Case]:
    """Matrix products, einsum and attention on computed tensors."""
    yield Case("mm", torch.mm, [(4, 5), (5, 3)])
    yield Case("bmm", torch.bmm, [(2, 4, 5), (2, 5, 3)])
    yield Case("mv", torch.mv, [(4, 5), (5,)])
    yield Case("dot", torch.dot, [(5,), (5,)])
    for shapes in (((4, 5), (5,)), ((5,), (5, 3)), ((2, 3, 4, 5), (3, 5, 2)), ((7, 4, 5), (5, 2)), ((3, 4), (2, 4, 5))):
        yield Case(f"matmul {shapes[0]} {shapes[1]}", torch.matmul, shapes)
    yield Case("addmm", lambda b, x, y: torch.addmm(b, x, y, beta=0.5, alpha=2), [(3,), (4, 5), (5, 3)])
    yield Case("baddbmm", lambda b, x, y: torch.baddbmm(b, x, y, alpha=0.3), [(2, 4, 3), (2, 4, 5), (2, 5, 3)])
    yield Case("addbmm", torch.addbmm, [(4, 3), (2, 4, 5), (2, 5, 3)])
    yield Case("outer", torch.outer, [(4,), (5,)])
    equations: Sequence[tuple[str, Shape, Shape]] = (
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)), ("ij,kj->ik", (3, 4), (5, 4)),
        ("...ij,jk->...ik", (2, 3, 4), (4, 5)), ("bchw,kc->bkhw", (2, 3, 4, 5), (6, 3)), ("i,j->ij", (3,), (4,)),
        ("ij,ij->", (3, 4), (3, 4)),
    )
    for equation, left, right in equations:
        yield Case(f"einsum {equation}", lambda x, y, equation=equation: torch.einsum(equation, x, y), [left, right])
    yield Case("einsum one", lambda x: torch.einsum("bij->ji", x), [(2, 3, 4)])
    yield Case("einsum three", lambda x, y, z: torch.einsum("ij,jk,kl->il", x, y, z), [(2, 3), (3, 4), (4, 5)])
    heads = [(2, 2, 5, 4)] * 3
    yield Case("sdpa", F.scaled_dot_product_attention, heads)
    yield Case("sdpa causal", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), heads)
    yield Case("sdpa scale", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, scale=0.2), heads)
    yield Case("sdpa mask", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m), [*heads, (5, 5)])
    yield Case("sdpa boolean", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m > -1), [*heads, (2, 1, 5, 5)])
    yield Case("cosine_similarity", F.cosine_similarity, [(4, 5), (4, 5)])
    yield Case("cdist", torch.cdist, [(2, 4, 5), (2, 3, 5)])
    yield Case("normalize", lambda x: F.normalize(x, dim=1), [IMAGE])
    yield Case("mse_loss", F.mse_loss, [(4, 5), (4, 5)])
    yield Case("kron-like", lambda x, y: (x[:, None] * y[None]).flatten(), [(4,), (5,)])


def reductions() -> Iterator[Case]:
    """Reductions over axes, with and without keepdim."""
    for keep in (True, False):
        for axes in ((1,), (2, 3), (-1,), (0, 1, 2, 3)):
            what = f"{axes} {keep}"
            for name in ("sum", "mean", "amax", "amin", "std", "var", "logsumexp"):
                yield Case(f"{name} {what}", lambda x, n=name, a=axes, k=keep: getattr(torch, n)(x, dim=a, keepdim=k), [IMAGE])
            yield Case(f"norm {what}", lambda x, a=axes, k=keep: torch.norm(x, dim=a, keepdim=k), [IMAGE])
            yield Case(f"vector_norm1 {what}", lambda x, a=axes, k=keep: torch.linalg.vector_norm(x, 1, a, k), [IMAGE])
            yield Case(f"vector_norm3 {what}", lambda x, a=axes, k=keep: torch.linalg.vector_norm(x, 3, a, k), [IMAGE])
            yield Case(f"vector_norm_inf {what}", lambda x, a=axes, k=keep: torch.linalg.vector_norm(x, float("inf"), a, k), [IMAGE])
        for axis in (1, -1):
            what = f"{axis} {keep}"
            yield Case(f"max_dim {what}", lambda x, a=axis, k=keep: torch.max(x, a, k), [IMAGE])
            yield Case(f"min_dim {what}", lambda x, a=axis, k=keep: torch.min(x, a, k), [IMAGE])
            yield Case(f"argmax {what}", lambda x, a=axis, k=keep: torch.argmax(x, a, k).float(), [IMAGE])
            yield Case(f"argmin {what}", lambda x, a=axis, k=keep: torch.argmin(x, a, k).float(), [IMAGE])
            yield Case(f"prod {what}", lambda x, a=axis, k=keep: torch.prod(x, a, k), [IMAGE], 0.5, 1.5)
            yield Case(f"any {what}", lambda x, a=axis, k=keep: torch.any(x > 2, a, k).float(), [IMAGE])
            yield Case(f"all {what}", lambda x, a=axis, k=keep: torch.all(x > -2.8, a, k).float(), [IMAGE])
            yield Case(f"aminmax {what}", lambda x, a=axis, k=keep: tuple(torch.aminmax(x, dim=a, keepdim=k)), [IMAGE])
    yield Case("frobenius", lambda x: torch.linalg.norm(x, dim=(2, 3)), [IMAGE])
    yield Case("std biased", lambda x: torch.std(x, 1, unbiased=False), [IMAGE])
    yield Case("var_mean", lambda x: torch.var_mean(x, 1), [IMAGE])
    yield Case("std_mean", lambda x: torch.std_mean(x, (2, 3)), [IMAGE])
    for axis, largest in ((-1, True), (1, True), (-1, False)):
        yield Case(f"topk {axis} {largest}", lambda x, a=axis, g=largest: torch.topk(x, 3, a, g), [IMAGE])
    yield Case("cumsum first", lambda x: x.cumsum(0), [IMAGE])
    yield Case("softmax channels", lambda x: x.softmax(1), [IMAGE])
