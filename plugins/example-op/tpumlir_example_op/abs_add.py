"""acme::AbsAdd, the magnitude plus a bias, with a kernel of its own on BM1684X."""

import numpy as np

from tpumlir_bm1684x.custom import ElementwiseKernel
from tpumlir_core.custom import Operator, operator


class AbsAddKernel(ElementwiseKernel):
    """Two instructions; slices, layouts, broadcasting and loads are the base's."""

    buffers = 1

    def compute(self, op, operands, out, scratch, emitter):
        image, bias = operands
        (magnitude,) = scratch.like(out, 1)
        emitter.unary("abs", magnitude, image)
        emitter.binary("add", out, magnitude, bias)


@operator("acme.AbsAdd", "input, bias")
class AbsAdd(Operator):
    """``|input| + bias``, broadcast as numpy does."""

    sources = {"onnx": "acme::AbsAdd"}
    kernels = {"bm1684x": AbsAddKernel}

    def infer(self, types):
        image, bias = types
        return [image.with_shape(np.broadcast_shapes(image.shape, bias.shape))]

    def reference(self, image, bias):
        return np.abs(image) + bias
