"""Damaged ONNX files through the command: `python -m sweeps.mutants`.

Whatever the file, `tpumlir compile` ends with 0 and a bmodel, or with 2, one line on stderr and no output.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sweeps.pool import Outcome, run_tasks
from tpumlir_core.cli.main import main as command

RESULTS = Path("results")
COUNT = 2000
SECONDS = 10.0
"""Processor time that one mutant may take."""
LONGEST_PIECE = 24
"""The most bytes that one mutation doubles, drops or overwrites."""


@dataclass(frozen=True)
class Mutant:
    """A damaged file: which model it was and the seed of what was done to it."""

    model: str
    seed: int


@dataclass(frozen=True)
class Verdict:
    """How compiling a mutant ended; ``fault`` is "" where that is as it should be."""

    model: str
    seed: int
    exit_code: int
    fault: str = ""
    message: str = ""


def _model(nodes: Sequence[onnx.NodeProto], shape: Sequence[int], weights: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    graph = helper.make_graph(
        list(nodes), "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def convolution() -> bytes:
    """Convolution, activation, pooling, residual addition."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        node("LeakyRelu", ["c"], ["r"], alpha=0.1),
        node("Add", ["r", "x"], ["s"]),
        node("MaxPool", ["s"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return _model(nodes, (1, 2, 6, 5), {"w": np.zeros((2, 2, 3, 3), np.float32), "b": np.ones(2, np.float32)})


def linear() -> bytes:
    """Matrix product, normalization by hand, softmax."""
    node = helper.make_node
    nodes = [
        node("Gemm", ["x", "w", "b"], ["g"], alpha=0.5, transB=1),
        node("ReduceMean", ["g"], ["m"], axes=[1]),
        node("Sub", ["g", "m"], ["d"]),
        node("Softmax", ["d"], ["y"], axis=-1),
    ]
    return _model(nodes, (3, 4), {"w": np.ones((5, 4), np.float32), "b": np.zeros(5, np.float32)})


def movement() -> bytes:
    """Views, slices, resizing, with constants that become shapes."""
    node = helper.make_node
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        node("Slice", ["t", "zero", "three", "last"], ["s"]),
        node("Reshape", ["s", "shape"], ["r"]),
        node("Resize", ["r", "", "scales"], ["u"], mode="nearest"),
        node("Concat", ["u", "u"], ["k"], axis=1),
        node("Pad", ["k", "pads"], ["y"]),
    ]
    integers = {"zero": [0], "three": [3], "last": [-1], "shape": [1, 3, 4, -1], "pads": [0, 0, 1, 0, 0, 0, 0, 1]}
    weights = {name: np.array(values, np.int64) for name, values in integers.items()}
    return _model(nodes, (1, 3, 4, 4), {**weights, "scales": np.array([1, 1, 2, 2], np.float32)})


MODELS: Mapping[str, Callable[[], bytes]] = {"convolution": convolution, "linear": linear, "movement": movement}


@cache
def _original(name: str) -> bytes:
    return MODELS[name]()


def damaged(mutant: Mutant) -> bytes:
    """The bytes of a mutant: of every third a field is changed and the file stays well-formed, the others are broken bytes."""
    random = np.random.default_rng(mutant.seed)
    data = _original(mutant.model)
    return _changed_field(data, random) if mutant.seed // len(MODELS) % 3 == 0 else broken_bytes(data, random)


def broken_bytes(data: bytes, random: np.random.Generator) -> bytes:
    """Bits flipped, the end cut off, or a piece doubled, dropped or overwritten."""
    changed = bytearray(data)
    at = int(random.integers(len(data)))
    size = int(random.integers(1, LONGEST_PIECE))
    match int(random.integers(6)):
        case 0 | 1:
            for place in random.integers(0, len(data), 1 + size // 8):
                changed[place] ^= 1 << int(random.integers(8))
        case 2:
            del changed[at:]
        case 3:
            changed[at:at] = data[at : at + size]
        case 4:
            del changed[at : at + size]
        case _:
            changed[at : at + size] = random.bytes(size)
    return bytes(changed)


def _changed_field(data: bytes, random: np.random.Generator) -> bytes:
    """One field of the graph: a name, an operator, an attribute, an extent, an element type, an operand, or the opset."""
    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    node = graph.node[int(random.integers(len(graph.node)))]
    tensor = graph.initializer[int(random.integers(len(graph.initializer)))]
    extreme = int(random.choice([-(1 << 63), -1, 0, 1, 2, 3, 7, 1 << 16, 1 << 31, (1 << 63) - 1]))
    names = [name for other in graph.node for name in (*other.input, *other.output)]
    match int(random.integers(9)):
        case 0:
            node.input[int(random.integers(len(node.input)))] = str(random.choice(names))
        case 1:
            node.op_type = str(random.choice(sorted({schema.name for schema in onnx.defs.get_all_schemas()})))
        case 2 if node.attribute:
            _change_attribute(node.attribute[int(random.integers(len(node.attribute)))], extreme, random)
        case 3:
            tensor.dims[int(random.integers(len(tensor.dims)))] = extreme
        case 4:
            tensor.data_type = int(random.integers(30))
        case 5:
            extents = graph.input[0].type.tensor_type.shape.dim
            extents[int(random.integers(len(extents)))].dim_value = extreme
        case 6:
            del node.input[int(random.integers(len(node.input))) :]
        case 7:
            model.opset_import[0].version = int(random.integers(1, 30))
        case _:
            values = np.frombuffer(tensor.raw_data, np.int64 if tensor.data_type == TensorProto.INT64 else np.float32).copy()
            values[int(random.integers(len(values)))] = extreme
            tensor.raw_data = values.tobytes()
    return bytes(model.SerializeToString())


def _change_attribute(attribute: onnx.AttributeProto, value: int, random: np.random.Generator) -> None:
    if attribute.ints:
        attribute.ints[int(random.integers(len(attribute.ints)))] = value
    else:
        attribute.i, attribute.f, attribute.s = value, float(value), b"strange"


def judge(mutant: Mutant) -> Verdict:
    """Compile one mutant by the command, in this process."""
    return judge_file(mutant, damaged(mutant), "mutant.onnx")


def judge_file(mutant: Mutant, data: bytes, name: str) -> Verdict:
    """Compile a mutant's bytes, as a file of this name, by the command, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder) / name, Path(folder) / "out" / "mutant.bmodel"
        output.parent.mkdir()
        source.write_bytes(data)
        told = io.StringIO()
        code = -1
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            try:
                command(["compile", str(source), "-o", str(output), "--chip", "bm1684x"])
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else -1
        return Verdict(mutant.model, mutant.seed, code, fault_of(code, told.getvalue(), output), told.getvalue()[:1000])


def fault_of(code: int, message: str, output: Path) -> str:
    """What is wrong with how a compilation to ``output`` ended; "" where nothing is."""
    written = sorted(path.name for path in output.parent.iterdir())
    if code == 0:
        if written != [output.name] or not output.stat().st_size:
            return f"exit 0 wrote {written}"
        return f"exit 0 with {message!r}" if "Traceback" in message else ""
    if code != 2:
        return f"exit {code}"
    if written:
        return f"exit 2 wrote {written}"
    if message.count("\n") != 1 or not message.startswith("tpumlir: error: "):
        return "more or less than one line on stderr"
    return ""


def mutants(count: int) -> list[Mutant]:
    """The first so many, models in turn."""
    names = sorted(MODELS)
    return [Mutant(names[i % len(names)], i) for i in range(count)]


def sweep(count: int, workers: int = 2, seconds: float = SECONDS) -> list[Verdict]:
    """The verdict on every mutant."""
    tasks = mutants(count)
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge, tasks, workers, seconds):
        found[index] = _verdict(tasks[index], outcome)
    return [found[index] for index in range(count)]


def _verdict(mutant: Mutant, outcome: Outcome[Verdict]) -> Verdict:
    if outcome.value is not None:
        return outcome.value
    return Verdict(mutant.model, mutant.seed, -1, outcome.kind, outcome.text)


def main() -> None:
    """Judge all mutants, write results/mutants.json, print the summary; exit 1 where one misbehaves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=COUNT)
    options = parser.parse_args()
    verdicts = sweep(options.count, options.workers)
    bad = [verdict for verdict in verdicts if verdict.fault]
    codes = Counter(verdict.exit_code for verdict in verdicts)
    summary = f"{len(verdicts)} mutants: {codes[0]} compiled, {codes[2]} refused, {len(bad)} at fault"
    RESULTS.mkdir(exist_ok=True)
    report = {"summary": summary, "faults": [asdict(v) for v in bad], "verdicts": [asdict(v) for v in verdicts]}
    (RESULTS / "mutants.json").write_text(json.dumps(report, indent=1) + "\n")
    for verdict in bad:
        print(f"{verdict.model} {verdict.seed}: {verdict.fault}: {verdict.message}")
    print(summary)
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
