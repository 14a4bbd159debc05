"""Frontends that convert: a framework in a process of its own turns a model into a format that another frontend reads."""

from tpumlir_core.conversion.child import Framework
from tpumlir_core.conversion.frontend import ConvertingFrontend

__all__ = ["ConvertingFrontend", "Framework"]
