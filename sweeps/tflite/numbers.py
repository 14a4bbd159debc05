"""Operators on numbers, whatever their places: functions, arithmetic, logic, matrix products."""

from __future__ import annotations

from sweeps.tflite.case import FUSED, Case, Fed, f32, i32, random, weights

IMAGES = ((1, 5, 7, 3), (2, 8, 6, 66), (1, 1, 1, 4))
SHAPES = (*IMAGES, (3, 5), (7,), (2, 3, 65), (1, 2, 3, 4, 5))


def pointwise() -> list[Case]:
    """Functions of one tensor."""
    positive = {"LOG", "SQRT", "RSQRT"}
    plain = (
        "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGISTIC", "LOG_SOFTMAX", "NEG", "RELU", "RELU6", "RELU_0_TO_1",
        "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH",
    )
    found = []
    for name in plain:
        low, high = (0.1, 9.0) if name in positive else (-7.0, 8.0)
        found += [Case(f"{name} {shape}", name, (Fed(shape, low=low, high=high),)) for shape in SHAPES]
    for shape in SHAPES:
        found += [
            Case(f"LEAKY_RELU {shape}", "LEAKY_RELU", (Fed(shape),), options="LeakyReluOptions", fields={"Alpha": 0.3}),
            Case(f"GELU {shape}", "GELU", (Fed(shape),), options="GeluOptions", fields={"Approximate": False}),
            Case(f"GELU tanh {shape}", "GELU", (Fed(shape),), options="GeluOptions", fields={"Approximate": True}),
            Case(f"SOFTMAX {shape}", "SOFTMAX", (Fed(shape),), options="SoftmaxOptions", fields={"Beta": 1.0}),
        ]
    found.append(Case("SOFTMAX beta", "SOFTMAX", (Fed((3, 9)),), options="SoftmaxOptions", fields={"Beta": 0.5}))
    for shape, slope in (((1, 5, 7, 3), (1, 1, 3)), ((2, 4, 4, 70), (1, 1, 70)), ((1, 5, 7, 3), (5, 7, 3)), ((1, 5, 7, 3), (1, 1, 1))):
        found.append(Case(f"PRELU {shape} {slope}", "PRELU", (Fed(shape), weights(*slope))))
    return found


BROADCASTS = (
    ((1, 5, 7, 3), (1, 5, 7, 3)), ((2, 4, 6, 66), (66,)), ((1, 5, 7, 3), (1, 1, 1, 3)), ((1, 5, 7, 3), (1, 5, 1, 1)),
    ((1, 5, 7, 3), (7, 3)), ((1, 5, 7, 3), ()), ((3, 65), (1, 65)), ((4,), (4,)), ((2, 3, 5), (3, 1)), ((2, 3, 4, 5), (1, 3, 4, 1)),
)


def arithmetic() -> list[Case]:
    """Arithmetic of two tensors and more."""
    found = []
    with_options = {"ADD": "AddOptions", "SUB": "SubOptions", "MUL": "MulOptions", "DIV": "DivOptions"}
    others = ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW", "FLOOR_DIV", "FLOOR_MOD")
    for name in (*with_options, *others):
        second = {"DIV": (0.5, 2.0), "POW": (-1.5, 1.5), "FLOOR_DIV": (0.7, 2.0), "FLOOR_MOD": (0.7, 2.0)}.get(name, (-2.0, 2.0))
        first = (0.2, 2.0) if name == "POW" else (-2.0, 2.0)
        for left, right in BROADCASTS:
            operands = Fed(left, low=first[0], high=first[1]), Fed(right, low=second[0], high=second[1])
            options = with_options.get(name, "")
            constant = operands[1].draw(random(3))
            found.append(Case(f"{name} {left} {right}", name, operands, options=options))
            found.append(Case(f"{name} {left} constant {right}", name, (operands[0], constant), options=options))
            if second == (-2.0, 2.0):
                found.append(Case(f"{name} constant {right} {left}", name, (constant, operands[0]), options=options))
    for name, options in with_options.items():
        for activation in FUSED:
            operands = Fed((1, 5, 7, 3), low=-9, high=9), Fed((1, 5, 7, 3), low=0.5, high=9)
            fields = {"FusedActivationFunction": activation}
            found.append(Case(f"{name} fused {activation}", name, operands, options=options, fields=fields))
    integers = Fed((3, 5), "INT32", -20, 20), Fed((3, 5), "INT32", 1, 7)
    for name in ("ADD", "SUB", "MUL", "DIV", "FLOOR_DIV", "FLOOR_MOD", "MAXIMUM"):
        found.append(Case(f"{name} integers", name, integers, ("INT32",), with_options.get(name, "")))
    found.append(Case("ADD_N", "ADD_N", (Fed((2, 3, 4, 5)),) * 3))
    return found


