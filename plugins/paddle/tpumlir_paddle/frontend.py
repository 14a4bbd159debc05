"""The Paddle frontend: an inference model becomes a Top module, by way of paddle2onnx and the ONNX frontend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tpumlir_core.conversion import ConvertingFrontend, Framework
from tpumlir_core.plugins.extension_points import Example, ImportOptions
from tpumlir_paddle.files import find_model, is_folder_of_model, is_model
from tpumlir_paddle.inspection import check
from tpumlir_paddle.operators import OPERATORS


class PaddleFrontend(ConvertingFrontend):
    """Reads ``.pdmodel`` and PIR ``.json``, with the weights in ``.pdiparams``, or the folder that holds one of them."""

    reads_folders = True
    cuts_inputs = True
    framework = Framework("Paddle", "tpumlir-paddle", ("paddle", "paddle2onnx"), {"CUDA_VISIBLE_DEVICES": "", "GLOG_minloglevel": "2"})
    through = "onnx"
    child = "tpumlir_paddle.child"

    def recognizes(self, path: Path, head: bytes) -> bool:
        """By a program's first fields, in protobuf or JSON, or by the suffix ``.pdmodel``; a folder by what lies in it."""
        return is_folder_of_model(path) if path.is_dir() else is_model(path, head)

    def operators(self) -> Sequence[str]:
        return sorted(OPERATORS)

    def files(self, path: Path, options: ImportOptions) -> Sequence[Path]:
        model = find_model(path, options.model_data)
        return [model.program, *([model.weights] if model.weights else [])]

    def examine(self, path: Path, options: ImportOptions) -> Mapping[str, Any]:
        model = find_model(path, options.model_data)
        check(model)
        weights = str(model.weights.absolute()) if model.weights else ""
        return {"model": str(model.program), "weights": weights, "whole": not options.output_names}

    def passed_on(self, options: ImportOptions) -> ImportOptions:
        """All: paddle2onnx leaves shapes open and keeps every tensor, so the ONNX frontend fixes and cuts."""
        return replace(options)

    def examples(self, folder: Path) -> Sequence[Example]:
        from tpumlir_paddle.examples import write_example

        return [write_example(folder / "example.pdmodel")]
