"""The recipe of the small models in ``data``: `python tests/torch/make_fixtures.py`, in an environment with torch 2.13.

Each is written as torch writes it, with an input and the outputs that torch computed, so that tests run without it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

DATA = Path(__file__).parent / "data"


class Network(nn.Module):
    """Convolution, normalization, changes in place through views, a branch on the shape, resampling, a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 5)
        self.register_buffer("offset", torch.arange(4).view(1, 4, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.act(self.norm(self.conv(x)))
        y[:, 0] = y[:, 1] * 2
        if y.shape[2] > 3:
            y = y + self.offset
        a, b = torch.split(y, 2, 1)
        y = torch.cat([b, a], 1)
        z = y.mean((2, 3)).view(y.size(0), -1)
        return self.head(z), F.max_pool2d(y, 2, ceil_mode=True)


class Loops(nn.Module):
    """What only scripting keeps: a loop over modules, optional arguments, lists, a branch that is constant."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.residual: bool = True

    def forward(self, x: Tensor, scale: float | None = None) -> dict[str, Tensor]:
        parts: list[Tensor] = []
        for block in self.blocks:
            y = torch.tanh(block(x))
            x = x + y if self.residual else y
            parts.append(x)
        total = torch.stack(parts).sum(0)
        if scale is not None:
            total = total * scale
        count = 0
        while count < x.size(0):
            count += 1
        return {"total": total / count, "last": parts[-1]}


class Decides(nn.Module):
    """A branch on the data: refused."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if bool(x.sum() > 0) else x - 1


def main() -> None:
    """Write all fixtures."""
    torch.manual_seed(0)
    DATA.mkdir(exist_ok=True)
    network, x = Network().eval(), torch.randn(2, 3, 6, 7)
    for parameter in network.norm.running_mean, network.norm.running_var:
        parameter.uniform_(0.5, 1.5)
    with torch.no_grad():
        torch.export.save(torch.export.export(network, (x,)), DATA / "exported.pt2")
        batch = torch.export.Dim("batch", min=2, max=64)
        torch.export.save(torch.export.export(network, (x,), dynamic_shapes=({0: batch},)), DATA / "dynamic.pt2")
        torch.jit.save(torch.jit.trace(network, x), DATA / "traced.pt")
        torch.jit.save(torch.jit.freeze(torch.jit.script(network)), DATA / "frozen.pt")
        _save("network", {"x": x}, network(x))
        loops, rows = Loops().eval(), torch.randn(4, 6)
        torch.jit.save(torch.jit.script(loops), DATA / "scripted.pt")
        _save("scripted", {"x": rows}, tuple(loops(rows).values()))
        torch.jit.save(torch.jit.script(Decides()), DATA / "decides.pt")
        torch.save(network.state_dict(), DATA / "weights.pt")
    for path in sorted(DATA.glob("*.pt*")):
        _strip(path)


def _strip(path: Path) -> None:
    """Drop what tells of the machine that wrote a file: places in source text."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".debug_pkl")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            packed = zipfile.ZIP_DEFLATED if name.endswith((".py", "model.json")) else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), _without_places(data) if name.endswith("models/model.json") else data, packed)


def _without_places(data: bytes) -> bytes:
    model = json.loads(data)
    for node in model["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    return json.dumps(model).encode()


def _save(name: str, inputs: dict[str, Tensor], outputs: Any) -> None:
    arrays = {key: tensor.numpy() for key, tensor in inputs.items()} | {f"output{i}": tensor.numpy() for i, tensor in enumerate(outputs)}
    np.savez(DATA / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
