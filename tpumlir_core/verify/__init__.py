"""Tensors compared: each against its reference, worst first."""

from tpumlir_core.verify.compare import DEFAULT_TOLERANCE, Comparison, Level, compare_arrays, compare_tensors
from tpumlir_core.verify.report import Report

__all__ = ["DEFAULT_TOLERANCE", "Comparison", "Level", "Report", "compare_arrays", "compare_tensors"]
