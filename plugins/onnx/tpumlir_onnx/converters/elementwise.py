"""Arithmetic of several tensors, with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.errors import UnsupportedError
from tpumlir_core.ir import Operation, Value, top
from tpumlir_onnx.graph import Node
from tpumlir_onnx.importer import Converter, Importer

_NARROW = ("int8", "int16", "uint8", "uint16")


def _refuse_wrapping(im: Importer, node: Node) -> None:
    """Integers are computed as float32 numbers: what would wrap around in the source framework cannot be computed."""
    dtype = im.dtypes[node.input(0)]
    if dtype.name in _NARROW or (dtype.kind == "u" and node.op_type == "Sub"):
        raise UnsupportedError(f"{node.op_type} of {dtype.name} tensors, which wraps around (node {node.label})")


def _constant_operand(im: Importer, node: Node, index: int) -> float | None:
    """The number in a one-element constant operand, if it does not add axes to the other operand."""
    number, other = im.scalar(node.input(index)), node.input(1 - index)
    if number is None or other in im.constants:
        return None
    return number if im.constants[node.input(index)].ndim <= len(im.value(other).shape) else None


def _binary(kind: type[Operation], by_constant: type[Operation]) -> Converter:
    """A commutative operation of two tensors, or of a tensor and a number."""

    def convert(im: Importer, node: Node) -> Value:
        if node.op_type in ("Add", "Mul"):
            _refuse_wrapping(im, node)
        for index in (1, 0):
            number = _constant_operand(im, node, index)
            if number is not None:
                return im.emit(by_constant, [im.value(node.input(1 - index))], const_val=number)
        return im.emit(kind, [im.value(node.input(0)), im.value(node.input(1))])

    return convert


def sub(im: Importer, node: Node) -> Value:
    _refuse_wrapping(im, node)
    number = _constant_operand(im, node, 1)
    if number is not None:
        return im.emit(top.AddConst, [im.value(node.input(0))], const_val=-number)
    number = _constant_operand(im, node, 0)
    if number is not None:
        return im.emit(top.SubConst, [im.value(node.input(1))], const_val=number, is_reverse=True)
    return im.emit(top.Sub, [im.value(node.input(0)), im.value(node.input(1))])


def div(im: Importer, node: Node) -> Value:
    if im.is_integer(node.input(0)):
        return _integer_quotient(im, im.value(node.input(0)), im.value(node.input(1)))
    number = _constant_operand(im, node, 1)
    if number:
        return im.emit(top.MulConst, [im.value(node.input(0))], const_val=1 / number)
    number = _constant_operand(im, node, 0)
    if number is not None:
        return im.emit(top.Reciprocal, [im.value(node.input(1))], const_val=number)
    return im.emit(top.Div, [im.value(node.input(0)), im.value(node.input(1))])


def _integer_quotient(im: Importer, x: Value, y: Value) -> Value:
    """x / y towards zero. Half a unit away from zero first: no quotient then is near an integer that it does not reach,
    and so none crosses one where a target's division is off by its last bits."""
    half = im.step("half", top.MulConst, [im.step("sign", top.Sign, [x])], const_val=0.5)
    quotient = im.step("quotient", top.Div, [im.step("moved", top.Add, [x, half]), y])
    return truncated(im, quotient)


def truncated(im: Importer, value: Value) -> Value:
    """Round towards zero: the result of the node at work."""
    size = im.step("floor", top.Floor, [im.step("abs", top.Abs, [value])])
    return im.emit(top.Mul, [im.step("sign", top.Sign, [value]), size])


def pow_(im: Importer, node: Node) -> Value:
    _refuse_wrapping(im, node)
    exponent = _constant_operand(im, node, 1)
    if exponent is not None:
        return im.emit(top.Pow, [im.value(node.input(0))], exponent=exponent)
    base = _constant_operand(im, node, 0)
    if base is not None:
        return im.emit(top.Pow2, [im.value(node.input(1))], const_val=base)
    return im.emit(top.Pow3, [im.value(node.input(0)), im.value(node.input(1))])


def mod(im: Importer, node: Node) -> Value:
    """The remainder with the sign of y, or with fmod the sign of x: sign(x) (|x| mod |y|)."""
    x, y = im.value(node.input(0)), im.value(node.input(1))
    if not node.flag("fmod"):
        return im.emit(top.Mod, [x, y])
    rest = im.step("rest", top.Mod, [im.step("abs", top.Abs, [x]), im.step("abs_divisor", top.Abs, [y])])
    return im.emit(top.Mul, [im.step("sign", top.Sign, [x]), rest])


def _variadic(kind: type[Operation], by_constant: type[Operation]) -> Converter:
    """An operation of any number of tensors, as a chain of binary ones."""
    pair = _binary(kind, by_constant)

    def convert(im: Importer, node: Node) -> Value:
        if len(node.inputs) == 1:
            return im.value(node.input(0))
        if len(node.inputs) == 2:
            return pair(im, node)  # type: ignore[return-value]
        result = im.value(node.input(0))
        for index, name in enumerate(node.inputs[1:-1]):
            result = im.step(str(index), kind, [result, im.value(name)])
        return im.emit(kind, [result, im.value(node.inputs[-1])])

    return convert


def mean(im: Importer, node: Node) -> Value:
    result = im.value(node.input(0))
    for index, name in enumerate(node.inputs[1:]):
        result = im.step(str(index), top.Add, [result, im.value(name)])
    return im.emit(top.MulConst, [result], const_val=1 / len(node.inputs)) if len(node.inputs) > 1 else result


def cast(im: Importer, node: Node) -> Value:
    """Floats to integers truncate, anything to bool compares with 0; all else changes no value that float32 holds."""
    target, given = im.result_dtype(node), im.dtypes[node.input(0)]
    kind, source, x = target.kind, given.kind, im.value(node.input(0))
    if target.name in _NARROW and source in "iu" and target.itemsize < given.itemsize:
        raise UnsupportedError(f"{node.op_type} from {given.name} to {target.name}, which wraps around (node {node.label})")
    if kind == "b" and source != "b":
        return im.emit(top.CompareConst, [x], mode="NotEqual", const_val=0.0, inversed=False)
    if kind in "iu" and source == "f":
        return truncated(im, x)
    return x


CONVERTERS: Mapping[str, Converter] = {
    "Add": _binary(top.Add, top.AddConst), "Cast": cast, "CastLike": cast, "Div": div,
    "Max": _variadic(top.Max, top.MaxConst), "Mean": mean, "Min": _variadic(top.Min, top.MinConst), "Mod": mod,
    "Mul": _binary(top.Mul, top.MulConst), "Pow": pow_, "Sub": sub, "Sum": _variadic(top.Add, top.AddConst),
}
