"""From an image file to the array that a network takes: resize, pixel and channel format, mean and scale, one implementation for all."""

from tpumlir_core.preprocess.compiled import compiled_specs
from tpumlir_core.preprocess.notes import preprocess_note
from tpumlir_core.preprocess.options import (
    CHANNEL_FORMATS,
    KEEP_RATIO_MODES,
    PAD_TYPES,
    PIXEL_FORMATS,
    Preprocess,
    record_preprocess,
    recorded_preprocess,
)
from tpumlir_core.preprocess.raw import RAW_FORMATS, RawFormat, raw_format
from tpumlir_core.preprocess.samples import (
    InputSpec,
    Sample,
    input_specs,
    is_image,
    is_sample_file,
    list_samples,
    read_sample,
    read_sample_list,
)

__all__ = [
    "CHANNEL_FORMATS", "KEEP_RATIO_MODES", "PAD_TYPES", "PIXEL_FORMATS", "RAW_FORMATS", "InputSpec", "Preprocess", "RawFormat",
    "Sample", "compiled_specs", "input_specs", "is_image", "is_sample_file", "list_samples", "preprocess_note", "raw_format",
    "read_sample", "read_sample_list", "record_preprocess", "recorded_preprocess",
]
