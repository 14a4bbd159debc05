"""What frontends build Top modules with: names, weights, limits, and the fixed shapes and windows of networks."""

from tpumlir_core.importing.builder import LARGEST_TENSOR, TopBuilder, named, one_line, stored_form
from tpumlir_core.importing.inputs import element_of, fixed_shape, one_each
from tpumlir_core.importing.windows import ceil_end, same_pads, split_padding

__all__ = [
    "LARGEST_TENSOR", "TopBuilder", "ceil_end", "element_of", "fixed_shape", "named", "one_each", "one_line", "same_pads",
    "split_padding", "stored_form",
]
