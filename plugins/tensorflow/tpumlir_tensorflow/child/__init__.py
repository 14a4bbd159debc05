"""What happens in TensorFlow's own process: a model to ONNX, and what the model computes. Imports nothing of tpumlir.

    loading      the files of each kind -> a frozen graph with named inputs and outputs
    cutting      the same graph, begun and ended elsewhere, its input shapes fixed
    conversion   that graph -> ONNX, its tensors called as in the graph
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def convert(kind: str, model: str, folder: str, **cut: Any) -> dict[str, Any]:
    """Write ``model.onnx`` into a folder; the answer names it."""
    from tpumlir_tensorflow.child.conversion import to_onnx

    (Path(folder) / "model.onnx").write_bytes(to_onnx(_network(kind, model, folder, **cut)))
    return {"file": "model.onnx"}


def run(kind: str, model: str, folder: str, samples: Sequence[str], wanted: Sequence[str], **cut: Any) -> dict[str, Any]:
    """Run the model on each of some .npz (inputs in order: i0, i1...), writing one each with its outputs, t0, t1...

    What is computed in between is not given: layouts differ where tf2onnx has moved transpositions.
    """
    import numpy as np
    import tensorflow as tf

    network = _network(kind, model, folder, **cut)
    files = []
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(network.graph, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            for number, sample in enumerate(samples):
                with np.load(sample, allow_pickle=False) as archive:
                    feed = {port.tensor: archive[f"i{index}"].astype(port.dtype) for index, port in enumerate(network.inputs)}
                arrays = session.run([port.tensor for port in network.outputs], feed)
                files.append(str(Path(folder) / f"result{number}.npz"))
                np.savez(files[-1], **{f"t{index}": array for index, array in enumerate(arrays)})
    return {"tensors": [port.name for port in network.outputs], "outputs": len(network.outputs), "files": files}


def _network(kind: str, model: str, folder: str, **cut: Any) -> Any:
    from tpumlir_tensorflow.child.cutting import trimmed
    from tpumlir_tensorflow.child.loading import load

    return trimmed(load(kind, Path(model), Path(folder)), **cut)
