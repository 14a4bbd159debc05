"""What is done in 8 bits, and how tensors are stored there.

Three tables are made in the network's order. ``modes``: INT8, or the float mode of what is not. ``quantized``: the storage that
8-bit users of a tensor read it in. ``made``: the storage that each tensor is made in; where the two differ, it is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tpumlir_core.ir import ElementType, Module, Operation, Value
from tpumlir_core.ir.top import Weight
from tpumlir_core.ir.tpu import lowered_class
from tpumlir_core.lowering import KEPT, retyped
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Target
from tpumlir_core.precision import STORED, kind, storage_modes
from tpumlir_core.storage_lowering import Storage
from tpumlir_int8 import lookups, products, scaling
from tpumlir_int8.bounds import UNBOUNDED, Bounds, bounds_of
from tpumlir_int8.flat import narrowed
from tpumlir_int8.functions import Steps, origin, steps_of
from tpumlir_int8.joining import joined
from tpumlir_int8.policy import (
    INT8,
    JOINING,
    LOOKED_UP,
    POINTWISE,
    PRODUCTS,
    RETURN,
    ending_in_floats,
    follows,
    may_be_quantized,
    serving_floats,
)
from tpumlir_int8.products import can_be_lowered
from tpumlir_int8.ranges import after_relu, storage_of, unified

TOLERATED_LOSS = 0.04
"""What 8 bits may lose of a product's operand. No operand of the convolutional networks that were measured loses more than 0.029; the
one of magika's convolution, a normalisation with values 44 times the usual, loses 0.06, and with it 5 of 100 answers (docs/accuracy.md)."""
STORED_IN_8_BITS = (ElementType.UI8, ElementType.SI8)


@dataclass
class Plan:
    """The three tables; see above."""

    modes: dict[Operation, str] = field(default_factory=dict)
    quantized: dict[Value, Storage] = field(default_factory=dict)
    made: dict[Value, Storage] = field(default_factory=dict)
    runs: dict[Operation, Steps] = field(default_factory=dict)
    """Of operations in 8 bits that are functions of one tensor: what leads to them from it."""
    tables: dict[Operation, Steps] = field(default_factory=dict)
    """Those that are looked up in a table of that tensor's numbers."""
    scaled: set[Operation] = field(default_factory=set)
    """Those that are no more than one requantization."""
    bounds: dict[Value, Bounds] = field(default_factory=dict)
    """What tensors cannot leave."""

    def storage(self, value: Value, range_: CalibratedRange, asymmetric: bool) -> Storage:
        """How a tensor of a range is stored in 8 bits."""
        return storage_of(range_, asymmetric, self.bounds.get(value, UNBOUNDED))

    def wanted(self, operation: Operation, position: int) -> Storage | None:
        """How an 8-bit operation wants an operand; None: as it is."""
        value = operation.operands[position]
        if not is_float_tensor(value):
            return None
        assert value is not None
        return self.made[operation.output] if kind(operation) in JOINING else self.quantized[value]


def is_float_tensor(value: Value | None) -> bool:
    """Whether a value is computed, and of floats: what a mode says how to store."""
    return value is not None and not isinstance(value.owner, Weight) and value.type.element.is_float


def make_plan(module: Module, target: Target, options: LoweringOptions) -> Plan:
    """The plan for a module that the target can do in INT8 and the float modes it has."""
    floats = storage_modes(module, target, replace(options, mode=_float_mode(target), modes={}))
    options, bounds = _storable(module, options)
    plan, serving = Plan(bounds=bounds), serving_floats(module, options.quant_outputs)
    fixed = {name for name, found in options.calibration.items() if found.fixed}
    ending = ending_in_floats(module, options, serving)
    for operation in module.function.operations:
        if operation.opcode in KEPT:
            _keep(operation, plan, options)
            continue
        mode = options.modes.get(operation.name)
        as_source = all(value.name in fixed for value in operation.results)
        floats_do = operation in serving or _continues_floats(operation, plan) or _loses(operation, plan, options)
        worth = mode == INT8 or (mode is None and (as_source or not floats_do))
        storages = _storages(operation, plan, options) if worth else None
        if storages is not None and _supported(operation, plan, storages, target):
            plan.modes[operation] = INT8
            plan.quantized.update(zip(operation.results, storages, strict=True))
            ends = operation in ending and kind(operation) in PRODUCTS and not as_source
            direct = [_float_taken(operation, floats, options)] if ends else []
            made = direct if direct and _supported(operation, plan, direct, target) else storages
            plan.made.update(zip(operation.results, made, strict=True))
            _tabulate(operation, plan, storages[0], target)
            if scaling.can_be_lowered(operation) and _is_one_requantization(operation, plan, storages[0], target):
                plan.scaled.add(operation)
            continue
        plan.modes[operation] = mode if mode not in (None, INT8) else floats[operation]
        _leave_float(operation, plan, options)
    return plan


def _storable(module: Module, options: LoweringOptions) -> tuple[LoweringOptions, dict[Value, Bounds]]:
    """The options with ranges as far as they are worth storing, and the bounds that tensors cannot or need not leave."""
    ranges = unified(module, options.calibration)
    cuts = narrowed(module, ranges)
    ranges |= {value.name: cut.range for value, cut in cuts.items()}
    bounds = bounds_of(module, ranges) | {value: cut.bounds for value, cut in cuts.items()}
    ranges, bounds = joined(module, ranges, bounds)
    return replace(options, calibration=ranges), bounds