def logic() -> list[Case]:
    """Comparisons, selection, casts."""
    found = []
    for name in ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"):
        for left, right in BROADCASTS:
            pair = Fed(left, "INT32", -2, 2), Fed(right, "INT32", -2, 2)
            found.append(Case(f"{name} {left} {right}", name, pair, ("BOOL",)))
            found.append(Case(f"{name} float {left} constant {right}", name, (Fed(left), Fed(right).draw(random(5))), ("BOOL",)))
    booleans = Fed((2, 3, 4, 5), "BOOL", 0, 1)
    for name in ("LOGICAL_AND", "LOGICAL_OR"):
        found.append(Case(name, name, (booleans, booleans), ("BOOL",)))
    found.append(Case("LOGICAL_NOT", "LOGICAL_NOT", (booleans,), ("BOOL",)))
    for left in ((1, 5, 7, 3), (3, 5), (2, 3, 66)):
        condition = Fed(left, "BOOL", 0, 1)
        found.append(Case(f"SELECT {left}", "SELECT", (condition, Fed(left), Fed(left))))
        found.append(Case(f"SELECT rows {left}", "SELECT", (Fed(left[:1], "BOOL", 0, 1), Fed(left), Fed(left))))
        found.append(Case(f"SELECT_V2 {left}", "SELECT_V2", (condition, Fed(left), Fed(left))))
        found.append(Case(f"SELECT_V2 scalar {left}", "SELECT_V2", (condition, Fed(left), f32(0.5))))
        found.append(Case(f"SELECT_V2 last {left}", "SELECT_V2", (Fed(left[-1:], "BOOL", 0, 1), Fed(left), Fed(left))))
    for axis in (-1, 0, 1):
        on, off = f32(2), f32(-1)
        for values in ((on, off), (f32(1), f32(0))):
            operands = Fed((3, 4), "INT32", -1, 6), i32(6).reshape(()), *values
            found.append(Case(f"ONE_HOT {axis} {values[0]}", "ONE_HOT", operands, options="OneHotOptions", fields={"Axis": axis}))
    for given, wanted in (("FLOAT32", "INT32"), ("INT32", "FLOAT32"), ("FLOAT32", "BOOL"), ("BOOL", "FLOAT32"), ("INT32", "BOOL")):
        fed = Fed((2, 3, 5), given, 0 if given == "BOOL" else -3, 1 if given == "BOOL" else 3)
        found.append(Case(f"CAST {given} {wanted}", "CAST", (fed,), (wanted,), "CastOptions"))
    return found


def linear() -> list[Case]:
    """Matrix products."""
    found = []
    for shape, columns in (((3, 8), 8), ((2, 3, 8), 8), ((2, 2, 2, 3), 12), ((1, 4, 5, 6), 120), ((5, 8), 40)):
        for keep in (False, True):
            if keep and shape[-1] != columns:
                continue
            for activation in (0, 1, 3):
                fields = {"KeepNumDims": keep, "FusedActivationFunction": activation}
                operands = Fed(shape), weights(9, columns), weights(9)
                name = f"FULLY_CONNECTED {shape} {columns} {keep} {activation}"
                found.append(Case(name, "FULLY_CONNECTED", operands, options="FullyConnectedOptions", fields=fields))
    found.append(Case("FULLY_CONNECTED no bias", "FULLY_CONNECTED", (Fed((3, 8)), weights(70, 8)), options="FullyConnectedOptions"))
    found.append(Case("FULLY_CONNECTED computed", "FULLY_CONNECTED", (Fed((3, 8)), Fed((6, 8))), options="FullyConnectedOptions"))
    for left, right, x, y in (
        ((3, 4), (4, 5), False, False), ((2, 3, 4), (2, 4, 5), False, False), ((2, 4, 3), (2, 4, 5), True, False),
        ((2, 3, 4), (2, 5, 4), False, True), ((1, 2, 3, 4), (1, 2, 4, 70), False, False), ((2, 3, 4), (4, 5), False, False),
    ):
        fields = {"AdjX": x, "AdjY": y}
        name = f"BATCH_MATMUL {left} {right} {x} {y}"
        found.append(Case(name, "BATCH_MATMUL", (Fed(left), Fed(right)), options="BatchMatMulOptions", fields=fields))
        found.append(Case(f"{name} constant", "BATCH_MATMUL", (Fed(left), weights(*right)), options="BatchMatMulOptions", fields=fields))
    found.append(Case("EMBEDDING_LOOKUP", "EMBEDDING_LOOKUP", (Fed((4,), "INT32", 0, 8), weights(9, 6))))
    return found
