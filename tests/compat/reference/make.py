"""Made inputs.npz and image.jpg: what model_transform.py of TPU-MLIR 1.30.2 makes of an image, for every way of preprocessing.

Run it in an environment in which tpu-mlir is installed, with its command in PATH: ``python make.py``.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

HERE = Path(__file__).parent


def model(shape: list[int], path: Path) -> None:
    """y = relu(x)."""
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "relu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    onnx.save(made, path)


def main() -> None:
    rows, columns = np.mgrid[0:45, 0:70]
    waves = [128 + 100 * np.sin(rows / 7 + columns / a) + 27 * np.cos(columns / b) for a, b in ((5, 3), (9, 4), (13, 2))]
    Image.fromarray(np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)).save(HERE / "image.jpg", quality=85)
    made = {}
    for name, case in json.loads((HERE / "cases.json").read_text()).items():
        with tempfile.TemporaryDirectory() as folder:
            model(case["shape"], Path(folder) / "m.onnx")
            command = ["model_transform.py", "--model_name", "m", "--model_def", "m.onnx", "--mlir", "m.mlir", *case["flags"],
                       "--test_input", str(HERE / "image.jpg"), "--test_result", "out.npz"]
            subprocess.run(command, cwd=folder, check=True)
            made[name] = np.load(Path(folder) / "m_in_f32.npz")["x"]
    np.savez_compressed(HERE / "inputs.npz", **made)


if __name__ == "__main__":
    main()
