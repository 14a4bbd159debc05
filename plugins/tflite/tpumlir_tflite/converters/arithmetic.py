"""Arithmetic of several tensors, with numpy's broadcasting and fused activations."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.ir import Operation, Value, top
from tpumlir_tflite.importer import Converter, Importer
from tpumlir_tflite.layout import Laid, Layout
from tpumlir_tflite.model import Node
from tpumlir_tflite.parameters import activated, together

_NARROW = ("INT8", "UINT8", "INT16", "UINT16")


def refuse_wrapping(im: Importer, node: Node) -> None:
    """Integers are computed as float32 numbers: what would wrap around in TFLite cannot be computed."""
    tensor = im.graph.tensors[im.present(node.input(0))]
    if tensor.scale is None and (tensor.type in _NARROW or (tensor.type.startswith("UINT") and node.operator == "SUB")):
        raise im.refusal(f"{tensor.type} tensors, which wrap around")


def number_beside(im: Importer, node: Node, index: int) -> float | None:
    """The number in a one-element constant operand, if it adds no axes to the other operand."""
    number, other = im.scalar(node.input(index)), node.input(1 - index)
    if number is None or other in im.constants:
        return None
    return number if im.constants[node.input(index)].ndim <= len(im.shape(other)) else None


def _activation(node: Node, options: str) -> int:
    return int(node.options(options).FusedActivationFunction()) if options else 0


def _commutative(kind: type[Operation], by_number: type[Operation], options: str = "") -> Converter:
    """An operation of two tensors, or of a tensor and a number."""

    def convert(im: Importer, node: Node) -> Laid:
        if node.operator in ("ADD", "MUL"):
            refuse_wrapping(im, node)
        for index in (1, 0):
            number = number_beside(im, node, index)
            if number is not None:
                x = im.laid(node.input(1 - index))
                return activated(im, _activation(node, options), by_number, [x.value], x.layout, const_val=number)
        values, layout = together(im, node.inputs[:2])
        return activated(im, _activation(node, options), kind, values, layout)

    return convert


def sub(im: Importer, node: Node) -> Laid:
    refuse_wrapping(im, node)
    activation = _activation(node, "SubOptions")
    number = number_beside(im, node, 1)
    if number is not None:
        x = im.laid(node.input(0))
        return activated(im, activation, top.AddConst, [x.value], x.layout, const_val=-number)
    number = number_beside(im, node, 0)
    if number is not None:
        x = im.laid(node.input(1))
        return activated(im, activation, top.SubConst, [x.value], x.layout, const_val=number, is_reverse=True)
    values, layout = together(im, node.inputs[:2])
    return activated(im, activation, top.Sub, values, layout)


def div(im: Importer, node: Node) -> Laid:
    activation = _activation(node, "DivOptions")
    if im.is_integer(im.present(node.input(0))):
        values, layout = together(im, node.inputs[:2])
        return truncated(im, _quotient(im, values), layout)
    number = number_beside(im, node, 1)
    if number:
        x = im.laid(node.input(0))
        return activated(im, activation, top.MulConst, [x.value], x.layout, const_val=1 / number)
    number = number_beside(im, node, 0)
    if number is not None:
        x = im.laid(node.input(1))
        return activated(im, activation, top.Reciprocal, [x.value], x.layout, const_val=number)
    values, layout = together(im, node.inputs[:2])
    return activated(im, activation, top.Div, values, layout)


def _quotient(im: Importer, values: list[Value]) -> Value:
    """The quotient of integers. The dividend half a unit away from zero first: no quotient then is near an integer that it does
    not reach, so none crosses one where a target's division is off by its last bits."""
    x, y = values
    half = im.step("half", top.MulConst, [im.step("sign", top.Sign, [x])], const_val=0.5)
    return im.step("quotient", top.Div, [im.step("moved", top.Add, [x, half]), y])


def truncated(im: Importer, value: Value, layout: Layout) -> Laid:
    """Round towards zero: the result of the node at work."""
    size = im.step("floor", top.Floor, [im.step("abs", top.Abs, [value])])
    return im.emit(top.Mul, [im.step("side", top.Sign, [value]), size], layout)


def floor_div(im: Importer, node: Node) -> Laid:
    """The quotient rounded down; of integers, (x - x mod y) / y, which is whole."""
    values, layout = together(im, node.inputs[:2])
    if not im.is_integer(im.present(node.input(0))):
        return im.emit(top.Floor, [im.step("quotient", top.Div, values)], layout)
    x, y = values
    rest = im.step("rest", top.Mod, [x, y])
    return im.emit(top.Round, [im.step("quotient", top.Div, [im.step("whole", top.Sub, [x, rest]), y])], layout)


def pow_(im: Importer, node: Node) -> Laid:
    exponent = number_beside(im, node, 1)
    if exponent is not None:
        x = im.laid(node.input(0))
        return im.emit(top.Pow, [x.value], x.layout, exponent=exponent)
    base = number_beside(im, node, 0)
    if base is not None:
        x = im.laid(node.input(1))
        return im.emit(top.Pow2, [x.value], x.layout, const_val=base)
    values, layout = together(im, node.inputs[:2])
    return im.emit(top.Pow3, values, layout)


def _pair(kind: type[Operation]) -> Converter:
    """A converter to one operation of two tensors."""

    def convert(im: Importer, node: Node) -> Laid:
        values, layout = together(im, node.inputs[:2])
        return im.emit(kind, values, layout)

    return convert


def squared_difference(im: Importer, node: Node) -> Laid:
    refuse_wrapping(im, node)
    values, layout = together(im, node.inputs[:2])
    difference = im.step("difference", top.Sub, values)
    return im.emit(top.Mul, [difference, difference], layout)


def add_n(im: Importer, node: Node) -> Laid:
    values, layout = together(im, node.inputs)
    total = values[0]
    for position, value in enumerate(values[1:-1]):
        total = im.step(str(position), top.Add, [total, value])
    return im.emit(top.Add, [total, values[-1]], layout) if len(values) > 1 else im.same(im.laid(node.input(0)))


CONVERTERS: Mapping[str, Converter] = {
    "ADD": _commutative(top.Add, top.AddConst, "AddOptions"), "ADD_N": add_n, "DIV": div, "FLOOR_DIV": floor_div,
    "FLOOR_MOD": _pair(top.Mod), "MAXIMUM": _commutative(top.Max, top.MaxConst), "MINIMUM": _commutative(top.Min, top.MinConst),
    "MUL": _commutative(top.Mul, top.MulConst, "MulOptions"), "POW": pow_, "SQUARED_DIFFERENCE": squared_difference, "SUB": sub,
}
