"""Converters take the arguments that PyTorch's own schemas declare: by name, as exported programs give them, and by position."""

from __future__ import annotations

from typing import Any

import pytest

from tpumlir_torch.binding import parameters_of, renamed
from tpumlir_torch.converters import CONVERTERS

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch")

NOT_TAKEN = {
    ("_native_batch_norm_legit", "no_stats"), ("_reshape_alias", "default"), ("addmm", "dtype"), ("baddbmm", "dtype"), ("bmm", "dtype"),
    ("mm", "dtype"), ("copy", "Dict_Tensor"), ("einsum", "sublist"), ("eq", "Tensor_list"), ("ne", "Tensor_list"), ("gru", "data"),
    ("lstm", "data"), ("rnn_relu", "data"), ("rnn_tanh", "data"), ("index", "list_Tensor"), ("repeat_interleave", "Tensor"),
    ("sort", "Tensor"),
}
"""Overloads for training, packed sequences, lists of tensors and shapes that depend on data: refused, as called wrongly."""


def overloads() -> list[tuple[str, str, Any]]:
    """(operator, overload, schema) of all that programs of tensors can have."""
    found = []
    for name in sorted(CONVERTERS):
        packet = getattr(torch.ops.aten, name, None)
        for overload in packet.overloads() if packet is not None else ():
            schema = getattr(packet, overload)._schema
            kinds = " ".join(str(argument.type) for argument in schema.arguments)
            of_tensors = "Tensor" in kinds or (schema.returns and "Tensor" in str(schema.returns[0].type))
            plain = of_tensors and "Generator" not in kinds and "Dimname" not in kinds
            if plain and not any(a.is_out for a in schema.arguments) and (name, overload) not in NOT_TAKEN:
                found.append((name, overload, schema))
    return found


@pytest.mark.parametrize(("name", "overload", "schema"), overloads(), ids=lambda value: str(value).partition("(")[0])
def test_arguments(name: str, overload: str, schema: Any) -> None:
    parameters = parameters_of(CONVERTERS[name])
    named = {argument.name: None for argument in schema.arguments}
    parameters.signature.bind(None, **renamed(named, parameters))
    by_place = [None for argument in schema.arguments if not argument.kwarg_only]
    parameters.signature.bind(None, *by_place, **{a.name: None for a in schema.arguments if a.kwarg_only})
