"""Random single operations through the scheduler on the emulator: `python -m sweeps.shapes --mode F32`.

Each is compiled to a bmodel, run in both extreme orders of the engines, and compared with the operation's numpy reference; where numbers
are rounded with the executor too, bit for bit: "inexact" is what agrees with the reference only. Products, whose sums become floats where
the network ends in them, are compiled a second time with 8 bits asked for as outputs.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sweeps.calls import DRAWERS, Call, draw_call
from sweeps.emulator import run_bmodel
from sweeps.pool import Outcome, run_tasks
from tpumlir_bm1684x.executor import Bm1684xExecutor
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Function, Module, Operation, TensorType, Value, WeightStore, operation_class, to_real, tpu
from tpumlir_core.ir.top import Input, Weight
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Positions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_tensors
from tpumlir_float.lowering import FloatQuantizer
from tpumlir_int8.quantizer import Int8Quantizer
from tpumlir_sophgo.emitter import Engine

RESULTS = Path("results")
TOLERANCE = 1e-4
"""Of the largest magnitude of the result."""
LARGE_EVERY = 8
"""Every so manieth call of an operation is larger than local memory."""
SECONDS = 60.0
GOOD = ("right", "refused")
MODES = ("F32", "F16", "BF16", "INT8", "INT8 asymmetric")
SIMILAR = {"F16": (0.999, 0.98), "BF16": (0.99, 0.90), "INT8": (0.98, 0.85), "INT8 asymmetric": (0.98, 0.85)}
"""Least cosine and euclidean similarity in the modes that round."""
RANGE = 1.1, 0.01
"""Thresholds of single operations: so many times the largest magnitude, and a little more (tpu-mlir 1.30.2's operator tests)."""


@dataclass(frozen=True)
class Verdict:
    """How a call ended, and why."""

    call: str
    kind: str
    reason: str = ""


def describe(call: Call) -> str:
    """One line that tells everything of a call."""
    shapes = ", ".join("-" if o is None else f"{list(o.shape)}{'w' if o.weight else ''}" for o in call.operands)
    return f"{call.opcode}({shapes}) {dict(call.attributes)} seed {call.seed}"


def judge_in(task: tuple[str, Call]) -> Verdict:
    """Compile and run one call in one of ``MODES``."""
    mode, call = task
    return judge(call) if mode == "F32" else _judge_rounded(mode, call)


def _judge_rounded(mode: str, call: Call) -> Verdict:
    try:
        _lower(_module(call, "top")[0], "F16", {})
    except (InputError, UnsupportedError) as error:  # before its reference is calculated, which may take hours
        return Verdict(describe(call), "refused", str(error))
    module, arrays = _module(call, "top")
    operation = module.function.operations[-1]
    wanted = operation.evaluate(arrays)[0]
    inputs = {f"x{i}": a for i, (a, o) in enumerate(zip(arrays, call.operands, strict=True)) if a is not None and o is not None}
    ranges = {name: _range(array) for name, array in {**inputs, "y": wanted}.items() if array.size}
    feeds = [_fed(inputs[f"x{i}"]) for i, o in enumerate(call.operands) if o is not None and not o.weight]
    try:
        lowered = _lower(module, mode, ranges)
        verdict = _compared_rounded(call, lowered, mode, inputs, feeds, wanted)
        if verdict.kind == "right" and _makes_floats_of_sums(lowered):
            narrow = _lower(_module(call, "top")[0], mode, ranges, Positions(every=True))
            verdict = _compared_rounded(call, narrow, mode, inputs, feeds, wanted)
    except (InputError, UnsupportedError) as error:
        return Verdict(describe(call), "refused", str(error))
    return verdict


def _compared_rounded(
    call: Call, lowered: Module, mode: str, inputs: dict[str, Array], feeds: Sequence[Array], wanted: Array
) -> Verdict:
    output = lowered.function.outputs[0]
    exact = to_real(Bm1684xExecutor(every_product=True).run(lowered, inputs)[output.name], output.type)
    data = Bm1684xTarget().compile(lowered).data
    (ours,), (other,) = (run_bmodel(data, feeds, engine) for engine in Engine)
    if not np.array_equal(ours, other, equal_nan=True):
        return Verdict(describe(call), "wrong", "the result depends on which engine is ahead")
    kind, reason = _similar(ours.reshape(wanted.shape), wanted, SIMILAR[mode])
    if kind == "right" and not np.array_equal(exact.reshape(ours.shape), ours, equal_nan=True):
        return Verdict(describe(call), "inexact", f"differs from the executor in {np.mean(exact.reshape(ours.shape) != ours):.2%}")
    return Verdict(describe(call), kind, reason)


def _makes_floats_of_sums(lowered: Module) -> bool:
    last = lowered.function.outputs[0].owner
    return isinstance(last, (tpu.QuantizedConv, tpu.QuantizedMatMul)) and last.output.type.element.is_float


def _range(array: Array) -> CalibratedRange:
    times, more = RANGE
    return CalibratedRange(times * float(np.abs(array).max()) + more, float(array.min()), float(array.max()))


def _lower(module: Module, mode: str, ranges: dict[str, CalibratedRange], asked: Positions | None = None) -> Module:
    quantizer = Int8Quantizer() if mode.startswith("INT8") else FloatQuantizer()
    name, _, asymmetric = mode.partition(" ")
    outputs = asked or Positions()
    options = LoweringOptions(name, calibration=ranges, asymmetric=bool(asymmetric), quant_outputs=outputs, passes=Session().passes)
    return quantizer.lower(module, Bm1684xTarget(), options)


def _similar(ours: Array, wanted: Array, least: tuple[float, float]) -> tuple[str, str]:
    """Right where both similarities are reached."""
    report = compare_tensors({"y": ours}, {"y": wanted.astype(np.float32)}, least)
    if not report.failed:
        return "right", ""
    one = report.failed[0]
    return "wrong", f"cosine {one.cosine:.6f}, euclid {one.euclid:.6f}"


def judge(call: Call) -> Verdict:
    """Compile and run one call in F32."""
    module, arrays = _module(call)
    operation = next(op for op in module.function.operations if op.opcode == f"tpu.{call.opcode}")
    reason = Bm1684xTarget().supports(operation, "F32")
    if reason is not None:
        return Verdict(describe(call), "refused", reason)
    try:
        data = Bm1684xTarget().compile(module).data
    except InputError as error:
        return Verdict(describe(call), "refused", str(error))
    feeds = [_fed(a) for a, o in zip(arrays, call.operands, strict=True) if a is not None and o is not None and not o.weight]
    (ours,), (other,) = (run_bmodel(data, feeds, engine) for engine in Engine)
    if not np.array_equal(ours, other, equal_nan=True):
        return Verdict(describe(call), "wrong", "the result depends on which engine is ahead")
    wanted = operation.evaluate(arrays)[0]
    return Verdict(describe(call), *_compared(ours.reshape(wanted.shape), wanted))


def _fed(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(array.shape or (1,))


def _compared(ours: Array, wanted: Array) -> tuple[str, str]:
    error = np.abs(ours.astype(np.float64) - wanted)
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-6)
    worst = float(error.max(initial=0))
    if np.isnan(worst) or worst > TOLERANCE * scale:
        return "wrong", f"differs by up to {worst:.3g} where the largest is {scale:.3g}, in {np.mean(~(error <= TOLERANCE * scale)):.1%}"
    return "right", ""


def _module(call: Call, dialect: str = "tpu") -> tuple[Module, list[Array | None]]:
    random = np.random.default_rng(call.seed)
    weights = WeightStore()
    operations: list[Operation] = []
    values: list[Value | None] = []
    arrays: list[Array | None] = []
    for i, operand in enumerate(call.operands):
        if operand is None:
            values.append(None)
            arrays.append(None)
            continue
        array, typed = operand.draw(random), [(f"x{i}", TensorType(operand.shape))]
        source: Operation = Weight.create([], typed) if operand.weight else Input.create([None], typed)
        if operand.weight:
            weights[f"x{i}"] = array
        operations.append(source)
        values.append(source.output)
        arrays.append(array)
    kind = operation_class(f"{dialect}.{call.opcode}")
    assert kind is not None, f"{call.opcode} is not declared in {tpu.__name__}"
    operations.append(kind.create(values, ["y"], **call.attributes))
    return Module("call", Function("main", operations, [operations[-1].output]), weights), arrays


def calls(each: int, opcodes: Sequence[str]) -> list[Call]:
    """So many calls of each operation."""
    return [
        draw_call(opcode, zlib.crc32(opcode.encode()) + i, i % LARGE_EVERY == LARGE_EVERY - 1)
        for i in range(each) for opcode in opcodes
    ]


def sweep(tasks: Sequence[Call], workers: int, mode: str = "F32") -> list[Verdict]:
    """The verdict on every call; the bad ones are told at once."""
    found: dict[int, Verdict] = {}
    for index, outcome in run_tasks(judge_in, [(mode, call) for call in tasks], workers, SECONDS):
        found[index] = verdict = _verdict(tasks[index], outcome)
        if verdict.kind not in GOOD:
            print(f"{len(found)}/{len(tasks)} {verdict.kind}: {verdict.call}: {verdict.reason}", file=sys.stderr)
    return [found[index] for index in range(len(tasks))]


def _verdict(call: Call, outcome: Outcome[Verdict]) -> Verdict:
    if outcome.value is not None:
        return outcome.value
    return Verdict(describe(call), "internal" if outcome.kind == "error" else outcome.kind, outcome.text)


def main() -> None:
    """Run the sweep, write results/shapes.json, print the summary; exit 1 where a call misbehaves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--each", type=int, default=24, help="calls of each operation")
    parser.add_argument("--mode", choices=MODES, default="F32")
    parser.add_argument("--only", nargs="*", default=sorted(DRAWERS), help="operations")
    options = parser.parse_args()
    verdicts = sweep(calls(options.each, options.only), options.workers, options.mode)
    counts = Counter(verdict.kind for verdict in verdicts)
    told = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    summary = f"{options.mode}: {len(verdicts)} calls of {len(options.only)} operations: {told}"
    RESULTS.mkdir(exist_ok=True)
    report = {"summary": summary, "counts": counts, "verdicts": [asdict(v) for v in verdicts if v.kind != "right"]}
    name = options.mode.lower().replace(" ", "-")
    (RESULTS / f"shapes-{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(summary)
    raise SystemExit(any(verdict.kind not in (*GOOD, "inexact") for verdict in verdicts))


if __name__ == "__main__":
    main()
