"""Converts many models in one process of Paddle, which takes seconds to start; called by paddle_operators."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def convert_each(models: str, plugin: str, folder: str, count: int) -> list[str]:
    """Write an ONNX file for each of the models 0.json, 1.json... into a folder, named alike; an error for each, or "".

    Each in a fork of the process, since paddle2onnx ends it where it refuses something."""
    sys.path.append(plugin)
    os.environ.update({"FLAGS_enable_pir_api": "1"})
    import paddle  # noqa: F401  (once, before the forks)

    return [_forked(Path(models) / f"{number}.json", Path(folder) / str(number)) for number in range(count)]


def _forked(model: Path, place: Path) -> str:
    place.mkdir()
    told = place / "error"
    process = os.fork()
    if process == 0:
        try:
            _convert(model, place)
        except BaseException as error:
            told.write_text(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if status:
        return f"Paddle ended with signal {os.WTERMSIG(status)}"
    return told.read_text() if told.exists() else ""


def _convert(model: Path, place: Path) -> None:
    from tpumlir_paddle import child

    weights = model.with_suffix(".pdiparams")
    child.convert(str(model), str(weights) if weights.exists() else "", str(place))
