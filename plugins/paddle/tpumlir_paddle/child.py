"""What happens in Paddle's own process: a model to ONNX, and what the model computes. Imports nothing of tpumlir.

A Paddle program exists in two forms. In ``.pdmodel`` tensors have names; in PIR (``.json``) they have none, and paddle2onnx calls
a result ``p2o.OPERATION.COUNT.INDEX``, counting each kind of operation in the order of the program. It takes PIR only, so an old
program is translated, which tells what each named tensor became; the names are then put back.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

OPSET = 17
_FLAG = "FLAGS_enable_pir_api"
_PREFIX = "p2o."
_FETCHED = re.compile(r"fetch_name_(\d+)")
_OLD = ".pdmodel"
_STEM = "model"


class Refused(Exception):
    """The model cannot be converted; ``items`` are the operations that are not supported, if it is those."""

    def __init__(self, text: str, items: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.items = tuple(items)


def convert(model: str, weights: str, folder: str, whole: bool = True) -> dict[str, Any]:
    """Write ``model.onnx`` into a folder; the answer names it. Whether the ``whole`` network is wanted makes no difference here."""
    import onnx

    program = _Program(model, weights, Path(folder))
    proto = onnx.ModelProto.FromString(program.exported())
    _order(proto.graph, program.inputs)
    names = program.names()
    _rename(proto.graph, names)
    _name_outputs(proto.graph, program.outputs)
    _drop_copies(proto.graph, [value.name for value in proto.graph.output], names.values())
    (Path(folder) / "model.onnx").write_bytes(proto.SerializeToString())
    return {"file": "model.onnx"}


def run(model: str, weights: str, folder: str, samples: Sequence[str], wanted: Sequence[str], whole: bool) -> dict[str, Any]:
    """Run the model on each of some .npz (inputs in order: i0, i1...), writing one each with the tensors found among ``wanted``.

    Those are called t0, t1... in the order of the answer's ``tensors``; the answer's ``files`` are in that of the samples.
    """
    import numpy as np

    program = _Program(model, weights, Path(folder))
    names, targets = program.fetchable(frozenset(wanted))
    files = []
    for number, sample in enumerate(samples):
        with np.load(sample, allow_pickle=False) as archive:
            inputs = [archive[f"i{index}"] for index in range(len(archive.files))]
        arrays = program.run(inputs, targets)
        files.append(str(Path(folder) / f"result{number}.npz"))
        named: dict[str, Any] = {f"t{index}": np.asarray(array) for index, array in enumerate(arrays)}
        np.savez(files[-1], **named)
    return {"tensors": names, "outputs": len(program.targets) if whole else 0, "files": files}


class _Program:
    """An inference program that Paddle has loaded, in the form that it was stored in."""

    def __init__(self, model: str, weights: str, folder: Path) -> None:
        self.old = model.endswith(_OLD)
        os.environ.update({_FLAG: "0" if self.old else "1"})  # read when paddle is imported
        import paddle

        paddle.enable_static()
        self._folder = folder
        # Paddle takes one stem for both files.
        shutil.copyfile(model, folder / f"{_STEM}{_OLD if self.old else '.json'}")
        if weights:
            shutil.copyfile(weights, folder / f"{_STEM}.pdiparams")
        self._executor = paddle.static.Executor(paddle.CPUPlace())
        loaded = paddle.static.load_inference_model(str(folder / _STEM), self._executor)
        self.program, self.inputs, self.targets = loaded
        self._mapping: Mapping[str, Sequence[Any]] = {}
        self._translated = self._translation() if self.old else self.program
        self.outputs = [target.name for target in self.targets] if self.old else []

    def _translation(self) -> Any:
        from paddle.base.libpaddle import pir

        program, self._mapping = pir.translate_to_pir_with_param_map(self.program.desc)
        return program

    def exported(self) -> bytes:
        """The bytes of the ONNX file that paddle2onnx makes."""
        from paddle2onnx import convert as steps
        from paddle2onnx import paddle2onnx_cpp2py_export as exporter

        stem = str(self._folder / _STEM)
        if self.old:
            stem = str(self._folder / "translated")
            steps.load_parameter(self._translated)
            steps.save_program(self._translated, stem)
        weights = f"{stem}.pdiparams"
        given = weights if Path(weights).exists() else ""
        _narrow_numbers(Path(f"{stem}.json"))
        # Positions, for it has no names: may choose a newer opset, is silent, checks nothing, experimental operators, optimizes.
        choices: tuple[Any, ...] = (True, False, False, True, True, {}, "onnxruntime", "", "", False)
        data: bytes = exporter.export(f"{stem}.json", given, OPSET, *choices)
        if not data:
            raise Refused("paddle2onnx cannot convert this model")
        return data

    def _counted(self) -> Iterator[tuple[str, Any]]:
        """Every result in the translated program with what paddle2onnx calls it."""
        counts: Counter[str] = Counter()
        for operation in self._translated.global_block().ops:
            kind = operation.name()
            for index, value in enumerate(operation.results()):
                yield f"{_PREFIX}{kind}.{counts[kind]}.{index}", value
            counts[kind] += 1

    def names(self) -> dict[str, str]:
        """What paddle2onnx calls a tensor -> what the model does, or in PIR the same without paddle2onnx's prefix."""
        known = {values[0].id: name for name, values in self._mapping.items() if len(values) == 1}
        return {name: known.get(value.id, name.removeprefix(_PREFIX)) for name, value in self._counted()}

    def fetchable(self, wanted: frozenset[str]) -> tuple[list[str], list[Any]]:
        """The outputs, and of an old program the other tensors among ``wanted``: names, and what the executor fetches.

        Of PIR no others: its executor mixes them up with what the program itself fetches (paddle 3.3.1).
        """
        if self.old:
            variables = self.program.global_block().vars
            rest = [name for name in sorted(wanted & variables.keys()) if name not in self.outputs and name not in self.inputs]
            return self.outputs + rest, self.targets + [variables[name] for name in rest]
        return [f"fetch_name_{index}" for index in range(len(self.targets))], self.targets

    def run(self, inputs: Sequence[Any], targets: Sequence[Any]) -> list[Any]:
        """The tensors to fetch, for inputs in the order of the program's."""
        if len(inputs) != len(self.inputs):
            raise Refused(f"{len(inputs)} inputs are given, the model has {len(self.inputs)}")
        feed = dict(zip(self.inputs, inputs, strict=True))
        results: list[Any] = self._executor.run(self.program, feed=feed, fetch_list=list(targets))
        return results


