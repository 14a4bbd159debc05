"""Random networks of any operations through the scheduler on the emulator: `python -m sweeps.random_networks --mode INT8`.

Operations follow one another, join and branch; each network is lowered, some with other modes for some of the operations, compiled, run
in both extreme orders of the engines, and compared bit for bit with the chip's executor. What single operations do right is the business of
`sweeps.shapes`; this looks for faults of what lies between them. "inexact": what differs by roundings only, as sums may do whose order
depends on how their operand lies in local memory.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweeps.calls import DRAWERS, SMALL, Draw, Drawn, Operand, Shape
from sweeps.emulator import run_bmodel
from sweeps.pool import run_tasks
from tpumlir_bm1684x.executor import Bm1684xExecutor
from tpumlir_bm1684x.host_emitter import MOST_PRODUCTS
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core import api
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.ir import Array, Function, Module, Operation, TensorType, Value, WeightStore, operation_class, to_real, top
from tpumlir_core.ir.evaluate import evaluate_module
from tpumlir_core.passes import run_pipeline
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Positions
from tpumlir_core.stages import Session
from tpumlir_core.verify import compare_tensors
from tpumlir_sophgo.emitter import Engine

CHIP = "bm1684x"
RESULTS = Path("results")
MODES = ("F32", "F16", "BF16", "INT8", "INT8 asymmetric")
SECONDS = 120.0
LENGTH = 14
"""The most operations of a network."""
SHAPES: dict[bool, Sequence[Shape]] = {
    False: ((1, 3, 20, 20), (2, 8, 9, 7), (1, 70, 5, 6), (3, 40), (2, 9, 33), (1, 128, 4, 4), (4, 16, 8, 8), (1, 1, 64, 50)),
    True: ((1, 3, 500, 401), (2, 16, 150, 200), (1, 66, 100, 101), (1000, 700), (3, 300, 700), (5, 24, 60, 61), (1, 1, 900, 900)),
}
"""Of the first input; large: several such do not fit local memory at once."""
BUDGET = {False: SMALL, True: 3_000_000}
"""Elements of a tensor."""
JUMPS = (
    "Arccos", "Arctanh", "Arg", "Ceil", "Compare", "CompareConst", "Floor", "LogicalAnd", "Mod", "Remainder", "Round", "Sign", "Where",
    "Pow3", "Tan",
)
"""Operations that make much of a last bit, or take no usual numbers: not in networks."""
ROUNDINGS = {"F32": 1e-5, "F16": 5e-3, "BF16": 5e-2, "INT8": 2e-2, "INT8 asymmetric": 2e-2}
"""Of the largest magnitude of a result: some last bits, or a step of 8 bits."""
GOOD = ("right", "refused", "inexact")
WIDEST = 1e3
"""Networks whose values go beyond are drawn again."""


class Unfit(Exception):
    """An operation cannot take this value."""


class Continued(Draw):
    """Draws an operation whose first operand has a given shape."""

    def __init__(self, random: np.random.Generator, given: Shape, budget: int) -> None:
        super().__init__(0, budget)
        self.random = random
        self._given = given

    def shape(self, least: int = 1, most: int = 5, budget: int | None = None) -> Shape:
        if not least <= len(self._given) <= most:
            raise Unfit
        return self._given

    def image(self, channels: int | None = None) -> Shape:
        if len(self._given) != 4 or (channels and channels != self._given[1]):
            raise Unfit
        return self._given


def _convolution(d: Continued) -> Drawn:
    n, c, h, w = d.image()
    group = d.pick([g for g in (1, 1, 2, 3, c) if c % g == 0])
    outer = c if group == c else group * d.pick((1, 5, 24, 40))
    kernel = (min(h, d.pick((1, 1, 2, 3, 5))), min(w, d.pick((1, 1, 2, 3, 5))))
    pads = tuple(d.integer(0, k - 1) for k in (*kernel, *kernel))
    strides = (d.pick((1, 1, 2, 3)), d.pick((1, 1, 2, 3)))
    reach = 2 / math.sqrt(c // group * math.prod(kernel))
    bias = Operand((outer,), weight=True, low=-1, high=1) if d.coin() else None
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "group": group, "do_relu": d.coin()}
    return [Operand((n, c, h, w)), Operand((outer, c // group, *kernel), weight=True, low=-reach, high=reach), bias], attributes


def _deconvolution(d: Continued) -> Drawn:
    n, c, h, w = d.image()
    outer, kernel, strides = d.pick((1, 5, 22, 66)), (d.integer(1, 3), d.integer(1, 3)), (d.integer(1, 2), d.integer(1, 2))
    reach = 2 / math.sqrt(c * math.prod(kernel))
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": (0, 0, 0, 0), "group": 1, "do_relu": d.coin()}
    return [Operand((n, c, h, w)), Operand((outer, c, *kernel), weight=True, low=-reach, high=reach), None], attributes


def _product(d: Continued) -> Drawn:
    shape = d.shape(2, 4)
    columns, turned = d.pick((1, 7, 33, 64, 100)), d.coin()
    inner = (columns, shape[-1]) if turned else (shape[-1], columns)
    reach = 2 / math.sqrt(shape[-1])
    bias = Operand((columns,), weight=True, low=-1, high=1) if d.coin() else None
    return [Operand(shape), Operand(inner, weight=True, low=-reach, high=reach), bias], {"right_transpose": turned, "do_relu": d.coin()}


def _group_norm(d: Continued) -> Drawn:
    shape = d.image()
    groups = d.pick([g for g in (1, 2, 3, 5, 8) if shape[1] % g == 0])
    return [Operand(shape), *(Operand((1, shape[1], 1, 1), weight=True) for _ in range(2))], {"num_groups": groups, "eps": 1e-5}


def _concat(d: Continued) -> Drawn:
    shape = d.shape()
    axis = d.integer(0, len(shape) - 1)
    second = (*shape[:axis], d.pick((shape[axis], 1, 3)), *shape[axis + 1 :])
    return [Operand(shape), Operand(second, weight=d.integer(0, 3) == 0)], {"axis": axis}


def _expand(d: Continued) -> Drawn:
    shape = d.shape(1, 4)
    return [Operand(shape), None], {"shape": (d.integer(1, 3), *shape[1:]) if shape[0] == 1 else (d.integer(1, 3), *shape)}


def _reshape(d: Continued) -> Drawn:
    shape = d.shape()
    elements, found = math.prod(shape), []
    for _ in range(d.integer(0, 3)):
        extent = d.pick([k for k in (1, 2, 3, 4, 5, 8, 16, 64) if elements % k == 0])
        found.append(extent)
        elements //= extent
    found.insert(d.integer(0, len(found)), elements)
    return [Operand(shape)], {"shape": tuple(found)}


def _split(d: Continued) -> Drawn:
    shape = d.shape()
    axis = d.integer(0, len(shape) - 1)
    if shape[axis] < 2:
        raise Unfit
    first = d.integer(1, shape[axis] - 1)
    return [Operand(shape)], {"axis": axis, "num": 2, "split_size": (first, shape[axis] - first)}


def _products(opcode: str, shape: Shape, others: Sequence[Operand | None], attributes: dict[str, Any]) -> int:
    """The most multiplications that there may be: the instructions take 32 channels of 16 bits at once."""
    if opcode in ("AvgPool", "MaxPool"):
        return math.prod((*shape, *attributes["kernel_shape"]))
    if opcode not in ("Conv", "Deconv", "MatMul") or others[0] is None:
        return 0
    outer, inner, *kernel = others[0].shape
    if opcode == "MatMul":
        return math.prod(shape[:-1]) * outer * inner * 32
    return shape[0] * math.prod(shape[2:]) * outer * (inner + 31) // 32 * 32 * math.prod(kernel)


OWN: dict[str, Callable[[Continued], Drawn]] = {
    "Conv": _convolution, "Deconv": _deconvolution, "MatMul": _product, "GroupNorm": _group_norm, "Concat": _concat, "Expand": _expand,
    "Reshape": _reshape, "Split": _split,
}
COMMON = ("Conv", "Conv", "Conv", "Add", "Mul", "Concat", "MatMul", "Relu", "Reshape", "Permute", "Sigmoid", "SiLU", "Softmax", "MaxPool",
          "AvgPool", "Slice", "LayerNorm", "Sub", "Interp", "Reduce", "MulConst", "HardSwish", "LeakyRelu", "PRelu", "Gather", "Deconv",
          "Slice", "Slice", "Split")
RARE = tuple(sorted({*DRAWERS, *OWN} - {*JUMPS}))


@dataclass
class Network:
    """A Top module under construction and what it is fed with."""

    random: np.random.Generator
    large: bool = False

    def __post_init__(self) -> None:
        self.operations: list[Operation] = []
        self.weights = WeightStore()
        self.inputs: dict[str, Array] = {}
        self.values: list[Value] = []

    def source(self, operand: Operand) -> Value:
        """An input or a weight."""
        name, array = f"x{len(self.operations)}", operand.draw(self.random)
        typed = [(name, TensorType(operand.shape))]
        if operand.weight:
            self.weights[name] = array
        else:
            self.inputs[name] = array
        op: Operation = top.Weight.create([], typed) if operand.weight else top.Input.create([None], typed)
        self.operations.append(op)
        return op.output

    def add(self, opcode: str, operands: Sequence[Value | None], attributes: dict[str, Any]) -> Sequence[Value]:
        """An operation; its results."""
        kind, name = operation_class(f"top.{opcode}"), f"v{len(self.operations)}"
        assert kind is not None
        names = [f"{name}_{i}" for i in range(attributes["num"])] if opcode == "Split" else [name]
        self.operations.append(kind.create(operands, names, **attributes))
        return self.operations[-1].results

    def extend(self) -> None:
        """An operation on one of the last values, if there is one that fits."""
        value = self.values[-1 - min(int(self.random.geometric(0.6)) - 1, len(self.values) - 1)]
        opcode = str(self.random.choice(COMMON if self.random.random() < 0.7 else RARE))
        draw = Continued(self.random, value.shape, BUDGET[self.large])
        drawn, attributes = OWN[opcode](draw) if opcode in OWN else DRAWERS[opcode](draw)
        first, *others = drawn
        if first is None or first.shape != value.shape or first.weight or math.prod(value.shape) > BUDGET[self.large]:
            raise Unfit
        if _products(opcode, value.shape, others, attributes) > MOST_PRODUCTS:
            raise Unfit
        if first.low > -3 or first.high < 3 or first.whole:
            value = self._within(value, first)
        self.values += self.add(opcode, [value, *(self._other(o) for o in others)], attributes)

    def _other(self, operand: Operand | None) -> Value | None:
        if operand is None:
            return None
        if operand.weight:
            return self.source(operand)
        same = [v for v in self.values if v.shape == operand.shape]
        if same and operand.low <= -3 and not operand.whole:
            return same[int(self.random.integers(len(same)))]
        return self.source(operand)

    def _within(self, value: Value, operand: Operand) -> Value:
        """Numbers that the operation may take."""
        if operand.whole:
            raise Unfit
        share = self.add("Sigmoid", [value], {})
        scaled = self.add("MulConst", share, {"const_val": operand.high - operand.low})
        return self.add("AddConst", scaled, {"const_val": operand.low})[0]

    def module(self) -> Module:
        """All that nothing takes is an output."""
        outputs = [v for v in self.values if not v.uses and v.owner is not None and not isinstance(v.owner, top.Input)]
        return Module("random", Function("main", self.operations, outputs), self.weights, {"module.state": "TOP_F32"})


def draw_network(seed: int, large: bool = False) -> tuple[Module, dict[str, Array]]:
    """A network, the same for the same seed, whose values are neither too large nor undefined, and inputs for it."""
    random = np.random.default_rng(seed)
    while True:
        network, shapes = Network(random, large), SHAPES[large]
        network.values.append(network.source(Operand(shapes[int(random.integers(len(shapes)))])))
        for _ in range(int(random.integers(2, LENGTH))):
            try:
                network.extend()
            except Unfit:
                continue
        module = network.module()
        sizes = [math.prod(v.shape) for v in network.values]
        if not module.function.outputs or min(sizes) == 0 or max(sizes) > 2 * BUDGET[large]:
            continue
        with np.errstate(all="ignore"):
            found = evaluate_module(module, network.inputs)
        if all(np.abs(a).max(initial=0) < WIDEST for a in found.values()):
            return module, network.inputs


@dataclass(frozen=True)
class Verdict:
    """How a network ended (right, refused, inexact or wrong), and why."""

    seed: int
    kind: str
    reason: str = ""
    cosine: float = 1.0
    operations: str = ""


def judge(task: tuple[str, int, bool]) -> Verdict:
    """Compile and run one network, a large one if so wanted, in one of ``MODES``."""
    mode, seed, large = task
    module, inputs = draw_network(seed, large)
    told = ", ".join(op.opcode.split(".")[1] for op in module.function.operations if op.opcode not in ("top.Weight", "top.Input"))
    with np.errstate(all="ignore"):
        everything = evaluate_module(module, inputs)
        before = {v.name: everything[v.name] for v in module.function.outputs}
        run_pipeline("optimize", module)
        found = evaluate_module(module, inputs)
    try:
        lowered = _lower(module, mode, found, np.random.default_rng(seed))
        executed = Bm1684xExecutor(every_product=True).run(lowered, inputs)  # before the compiler takes the weights
        data = Bm1684xTarget().compile(lowered).data
    except (InputError, UnsupportedError) as error:
        return Verdict(seed, "refused", str(error), operations=told)
    names = [op.name for op in lowered.function.operations if op.opcode == "top.Input"]
    feeds = [inputs[name] for name in names]
    runs = [run_bmodel(data, feeds, engine) for engine in Engine]
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*runs, strict=True)):
        return Verdict(seed, "wrong", "the result depends on which engine is ahead", operations=told)
    least = 1.0
    for value, name, ours in zip(lowered.function.outputs, before, runs[0], strict=True):
        expected = to_real(executed[value.name], value.type).reshape(ours.shape)
        if not np.array_equal(expected, ours, equal_nan=True):
            scale = max(float(np.abs(expected).max(initial=0)), 1e-9)
            worst = float(np.abs(expected.astype(np.float64) - ours).max(initial=0)) / scale
            reason = f"{name}: differs from the executor in {np.mean(expected != ours):.2%}, by up to {worst:.1g} of the largest"
            return Verdict(seed, "inexact" if worst <= ROUNDINGS[mode] else "wrong", reason, operations=told)
        least = min(least, compare_tensors({"y": ours}, {"y": before[name].astype(np.float32).reshape(ours.shape)}).cosine)
    return Verdict(seed, "right", cosine=least, operations=told)


def _lower(module: Module, mode: str, found: dict[str, Array], random: np.random.Generator) -> Module:
    """As a user might want it."""
    ranges = {n: CalibratedRange(1.02 * float(np.abs(a).max()) + 1e-6, float(a.min()), float(a.max())) for n, a in found.items() if a.size}
    name, _, asymmetric = mode.partition(" ")
    others = {}
    if random.random() < 0.4:
        names = [op.name for op in module.function.operations if not isinstance(op, (top.Input, top.Weight))]
        others = {n: str(random.choice(("F32", "F16", "BF16"))) for n in names if random.random() < 0.3}
    asked = [Positions(every=bool(random.random() < 0.3)) for _ in range(2)]
    options = LoweringOptions(
        modes=others, calibration=ranges, asymmetric=bool(asymmetric), quant_inputs=asked[0], quant_outputs=asked[1],
    )
    return api.lower(module, chip=CHIP, quantize=name, lowering=options, session=Session())


def main() -> None:
    """Run the sweep, write results/random-networks-MODE.json, print the summary; exit 1 where a network misbehaves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--count", type=int, default=300, help="networks")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--mode", choices=MODES, default="INT8")
    parser.add_argument("--large", action="store_true", help="tensors of which local memory holds few")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    verdicts = []
    for index, outcome in run_tasks(judge, [(options.mode, seed, options.large) for seed in seeds], options.workers, SECONDS):
        verdict = outcome.value or Verdict(seeds[index], "internal" if outcome.kind == "error" else outcome.kind, outcome.text)
        verdicts.append(verdict)
        if verdict.kind != "right":
            print(f"{verdict.seed} {verdict.kind}: {verdict.reason}: {verdict.operations}", file=sys.stderr, flush=True)
    counts = Counter(verdict.kind for verdict in verdicts)
    summary = f"{options.mode}: {len(verdicts)} networks: {', '.join(f'{n} {kind}' for kind, n in sorted(counts.items()))}"
    RESULTS.mkdir(exist_ok=True)
    report = {"summary": summary, "counts": counts, "verdicts": [asdict(v) for v in sorted(verdicts, key=lambda v: v.cosine)]}
    stem = options.mode.lower().replace(" ", "-") + ("-large" if options.large else "")
    (RESULTS / f"random-networks-{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(summary)
    raise SystemExit(any(verdict.kind not in GOOD for verdict in verdicts))


if __name__ == "__main__":
    main()
