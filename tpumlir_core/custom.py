"""All that the author of a custom operator imports: one class in one file is an operator of every stage.

See docs/plugins/custom-operator.md. ``top`` holds the operations that ``decompose`` may use. Attributes are annotated with
plain Python types (``int``, ``float``, ``bool``, ``str``, ``tuple[int, ...]``, ``tuple[float, ...]``, ``Literal[...]``).
"""

from tpumlir_core.ir import top
from tpumlir_core.ir.operation import Array, Value
from tpumlir_core.ir.operator import Builder, Operator, Source, operator
from tpumlir_core.ir.types import ElementType, TensorType

__all__ = ["Array", "Builder", "ElementType", "Operator", "Source", "TensorType", "Value", "operator", "top"]
