"""MLIR text, interchangeable with TPU-MLIR 1.30.2: ``read_module``, ``write_module``, ``print_module``, ``parse_module``."""

from tpumlir_core.ir.text.build import parse_module
from tpumlir_core.ir.text.files import read_module, write_module
from tpumlir_core.ir.text.printer import print_module

__all__ = ["parse_module", "print_module", "read_module", "write_module"]
