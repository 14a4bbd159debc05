"""Notes: what a target says about a compiled network for people and tools, which no runtime reads.

They are JSON in ``NetParameter.tensor_loc``, a binary that the schema has for where a network's tensors come from. Of libbmrt,
``model_tool`` and ``bmodel_dis`` of tpu-mlir 1.30.2 none looks at it (run with and without). A file of another maker may have
something else there: what is not an object with the key ``tpumlir`` has no notes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tpumlir_core.bmodel.schema import NetParameter

KEY = "tpumlir"
MADE_BY = "made_by"
"""The note of the distributions that made a network: name -> version."""


def encode_notes(notes: Mapping[str, Any]) -> bytes | None:
    """Notes, JSON values by name, as the binary of a stage; None where there are none. Equal notes give equal bytes."""
    return json.dumps({KEY: notes}, separators=(",", ":"), sort_keys=True).encode() if notes else None


def read_notes(stage: NetParameter) -> dict[str, Any]:
    """The notes of a stage by name; empty where it has none, or none of ours."""
    if not stage.tensor_loc:
        return {}
    try:
        found = json.loads(bytes(stage.tensor_loc))
    except (ValueError, RecursionError):
        return {}
    notes = found.get(KEY) if isinstance(found, dict) else None
    return notes if isinstance(notes, dict) else {}