def _narrow_numbers(path: Path) -> None:
    """Rewrite a program in PIR as paddle2onnx 2.0.1 reads it: Paddle 3.3 stores attributes in double precision that used to be of
    single precision (scales of interpolations, slopes, values of paddings), of which it makes other numbers or none."""
    program = json.loads(path.read_text("utf-8"))
    pending: list[Any] = [program]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
            if str(part.get("#", "")).endswith("a_f64"):
                part["#"] = str(part["#"]).replace("a_f64", "a_f32")
    path.write_text(json.dumps(program), "utf-8")


def _order(graph: Any, inputs: Sequence[str]) -> None:
    """Put inputs and outputs of an ONNX graph into the model's order; paddle2onnx takes that of the operations, and numbers outputs."""
    _sort(graph.input, {name: position for position, name in enumerate(inputs)})
    numbers = {value.name: _FETCHED.fullmatch(value.name) for value in graph.output}
    _sort(graph.output, {name: int(found[1]) for name, found in numbers.items() if found})


def _sort(values: Any, positions: Mapping[str, int]) -> None:
    ordered = sorted(values, key=lambda value: positions.get(value.name, len(positions)))
    del values[:]
    values.extend(ordered)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Call tensors of an ONNX graph by other names."""
    taken = {output for node in graph.node for output in node.output} | {tensor.name for tensor in graph.initializer}
    chosen = {old: new for old, new in names.items() if old in taken and new not in taken}
    for node in graph.node:
        for names_of in (node.input, node.output):
            for index, name in enumerate(names_of):
                names_of[index] = chosen.get(name, name)


def _drop_copies(graph: Any, outputs: Collection[str], names: Iterable[str]) -> None:
    """Where paddle2onnx computes something under a name of its own and then copies it, let it have the model's name at once, that of
    an output before others."""
    known = {*outputs, *names}
    made = {output for node in graph.node for output in node.output}
    chosen: dict[str, str] = {}
    for node in sorted(graph.node, key=lambda node: node.output[0] not in outputs):
        copied = node.op_type == "Identity" and node.input[0] in made - known and node.output[0] in known
        if copied and node.input[0] not in chosen:
            chosen[node.input[0]] = node.output[0]
    kept = [node for node in graph.node if not (node.op_type == "Identity" and chosen.get(node.input[0]) == node.output[0])]
    for node in kept:
        for texts in (node.input, node.output):
            for index, text in enumerate(texts):
                texts[index] = chosen.get(text, text)
    del graph.node[:]
    graph.node.extend(kept)


def _name_outputs(graph: Any, outputs: Sequence[str]) -> None:
    """Call the outputs of an ONNX graph what the model calls them; paddle2onnx makes each a copy with a name of its own."""
    for value, name in zip(graph.output, outputs, strict=False):
        for node in graph.node:
            for index, output in enumerate(node.output):
                if output == value.name:
                    node.output[index] = name
                elif output == name:
                    node.output[index] = f"{name}_before"
            for index, source in enumerate(node.input):
                if source == name:
                    node.input[index] = f"{name}_before"
        value.name = name
