"""The page for those who come from TPU-MLIR: what it lists is what the code says, and its example runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tests.compat.conftest import Tool, save_images, save_network
from tpumlir_core.files import read_npz

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-tpu-mlir.md"


def test_every_flag_is_listed_as_the_code_says(docs_script: Callable[[str], ModuleType]) -> None:
    generator = docs_script("compat_reference")
    assert generator.page(PAGE.read_text()) == PAGE.read_text(), "run: python docs/compat_reference.py"


def test_the_example_runs(work: Path, tool: Tool) -> None:
    block = re.findall(r"```\n(model_transform.*?)```", PAGE.read_text(), re.DOTALL)[0].replace("\\\n", " ")
    save_network(work / "net.onnx", (1, 3, 224, 224))
    save_images(work / "photos", 3)
    (work / "photos/0.png").rename(work / "image.jpg")  # formats are known by content
    for line in block.splitlines():
        name, *words = shlex.split(line)
        done = tool(name.removesuffix(".py"), *words)
        assert done.returncode == 0, done.stderr
    assert (work / "net_int8.bmodel").exists()
    assert read_npz(work / "net_bm1684x_int8_sym_model_outputs.npz")["p_Softmax"].shape == (1, 10)
