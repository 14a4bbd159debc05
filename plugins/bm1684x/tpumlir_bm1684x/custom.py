"""All that the author of a kernel for a custom operator on BM1684X imports.

An element-wise operator derives from ``ElementwiseKernel`` and writes ``compute``; the rest has defaults. Anything else
derives from ``Kernel`` (local: the scheduler brings its tiles) or ``GlobalKernel`` (drives its own loop). ``Emitter`` has a
method for each instruction; ``Scratch`` hands out buffers in local memory.
"""

from tpumlir_bm1684x.emitter import Bm1684xEmitter as Emitter
from tpumlir_bm1684x.kernels.common import ElementwiseKernel, FunctionKernel, Scratch
from tpumlir_sophgo.kernel import GlobalCall, GlobalKernel, Kernel, Tile, Views
from tpumlir_sophgo.tensor import Box, GlobalTensor, LocalTensor

__all__ = [
    "Box", "ElementwiseKernel", "Emitter", "FunctionKernel", "GlobalCall", "GlobalKernel", "GlobalTensor", "Kernel", "LocalTensor",
    "Scratch", "Tile", "Views",
]
