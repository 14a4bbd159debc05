"""Operators that change tensors in place, and views that show the change: at import a tensor is what it was made of last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tpumlir_core.errors import InputError
from tpumlir_core.ir import top
from tpumlir_torch.tensor import Tensor, View

if TYPE_CHECKING:
    from tpumlir_torch.importer import Importer

Put = Callable[["Importer", Tensor, Tensor, Mapping[str, Any], int], Tensor]
"""(importer, base, the view's new elements, the view's arguments, its place among several) -> the base with them."""


def refresh(im: Importer, tensor: Tensor) -> None:
    """Bring a view up to date with its base. Raises UnsupportedError where a change may or may not have reached a tensor."""
    chain = [tensor]
    while (view := chain[-1].view) is not None:
        chain.append(view.base)
    for part in reversed(chain):
        if part.stale:
            raise im.refusal(f"a tensor that node {part.stale} may have changed through a view")
        view = part.view
        if view is not None and view.base.version != view.seen:
            part.value = view.again().value
            part.version += 1
            view.seen = view.base.version


def changed(im: Importer, target: Any, result: Any) -> Tensor:
    """Let a tensor, and all that it is a part of, be the result of an operator that works in place."""
    if not isinstance(target, Tensor) or not isinstance(result, Tensor):
        raise InputError(f"{im.operator} changes what is no tensor")
    from tpumlir_torch.converters.casting import cast_to
    from tpumlir_torch.converters.movement import expanded

    new = expanded(im, cast_to(im, result, target.dtype), target.shape)
    part = target
    while True:
        if part.state:
            raise im.refusal("a change of the model's own state")
        part.value = new.value
        part.version += 1
        view = part.view
        if view is None:
            return target
        if view.put is None:
            view.base.stale = im.label
            return target
        new = view.put(new)
        part, view.seen = view.base, view.base.version + 1


def noted(im: Importer, name: str, arguments: Mapping[str, Any], result: Any, again: Callable[[], Any]) -> Any:
    """The result of a call, remembered as a view of the first argument where it is one, else as a tensor of its own."""
    base = next(iter(arguments.values()), None)
    if name in ALIASES or not isinstance(base, Tensor):
        return result
    if name not in VIEWS:
        return Tensor(result.value, result.dtype) if isinstance(result, Tensor) and _is_argument(result, arguments) else result
    if isinstance(result, Tensor):
        return _view(im, base, result, again, VIEWS[name], arguments, 0)
    if isinstance(result, (list, tuple)):
        return [_view(im, base, part, partial(_item, again, i), VIEWS[name], arguments, i) for i, part in enumerate(result)]
    return result


def _item(again: Callable[[], Any], place: int) -> Tensor:
    result: Tensor = again()[place]
    return result


def _view(
    im: Importer, base: Tensor, result: Tensor, again: Callable[[], Tensor], put: Put | None, arguments: Mapping[str, Any], place: int
) -> Tensor:
    rebuilt = None if put is None else (lambda new: put(im, base, new, arguments, place))
    return Tensor(result.value, result.dtype, View(base, base.version, again, rebuilt))


def _is_argument(result: Tensor, arguments: Mapping[str, Any]) -> bool:
    return any(result is argument for argument in arguments.values())


# --- how the base changes with a view -----------------------------------------------------------------------------
def replaced(im: Importer, base: Tensor, new: Tensor, axis: int, start: int) -> Tensor:
    """``base`` with ``new`` in place of what it has along ``axis`` from ``start`` on."""
    end, extent = start + new.shape[axis], base.shape[axis]
    parts = [new]
    for low, high, at in ((0, start, 0), (end, extent, len(parts) + 1)):
        if low < high:
            part = im.step("kept", top.Slice, [base], axes=(axis,), offset=(low,), steps=(1,), ends=(high,))
            parts.insert(at, part)
    return parts[0] if len(parts) == 1 else im.step("whole", top.Concat, parts, axis=axis)


def _put_select(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    axis = arguments["dim"] % base.rank
    row = im.step("row", top.Unsqueeze, [new], axes=(axis,))
    return replaced(im, base, row, axis, arguments["index"] % base.shape[axis])


def _put_slice(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    if arguments.get("step", 1) != 1:
        raise im.refusal("a change of every n-th element through a view")
    axis = arguments.get("dim", 0) % base.rank
    start = arguments.get("start") or 0
    start = max(0, start + base.shape[axis]) if start < 0 else start
    return replaced(im, base, new, axis, start)


def _put_part(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    from tpumlir_torch.converters.joining import part_sizes

    axis = arguments.get("dim", 0) % base.rank
    return replaced(im, base, new, axis, sum(part_sizes(im, base, arguments)[:place]))


def _put_unbind(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    axis = arguments.get("dim", 0) % base.rank
    return replaced(im, base, im.step("row", top.Unsqueeze, [new], axes=(axis,)), axis, place)


def _put_shape(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    return im.step("shaped", top.Reshape, [new], shape=base.shape)


def _put_order(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    from tpumlir_torch.converters.movement import order_of

    order = order_of(im, base.rank, arguments)
    return im.step("order", top.Permute, [new], order=tuple(order.index(i) for i in range(base.rank)))


def _put_all(im: Importer, base: Tensor, new: Tensor, arguments: Mapping[str, Any], place: int) -> Tensor:
    return new


ALIASES = frozenset(("dropout", "feature_dropout", "alpha_dropout", "detach_", "requires_grad_"))
"""Operators whose result is their first argument itself."""
VIEWS: Mapping[str, Put | None] = {
    **dict.fromkeys(("select",), _put_select), **dict.fromkeys(("slice", "narrow"), _put_slice),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _put_part), "unbind": _put_unbind,
    **dict.fromkeys(("view", "squeeze", "unsqueeze", "view_as", "unflatten"), _put_shape),
    **dict.fromkeys(("permute", "transpose", "t", "numpy_T", "movedim", "swapaxes"), _put_order),
    **dict.fromkeys(("detach", "alias", "data", "lift_fresh"), _put_all),
    **dict.fromkeys(("reshape", "flatten", "contiguous", "to", "expand", "expand_as", "_to_copy", "type_as", "reshape_as", "float",
                     "diagonal", "ravel"), None),
}
"""Operators whose results are views of their first argument."""
