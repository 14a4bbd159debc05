"""Builds a Top function from a Caffe network, layer by layer; what every converter works with."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tpumlir_caffe.network import Layer, Network
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.importing import TopBuilder
from tpumlir_core.ir import Array, ElementType, Operation, Value
from tpumlir_core.ir.operator_lookup import OperatorSet

Converter = Callable[["Importer", Layer], Value | Sequence[Value]]
FRONTEND = "caffe"
"""What custom operators call this frontend in ``sources``."""
DOMAIN = "caffe"
"""The domain of layer types in ``sources``: ``caffe::Swap`` is a layer with ``type: "Swap"``."""
MOST_AXES = 32
"""Axes of a blob (blob.hpp of Caffe)."""
LONGEST_REASON = 400
"""Characters of a message's reason: it may tell a list of the file."""
_FAULTS_OF_A_LAYER = (ArithmeticError, LookupError, MemoryError, TypeError, ValueError)


class Importer(TopBuilder):
    """The state of one import: what every blob holds so far, and (by the layer's place and its top's) which value each layer made.

    A blob that several layers write, in place, gives several tensors: the last is called as the blob, those before
    ``blob/1``, ``blob/2``, ..., counted from the last back (as tpu-mlir 1.30.2 does, so that tables fit).
    """

    def __init__(self, converters: Mapping[str, Converter], aliases: frozenset[str], operators: OperatorSet | None = None) -> None:
        super().__init__(operators=operators)
        self.values: dict[str, Value] = {}
        self.made: dict[tuple[int, int], Value] = {}
        self._converters = converters
        self._aliases = aliases
        self._writes: Counter[str] = Counter()
        self._inputs: set[str] = set()
        self._failed: set[str] = set()
        self.layer = Layer("", "", (), (), None)
        self._tops: list[str] = []
        self._walked: Sequence[Layer] = ()

    # --- the walk -------------------------------------------------------------------------------------------------
    def add_input(self, name: str, shape: tuple[int, ...], element: ElementType) -> None:
        """Declare a network input."""
        self.work_on("input", name)
        self._check_rank(shape)
        self.values[name] = self.input(name, shape, element)
        self._inputs.add(name)

    def add_network(self, network: Network, layers: Sequence[Layer]) -> None:
        """Convert some of the layers of a network; what is not supported is collected in ``unsupported``."""
        self._walked = layers
        self._writes = Counter(top for layer in layers if layer.type not in self._aliases for top in layer.tops)
        self.unsupported += [f"{field.holder} with the field {field.name} (line {field.line})" for field in network.unknown]
        with np.errstate(all="ignore"):  # blobs may hold anything
            for at, layer in enumerate(layers):
                self._convert(at, layer)

    def _convert(self, at: int, layer: Layer) -> None:
        self.layer = layer
        self.work_on(layer.type, layer.name, f"layer {layer.name} ({layer.type})")
        self._tops = [self._tensor_name(top) for top in layer.tops] if layer.type not in self._aliases else list(layer.tops)
        try:
            self._bind(at, layer, self._results(layer))
        except UnsupportedError as error:
            self.unsupported.append(str(error))
            self._failed.update(layer.tops)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith("layer ") else f"{self.where}: {textwrap.shorten(text, LONGEST_REASON)}") from None
        except _FAULTS_OF_A_LAYER as error:
            raise InputError(f"{self.where}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None

    def _results(self, layer: Layer) -> Sequence[Value] | None:
        converter = self._converters.get(layer.type)
        custom = None if converter else self.operators.by_source(FRONTEND, f"{DOMAIN}::{layer.type}")
        if converter is None and custom is None:
            raise UnsupportedError(f"{layer.type or 'a layer without a type'} (node {layer.name})")
        if any(name in self._failed for name in layer.bottoms):
            self._failed.update(layer.tops)
            return None
        for name in layer.bottoms:
            if name not in self.values:
                raise InputError(f"{self.where}: no layer before it makes its bottom '{name}'")
        if custom is not None:
            weights = [self.weight(f"{layer.name}_weight_{at}", blob) for at, blob in enumerate(layer.blobs)]
            operands = [*(self.values[name] for name in layer.bottoms), *weights]
            return self.add_custom(custom, FRONTEND, operands, {}, self._tops).results
        assert converter is not None
        results = converter(self, layer)
        return [results] if isinstance(results, Value) else list(results)

    def _bind(self, place: int, layer: Layer, results: Sequence[Value] | None) -> None:
        if results is None:
            return
        if len(results) < len(layer.tops):
            raise InputError(f"{self.where}: it has {len(layer.tops)} tops, but gives {len(results)} results")
        for at, (top, value) in enumerate(zip(layer.tops, results, strict=False)):
            self._check_rank(value.shape)
            self.values[top] = self.made[place, at] = value

    def _check_rank(self, shape: Sequence[int]) -> None:
        if len(shape) > MOST_AXES:
            raise InputError(f"a blob of {len(shape)} axes has more than Caffe's {MOST_AXES}")

    def _tensor_name(self, top: str) -> str:
        """The name of the tensor that the next write of a blob makes. An input keeps its name for itself."""
        self._writes[top] -= 1
        later = self._writes[top] + (top in self._inputs)
        return f"{top}/{later}" if later else top

    def value_at(self, name: str, at: int) -> Value:
        """What layer ``at`` made under a name: of its top of that name, else its first. Raises InputError where that is nothing."""
        layer = self._walked[at]
        if not layer.tops:
            raise InputError(f"output name {name}: the layer has no top")
        return self.made[at, layer.tops.index(name) if name in layer.tops else 0]

    # --- what converters ask ----------------------------------------------------------------------------------------
    def bottom(self, at: int = 0) -> Value:
        """What a bottom of the layer at work holds. Raises InputError where there is none."""
        if at >= len(self.layer.bottoms):
            raise InputError(f"it has {len(self.layer.bottoms)} bottoms, too few")
        return self.values[self.layer.bottoms[at]]

    def bottoms(self, least: int = 1) -> list[Value]:
        """What all of them hold, ``least`` or more."""
        return [self.bottom(at) for at in range(max(least, len(self.layer.bottoms)))]

    def only(self) -> Value:
        """The bottom of a layer that has one, and one top."""
        if len(self.layer.bottoms) != 1 or len(self.layer.tops) != 1:
            raise self.refusal(f"{len(self.layer.bottoms)} bottoms and {len(self.layer.tops)} tops")
        return self.bottom()

    def axis(self, axis: int, rank: int, end: bool = False) -> int:
        """An axis counted from the front; with ``end`` also the one after the last."""
        if not -rank <= axis < rank + end:
            raise InputError(f"axis {axis} is outside a blob of {rank} dimensions")
        return axis % rank if axis < 0 else axis

    def blob(self, at: int, shape: Sequence[int]) -> Array:
        """A blob of the layer in ``shape``, whatever shape of the same size the file says. Raises InputError."""
        if at >= len(self.layer.blobs):
            what = f"it has {len(self.layer.blobs)} blobs of weights and needs more"
            raise InputError(f"{what}; pass the .caffemodel that belongs to it as model data")
        found = self.layer.blobs[at]
        if found.size != math.prod(shape):
            raise InputError(f"its blob {at} has the shape {list(found.shape)}, not {list(shape)}")
        return found.reshape(tuple(shape))

    def parameter(self, at: int, array: Array) -> Value:
        """A Weight for blob ``at`` of the layer, or what was made of it."""
        return self.weight(f"{self.layer.name}_weight_{at}", np.ascontiguousarray(array, np.float32))

    def constant(self, label: str, array: Array) -> Value:
        """A Weight that belongs to the layer at work."""
        return self.weight(f"{self._tops[0]}_{label}", array)

    def emit(self, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append the operation that makes the first top of the layer at work."""
        return self.add(self.top(0), kind, operands, **attributes)

    def emit_at(self, at: int, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append the operation that makes one of the tops."""
        return self.add(self.top(at), kind, operands, **attributes)

    def emit_many(self, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> list[Value]:
        """Append an operation with one result for each top."""
        return self.add_many(self._tops, kind, operands, **attributes)

    def step(self, suffix: str, kind: type[Operation], operands: Sequence[Value | None], **attributes: Any) -> Value:
        """Append an intermediate operation of the layer at work; its name gets ``_suffix``."""
        return self.add(f"{self.top(0)}_{suffix}", kind, operands, **attributes)

    def top(self, at: int) -> str:
        """The tensor name of a top."""
        if at >= len(self._tops):
            raise InputError(f"it has {len(self._tops)} tops, too few")
        return self._tops[at]