def _tabulate(operation: Operation, plan: Plan, result: Storage, target: Target) -> None:
    """Look an operation up where it is a known function, or several operations from one tensor make one, and the target can."""
    steps = steps_of(operation, plan.runs)
    if not steps:
        return
    plan.runs[operation] = steps
    source = plan.quantized.get(origin(operation.output, plan.runs))
    pays = len(steps) > 1 or kind(operation) in LOOKED_UP
    if pays and source is not None and target.supports(lookups.candidate(operation, source, result), INT8) is None:
        plan.tables[operation] = steps


def _is_one_requantization(operation: Operation, plan: Plan, result: Storage, target: Target) -> bool:
    """Whether the target scales channels so, of an operand that is not an image."""
    source = plan.quantized.get(operation.input)
    return source is not None and target.supports(scaling.candidate(operation, source, result), INT8) is None


def _float_mode(target: Target) -> str:
    """The mode for what is not quantized: 16 bits where the chip has them."""
    return "F16" if "F16" in target.modes() else "F32"


def _keep(operation: Operation, plan: Plan, options: LoweringOptions) -> None:
    for value in operation.results:
        plan.made[value] = Storage.of(value)
        if value.name in options.calibration and is_float_tensor(value):
            plan.quantized[value] = plan.storage(value, options.calibration[value.name], options.asymmetric)


def _float_taken(operation: Operation, floats: Mapping[Operation, str], options: LoweringOptions) -> Storage:
    """Floats as those who take a product's result want them."""
    modes = {options.modes.get(user.name, floats[user]) for user, _ in operation.output.uses if user.opcode != RETURN}
    wanted = {STORED.get(mode, ElementType.F32) for mode in modes}
    narrow = STORED.get(floats[operation], ElementType.F32)
    return Storage(narrow if narrow in wanted else ElementType.F32)


def _leave_float(operation: Operation, plan: Plan, options: LoweringOptions) -> None:
    """Results of a float operation; 8-bit users read them in the storage of their calibrated range."""
    stored = Storage(STORED.get(plan.modes[operation], ElementType.F32))
    for value in operation.results:
        plan.made[value] = stored if value.type.element is ElementType.F32 else Storage.of(value)
        if value.name in options.calibration:
            plan.quantized[value] = plan.storage(value, options.calibration[value.name], options.asymmetric)


def _storages(operation: Operation, plan: Plan, options: LoweringOptions) -> list[Storage] | None:
    """How the results are stored when done in 8 bits; None where that cannot be."""
    inputs = [value for value in operation.operands if is_float_tensor(value)]
    if not may_be_quantized(operation) or any(value not in plan.quantized for value in inputs):
        return None
    if not inputs and not _reads_images(operation):
        return None
    if kind(operation) in PRODUCTS and not can_be_lowered(operation):
        return None
    if follows(operation):
        return _followed(operation, plan)
    found = []
    for value in operation.results:
        range_ = options.calibration.get(value.name)
        if range_ is None:
            return None
        found.append(plan.storage(value, _activated(operation, range_), options.asymmetric))
    return found


def _reads_images(operation: Operation) -> bool:
    """Whether something is calculated from numbers that have 8 bits already."""
    images = [v for v in operation.operands if v is not None and not isinstance(v.owner, Weight) and v.type.element in STORED_IN_8_BITS]
    return kind(operation) in POINTWISE - LOOKED_UP and bool(images)


def _continues_floats(operation: Operation, plan: Plan) -> bool:
    """Whether a pointwise operation takes what a float one made: it stays float, up to the next product, where 8 bits pay."""
    makers = (value.owner for value in operation.operands if is_float_tensor(value) and value is not None)
    return kind(operation) in POINTWISE and any(maker is not None and plan.modes.get(maker, INT8) != INT8 for maker in makers)


def _loses(operation: Operation, plan: Plan, options: LoweringOptions) -> bool:
    """Whether a product would take in 8 bits what floats made and 8 bits tell too little of."""
    source = operation.operands[0] if kind(operation) in PRODUCTS else None
    if source is None or source.name not in options.calibration or source not in plan.made:
        return False
    return plan.made[source].element not in STORED_IN_8_BITS and options.calibration[source.name].loss > TOLERATED_LOSS


def _followed(operation: Operation, plan: Plan) -> list[Storage] | None:
    """The operand's storage, unless it was made in floats: then this one is float too."""
    source = operation.input
    if source.owner in plan.modes and plan.made[source].element not in STORED_IN_8_BITS:
        return None
    return [plan.quantized[source]] * len(operation.results)


def _activated(operation: Operation, range_: CalibratedRange) -> CalibratedRange:
    if not range_.fixed and (kind(operation) == "Relu" or getattr(operation, "do_relu", False)):
        return after_relu(range_, getattr(operation, "relu_limit", -1.0))
    return range_


def _supported(operation: Operation, plan: Plan, storages: list[Storage], target: Target) -> bool:
    """Whether the target does it in these types."""
    form = {**dict.fromkeys(PRODUCTS, products.candidate), **dict.fromkeys(LOOKED_UP, lookups.candidate)}.get(kind(operation))
    if form is not None:
        return target.supports(form(operation, plan.quantized[operation.input], storages[0]), INT8) is None
    twin = retyped(operation, lambda type: type)
    operands = [plan.quantized.get(v) if v is not None and is_float_tensor(v) else None for v in operation.operands]
    if kind(operation) in JOINING:
        operands = [storages[0]] * len(operands)
    for value, storage in zip([*twin.operands, *twin.results], [*operands, *storages], strict=True):
        if value is not None and storage is not None:
            value.type = value.type.with_storage(storage.element, storage.quantization)
    lowered = lowered_class(operation).create(twin.operands, [(r.name, r.type) for r in twin.results], **operation.attributes())
    return target.supports(lowered, INT8) is None
