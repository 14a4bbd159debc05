"""The Top dialect: framework-neutral float operations, named and typed as TPU-MLIR 1.30.2 does (see its Top dialect)."""

from tpumlir_core.ir.top.activation import *  # noqa: F403
from tpumlir_core.ir.top.comparison import *  # noqa: F403
from tpumlir_core.ir.top.convolution import *  # noqa: F403
from tpumlir_core.ir.top.elementwise import *  # noqa: F403
from tpumlir_core.ir.top.gather import *  # noqa: F403
from tpumlir_core.ir.top.movement import *  # noqa: F403
from tpumlir_core.ir.top.normalization import *  # noqa: F403
from tpumlir_core.ir.top.pooling import *  # noqa: F403
from tpumlir_core.ir.top.reduction import *  # noqa: F403
from tpumlir_core.ir.top.source import *  # noqa: F403
