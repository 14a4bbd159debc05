"""The bmodel file: schema, reader, writer, combine and extract."""

from tpumlir_core.bmodel.combine import combine, extract, extract_all
from tpumlir_core.bmodel.container import is_bmodel, model_parts, read_model, split_file, write_model
from tpumlir_core.bmodel.network import (
    MAX_DIMENSIONS,
    WIRE_TYPES,
    BmodelNet,
    BmodelTensor,
    CommandStreams,
    WeightLocation,
    build_model,
    write_bmodel,
)
from tpumlir_core.bmodel.notes import MADE_BY, read_notes

__all__ = [
    "MADE_BY", "MAX_DIMENSIONS", "WIRE_TYPES", "BmodelNet", "BmodelTensor", "CommandStreams", "WeightLocation",
    "build_model", "combine", "extract", "extract_all", "is_bmodel", "model_parts", "read_model", "read_notes", "split_file",
    "write_bmodel", "write_model",
]
