"""Converts many parts of one frozen graph in one process of TensorFlow, which takes seconds to start; called by tensorflow_operators."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def convert_each(graph: str, plugin: str, folder: str, outputs: Mapping[str, str]) -> dict[str, str]:
    """Write an ONNX file for each output into a folder, named by its number; the answer has an error for each, or ""."""
    sys.path.append(plugin)
    from tpumlir_tensorflow import child

    found = {}
    for number, (name, output) in enumerate(outputs.items()):
        place = Path(folder) / str(number)
        place.mkdir()
        try:
            child.convert("frozen graph", graph, str(place), input_shapes=[], input_names=[], output_names=[output])
            found[name] = ""
        except Exception as error:
            found[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return found
