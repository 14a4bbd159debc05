"""Element types: conversions, copies, and what only changes how a tensor lies in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tpumlir_core.ir import top
from tpumlir_torch.dtypes import NARROW, SCRIPT_DTYPES, category, is_float, is_integer, item_size, scalar_dtype, wider
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Tensor


def dtype_of(im: Importer, given: Any, default: str) -> str:
    """An element type by the name that it has here, or by its number in TorchScript."""
    if given is None:
        return default
    dtype = SCRIPT_DTYPES.get(given, f"type {given}") if isinstance(given, int) else str(given)
    item_size(dtype)
    return dtype


def cast_to(im: Importer, x: Tensor, dtype: str) -> Tensor:
    """The tensor in another element type: floats to integers truncate, anything to bool compares with 0, the rest changes no value
    that float32 holds. Raises UnsupportedError for integers that would wrap around."""
    if x.dtype == dtype:
        return x
    if category(dtype) == 0:
        return im.step("bool", top.CompareConst, [x], dtype, mode="NotEqual", const_val=0.0, inversed=False)
    if dtype in NARROW and (is_float(x.dtype) or (is_integer(x.dtype) and wider(x.dtype, dtype) != dtype)) and im.constant(x) is None:
        raise im.refusal(f"a conversion from {x.dtype} to {dtype}, which may wrap around")
    if is_integer(dtype) and is_float(x.dtype):
        return truncated(im, x, dtype)
    return Tensor(x.value, dtype)


def truncated(im: Importer, x: Tensor, dtype: str = "") -> Tensor:
    """Rounded towards zero."""
    size = im.step("floor", top.Floor, [im.step("abs", top.Abs, [x])])
    return im.step("towards_zero", top.Mul, [im.step("sign", top.Sign, [x]), size], dtype)


def to(im: Importer, self: Tensor, *args: Any, dtype: Any = None, **ignored: Any) -> Tensor:
    """All overloads of ``to``: the type is an argument of its own, a number, or that of another tensor."""
    for argument in args[:2]:
        if isinstance(argument, Tensor):
            dtype = argument.dtype
        elif dtype is None and isinstance(argument, (int, str)) and not isinstance(argument, bool):
            dtype = argument
    other = ignored.get("other")
    wanted = other.dtype if isinstance(other, Tensor) else dtype_of(im, dtype, self.dtype)
    return cast_to(im, self, wanted)


def type_as(im: Importer, self: Tensor, other: Tensor) -> Tensor:
    return cast_to(im, self, other.dtype)


def to_float(im: Importer, self: Tensor) -> Tensor:
    return cast_to(im, self, "float32")


def identity(im: Importer, self: Tensor, *args: Any, **ignored: Any) -> Tensor:
    """Nothing at run time: the result is the tensor."""
    return self


def dropout(im: Importer, input: Tensor, p: float = 0.5, train: bool = False) -> Tensor:
    """Nothing at inference."""
    if train and p:
        raise im.refusal("train=True; call eval() before saving the model")
    return input


def native_dropout(im: Importer, input: Tensor, p: float, train: bool | None = None) -> list[Tensor]:
    if train and p:
        raise im.refusal("train=True; call eval() before saving the model")
    return [Tensor(input.value, input.dtype), im.array(np.ones(input.shape, np.float32), "bool", "mask")]


def copy(im: Importer, self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """What ``self`` becomes: ``src`` in its type and shape."""
    from tpumlir_torch.converters.movement import expanded

    return expanded(im, cast_to(im, src, self.dtype), self.shape)


def item(im: Importer, self: Tensor) -> bool | int | float:
    """The number in a constant tensor."""
    return im.number(self)


def num_to_tensor(im: Importer, a: bool | int | float) -> Tensor:
    return im.array(np.asarray(a, np.float32), scalar_dtype(a))


def nothing(im: Importer, *args: Any, **ignored: Any) -> None:
    """Assertions about shapes and data, which exporting puts into programs: they compute nothing."""



CONVERTERS: Mapping[str, Converter] = {
    "to": to, "_to_copy": to, "type_as": type_as, "float": to_float, "dropout": dropout, "feature_dropout": dropout,
    "alpha_dropout": dropout, "native_dropout": native_dropout, "copy": copy, "item": item, "_local_scalar_dense": item,
    "ScalarImplicit": item, "IntImplicit": item, "FloatImplicit": item, "NumToTensor": num_to_tensor,
    **dict.fromkeys(("clone", "contiguous", "detach", "alias", "data", "lift_fresh", "lift_fresh_copy"), identity),
    "detach_": identity, "requires_grad_": identity, "positive": identity,
    **dict.fromkeys(
        ("_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range_for_size", "sym_constrain_range"), nothing
    ),
}
