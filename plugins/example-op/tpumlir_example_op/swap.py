"""acme::SwapChannel, the channels of an image in another order, made of operations that every chip has."""

from tpumlir_core.custom import Operator, operator, top


@operator("acme.SwapChannel")
class SwapChannel(Operator):
    """Channel i of the result is channel ``order[i]`` of the operand."""

    order: tuple[int, ...]

    sources = {"onnx": "acme::SwapChannel", "torch": "acme::swap"}
    quantization = "same_scale"

    def infer(self, types):
        (image,) = types
        if len(image.shape) < 2 or sorted(self.order) != list(range(image.shape[1])):
            raise ValueError(f"order {self.order} does not fit an operand of shape {image.shape}")
        return [image]

    def reference(self, image):
        return image[:, list(self.order)]

    def decompose(self, builder):
        parts = [builder(top.Slice, self.input, axes=(1,), offset=(i,), ends=(i + 1,), steps=(1,)) for i in self.order]
        return builder(top.Concat, *parts, axis=1)

    @classmethod
    def examples(cls):
        return [([(1, 3, 4, 5)], {"order": (2, 0, 1)}), ([(2, 2)], {"order": (1, 0)})]
