"""What one tile of a group needs: boxes of every value, from the group's outputs backwards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tpumlir_core.ir import Value
from tpumlir_sophgo.kernel import Views
from tpumlir_sophgo.schedule.graph import Graph, Node
from tpumlir_sophgo.tensor import Box, Shape4

Key = tuple[Value, Shape4]  # a storage root under a view
AXES = "nchw"


@dataclass(frozen=True)
class Grid:
    """Into how many parts the group's outputs are cut along n, c, h, w."""

    parts: Shape4 = (1, 1, 1, 1)

    @property
    def count(self) -> int:
        return math.prod(self.parts)

    def cells(self) -> Iterator[Shape4]:
        """The index of every tile, w fastest."""
        n, c, h, w = self.parts
        for i in range(self.count):
            yield (i // (w * h * c) % n, i // (w * h) % c, i // w % h, i % w)

    def box(self, view: Shape4, cell: Shape4, lanes: int) -> Box | None:
        """The part of a result that a tile computes; None where the view is too small for the grid."""
        start, size = [], []
        for axis in range(4):
            unit = lanes if axis == 1 else 1
            units = -(-view[axis] // unit)
            parts, i = self.parts[axis], cell[axis]
            if units < parts:
                return None
            a, b = i * units // parts * unit, min((i + 1) * units // parts * unit, view[axis])
            start.append(a)
            size.append(b - a)
        return Box((start[0], start[1], start[2], start[3]), (size[0], size[1], size[2], size[3]))


@dataclass
class Group:
    """Consecutive nodes that share local memory, with the view each works on."""

    nodes: list[Node] = field(default_factory=list)
    views: dict[Node, Views] = field(default_factory=dict)
    made: dict[Value, Shape4] = field(default_factory=dict)  # view of each value made inside

    def extended(self, graph: Graph, node: Node) -> Group | None:
        """This group with one more node, or None where the node cannot read what the group makes in place."""
        if not node.is_local:
            return None
        operands = node.operands
        known = [None if v is None else self.made.get(graph.root(v)) for v in operands]
        views = node.views(known)
        if views is None:
            return None
        for have, want in zip(known, views.operands, strict=True):
            if have is not None and have != want:
                return None
        made = dict(self.made)
        for result, view in zip(node.op.results, views.results, strict=True):
            made[result] = view
        return Group([*self.nodes, node], {**self.views, node: views}, made)

    def outputs(self, graph: Graph) -> list[Value]:
        """Values made here that are needed after the group, in order."""
        last = self.nodes[-1].index
        return [v for v in self.made if graph.used_after(v, last)]


@dataclass(frozen=True)
class TileSlices:
    """The boxes of one tile: of every value by key, and per node its result and operand boxes."""

    values: dict[Key, Box]
    out: dict[Node, Box]
    operands: dict[Node, Sequence[Box | None]]
    stored: dict[Key, Box]  # the parts that this tile writes to global memory


def slice_tile(graph: Graph, group: Group, grid: Grid, cell: Shape4, lanes: int) -> TileSlices | None:
    """Boxes for one tile, or None where some kernel cannot be cut this way."""
    values: dict[Key, Box] = {}
    for value in group.outputs(graph):
        view = group.made[value]
        box = grid.box(view, cell, lanes)
        if box is None:
            return None
        values[value, view] = box
    stored = dict(values)
    out: dict[Node, Box] = {}
    operands: dict[Node, Sequence[Box | None]] = {}
    for node in reversed(group.nodes):
        views = group.views[node]
        box = _result_box(node, views, values)
        if not _may_cut(node, views, box):
            return None
        boxes = node.slices(views, box)
        out[node], operands[node] = box, boxes
        for operand, shape, part in zip(node.operands, views.operands, boxes, strict=True):
            if operand is None or shape is None or part is None:
                continue
            key = (graph.root(operand), shape)
            values[key] = part if key not in values else values[key].union(part)
    return TileSlices(values, out, operands, stored)


def _result_box(node: Node, views: Views, values: dict[Key, Box]) -> Box:
    box: Box | None = None
    for result, view in zip(node.op.results, views.results, strict=True):
        found = values.get((result, view))
        if found is not None:
            part = found if view == views.results[0] else Box.whole(views.results[0])
            box = part if box is None else box.union(part)
    if box is None:  # a result that nobody uses
        box = Box.whole(views.results[0])
    for result, view in zip(node.op.results, views.results, strict=True):
        values[result, view] = box if view == views.results[0] else Box.whole(view)
    return box


def _may_cut(node: Node, views: Views, box: Box) -> bool:
    splits = node.splits(views)
    return all(box.size[i] == views.results[0][i] or AXES[i] in splits for i in range(4))
