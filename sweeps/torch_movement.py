"""Views, joins, indices, padding, resampling, constants and changes in place for the PyTorch sweep."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from sweeps.torch_cases import Case

IMAGE = (2, 6, 4, 5)


def views() -> Iterator[Case]:
    """Shapes, permutations, joining and splitting."""
    one = [IMAGE]
    yield Case("view", lambda x: x.view(2, -1) + 1, one)
    yield Case("reshape", lambda x: x.reshape(3, 4, -1) + 1, one)
    yield Case("view_as", lambda x, y: x.view_as(y) + y, [(2, 6), (3, 4)])
    yield Case("flatten", lambda x: x.flatten(1) + 1, one)
    yield Case("flatten some", lambda x: x.flatten(1, 2) + 1, one)
    yield Case("unflatten", lambda x: x.unflatten(1, (2, -1)) + 1, one)
    yield Case("squeeze", lambda x: x.squeeze() + 1, [(2, 1, 3, 1)])
    yield Case("squeeze dim", lambda x: x.squeeze(1) + x.squeeze((1, 3)).unsqueeze(2), [(2, 1, 3, 1)])
    yield Case("permute", lambda x: x.permute(0, 2, 3, 1) + 1, one)
    yield Case("transpose", lambda x: x.transpose(1, -1) + 1, one)
    yield Case("t", lambda x: x.t() + 1, [(3, 4)])
    yield Case("T", lambda x: x.T + 1, [(3, 4)])
    yield Case("movedim", lambda x: x.movedim(1, -1) + 1, one)
    yield Case("movedim two", lambda x: x.movedim((0, 1), (2, 0)) + 1, one)
    yield Case("swapaxes", lambda x: x.swapaxes(0, 1) + 1, one)
    yield Case("expand", lambda x: x.expand(3, -1, 4) + 1, [(2, 1)])
    yield Case("broadcast_to", lambda x: torch.broadcast_to(x, (3, 2, 4)) + 1, [(2, 1)])
    yield Case("repeat", lambda x: x.repeat(2, 1, 3), [(2, 3)])
    yield Case("tile", lambda x: x.tile(2, 2), [(2, 3)])
    yield Case("repeat_interleave", lambda x: x.repeat_interleave(3, 1), [(2, 3)])
    yield Case("cat", lambda x, y: torch.cat([x, y, x], 1), [(2, 3, 4), (2, 5, 4)])
    yield Case("cat negative", lambda x, y: torch.cat([x, y], -1), [(2, 3), (2, 4)])
    yield Case("stack", lambda x, y: torch.stack([x, y], -1), [(2, 3), (2, 3)])
    yield Case("hstack", lambda x, y: torch.hstack([x, y]), [(2, 3), (2, 4)])
    yield Case("vstack", lambda x, y: torch.vstack([x, y]), [(2, 3), (4, 3)])
    yield Case("split", lambda x: x.split(4, 1), one)
    yield Case("split_with_sizes", lambda x: x.split([1, 2, 3], 1), one)
    yield Case("chunk", lambda x: x.chunk(4, 1), one)
    yield Case("unbind", lambda x: x.unbind(1)[2] + 1, one)
    yield Case("tensor_split", lambda x: torch.tensor_split(x, 3, 1), one)
    yield Case("meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="ij"), [(3,), (4,)])
    yield Case("meshgrid xy", lambda x, y: torch.meshgrid(x, y, indexing="xy"), [(3,), (4,)])
    yield Case("flip two", lambda x: x.flip((1, -1)), one)
    for turns in (1, 2, 3, 4, -1):
        yield Case(f"rot90 {turns}", lambda x, turns=turns: torch.rot90(x, turns, (2, 3)), one)
    yield Case("rot90 back", lambda x: torch.rot90(x, 1, (-1, 1)), one)
    yield Case("roll two", lambda x: x.roll((1, -2), (1, 3)), one)
    yield Case("tril", torch.tril, [(2, 4, 5)])
    yield Case("triu", lambda x: torch.triu(x, 1), [(2, 4, 5)])
    yield Case("diagonal", lambda x: torch.diagonal(x, 1, 2, 3), one)
    yield Case("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), [(2, 8, 3, 4)])
    yield Case("pixel_unshuffle", lambda x: F.pixel_unshuffle(x, 2), [(2, 3, 4, 6)])
    yield Case("channel_shuffle", lambda x: F.channel_shuffle(x, 3), one)
    yield Case("unfold-like", lambda x: torch.stack([x[:, i : i + 2] for i in range(3)], 1), [(2, 5)])


def indices() -> Iterator[Case]:
    """Slices, selections, gathering, scattering."""
    one = [IMAGE]
    yield Case("slice", lambda x: x[:, 1:4, ::2, -3:-1] + 1, one)
    yield Case("slice end", lambda x: x[..., :-1] + x[..., 1:], one)
    yield Case("select", lambda x: x[0] + x.select(0, -1), one)
    yield Case("narrow", lambda x: x.narrow(1, 2, 3) + 1, one)
    yield Case("index constant", lambda x: x[:, [2, 0, 5]] + 1, one)
    yield Case("index negative", lambda x: x[:, torch.tensor([-1, 0])] + 1, one)
    yield Case("index tuple", lambda x: x[torch.tensor([0, 1]), torch.tensor([3, 2])] + 1, one)
    yield Case("index inner", lambda x: x[:, torch.tensor([0, 1]), torch.tensor([3, 2])] + 1, one)
    yield Case("index apart", lambda x: x[torch.tensor([0, 1]), :, torch.tensor([3, 2])] + 1, one)
    yield Case("index mask", lambda x: x[:, torch.tensor([True, False, True, True, False, False])] + 1, one)
    yield Case("index tensor", lambda i, x: x[i], [(3,), (5, 4)], whole=[5])
    yield Case("index_select", lambda i, x: x.index_select(1, i), [(3,), (4, 5)], whole=[5])
    yield Case("gather", lambda i, x: x.gather(1, i), [(2, 3, 4), (2, 6, 4)], whole=[6])
    yield Case("take_along_dim", lambda i, x: torch.take_along_dim(x, i, 1), [(2, 3, 4), (2, 6, 4)], whole=[6])
    yield Case("take", lambda i, x: x.take(i), [(2, 3), (4, 5)], whole=[20])
    yield Case("scatter", lambda i, x, y: x.scatter(1, i[:, :1], y), [(2, 3, 4), (2, 6, 4), (2, 3, 4)], whole=[6])
    yield Case("scatter value", lambda i, x: x.scatter(1, i, 7.0), [(2, 1), (2, 6)], whole=[6])
    yield Case("index_put", lambda x, y: x.index_put((torch.tensor([0, 2]),), y), [(4, 5), (2, 5)])
    yield Case("index_put mask", lambda x: x.index_put((x > 1,), torch.tensor(0.5)), [(4, 5)])
    yield Case("embedding function", lambda i, w: F.embedding(i, w), [(2, 3), (5, 4)], whole=[5])
    yield Case("one_hot", lambda i: F.one_hot(i, 5).float(), [(2, 3)], whole=[5])
    yield Case("slice_scatter", lambda x, y: torch.slice_scatter(x, y, 1, 1, 4), [(2, 6), (2, 3)])
    yield Case("select_scatter", lambda x, y: torch.select_scatter(x, y, 1, 2), [(2, 6), (2,)])
    for mode in ("constant", "reflect", "replicate", "circular"):
        yield Case(f"pad {mode}", lambda x, m=mode: F.pad(x, (1, 2, 2, 1), m), one)
    yield Case("pad 1d reflect", lambda x: F.pad(x, (2, 1), "reflect"), [(2, 3, 5)])
    yield Case("pad value", lambda x: F.pad(x, (1, 0, 0, 2, 1, 1), value=1.5), one)
    yield Case("pad crop", lambda x: F.pad(x, (-1, 1, 1, -2)), one)


def resampling() -> Iterator[Case]:
    """Interpolation to factors and sizes."""
    for factor in (2, 1.5, 0.5, (2.0, 3.0)):
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
            yield Case(f"{mode} {factor}", lambda x, f=factor, m=mode: F.interpolate(x, scale_factor=f, mode=m), [IMAGE])
    for size in ((7, 9), (8, 10), (2, 3), (1, 1)):
        for corners in (True, False):
            yield Case(
                f"bilinear {size} {corners}", lambda x, s=size, c=corners: F.interpolate(x, s, mode="bilinear", align_corners=c), [IMAGE]
            )
        yield Case(f"nearest {size}", lambda x, s=size: F.interpolate(x, s), [IMAGE])
    yield Case("bicubic corners", lambda x: F.interpolate(x, (7, 9), mode="bicubic", align_corners=True), [IMAGE])
    yield Case("linear 1d", lambda x: F.interpolate(x, scale_factor=2, mode="linear"), [(2, 3, 5)])
    yield Case("nearest 1d", lambda x: F.interpolate(x, scale_factor=2), [(2, 3, 5)])
    yield Case("trilinear", lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"), [(1, 2, 3, 4, 3)])
    yield Case("nearest 3d", lambda x: F.interpolate(x, scale_factor=2), [(1, 2, 3, 4, 3)])
    for padding in ("zeros", "border", "reflection"):
        yield Case(
            f"grid_sample {padding}", lambda x, g, p=padding: F.grid_sample(x, g / 3, padding_mode=p, align_corners=False),
            [IMAGE, (2, 3, 4, 2)],
        )


def constants() -> Iterator[Case]:
    """Constants of shapes and numbers."""
    yield Case("arange", lambda x: x + torch.arange(5), [(2, 5)])
    yield Case("arange step", lambda x: x + torch.arange(1, 10, 2), [(2, 5)])
    yield Case("arange real", lambda x: x + torch.arange(0, 1, 0.25), [(2, 4)])
    yield Case("zeros", lambda x: torch.cat([x, torch.zeros(2, 1)], 1), [(2, 5)])
    yield Case("ones", lambda x: torch.cat([x, torch.ones(2, 1)], 1), [(2, 5)])
    yield Case("full", lambda x: torch.cat([x, torch.full((2, 1), 3.5)], 1), [(2, 5)])
    yield Case("linspace", lambda x: x * torch.linspace(-1, 1, 5), [(2, 5)])
    yield Case("eye", lambda x: x @ torch.eye(5), [(2, 5)])
    yield Case("tensor", lambda x: x * torch.tensor([1.0, 2, 3, 4, 5]), [(2, 5)])
    yield Case("scalar_tensor", lambda x: x * torch.tensor(2.0), [(2, 5)])
    yield Case("integers", lambda i: (i * 3 + 1) // 2 - i % 3, [(2, 5)], whole=[20])
    yield Case("integer division", lambda i, j: torch.div(i, j + 1, rounding_mode="trunc"), [(2, 50)] * 2, whole=[20, 7])
    yield Case("integer division down", lambda i, j: (i - 9) // (j + 1), [(2, 50)] * 2, whole=[20, 7])
    yield Case("true division", lambda i, j: i / (j + 1), [(2, 5)] * 2, whole=[20, 7])
    yield Case("integer mean", lambda i: i.float().mean(1) + i.sum(1), [(2, 5)], whole=[20])
    yield Case("promotion", lambda i, x: i * x + i, [(2, 5)] * 2, whole=[20])
    yield Case("bool sum", lambda x: (x > 0).sum(1).float(), [(2, 5)])


def _changed(x: Tensor) -> Tensor:
    y = x * 1
    y[:, 0] = y[:, 1] * 2
    y[:, 2:4] += 1
    return y


def _chained(x: Tensor) -> Tensor:
    y = x.clone()
    part = y[:, 1:3]
    row = part[:, 0]
    row.mul_(2)
    y.add_(1)
    return torch.cat([part, row[:, None]], 1) + y[:, :3]


def _views(x: Tensor) -> Tensor:
    y = x.clone()
    flat = y.view(2, -1)
    flat[:, 3] = 9.0
    y.transpose(1, 2).mul_(2)
    return y + flat.view_as(y)


def _filled(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, ::1].copy_(x)
    y[0].fill_(2.5)
    y.masked_fill_(y > 2.6, -1)
    return y


def changes() -> Iterator[Case]:
    """Operators that work in place, on views too."""
    for function in (_changed, _chained, _views, _filled):
        yield Case(f"in place{function.__name__}", function, [(2, 5, 4)])
    yield Case("in place sigmoid", lambda x: (x + 1).sigmoid_(), [(2, 5)])
    yield Case("in place clamp", lambda x: (x + 1).clamp_(-1, 1), [(2, 5)])
    yield Case("in place zero", lambda x: x + (x * 2).zero_(), [(2, 5)])
    yield Case("in place unbind", lambda x: _halves(x), [(2, 5)])


def _halves(x: Tensor) -> Tensor:
    y = x * 1
    first, second = y.unbind(0)
    first += second
    return y
