"""The fused layers that PyTorch runs for transformers in evaluation mode, as traces hold them."""

from __future__ import annotations

from collections.abc import Mapping

from tpumlir_core.ir import top
from tpumlir_torch.converters.activation import gelu
from tpumlir_torch.converters.linear import attention, linear
from tpumlir_torch.converters.movement import reshaped
from tpumlir_torch.converters.normalization import layer_norm
from tpumlir_torch.importer import Converter, Importer
from tpumlir_torch.tensor import Tensor


def self_attention(im: Importer, x: Tensor, heads: int, qkv: tuple[Tensor, Tensor], out: tuple[Tensor, Tensor]) -> Tensor:
    """Attention of [batch, time, features] over itself; the weights of query, key and value lie one below the other."""
    batch, time, width = x.shape
    joined = reshaped(im, linear(im, x, *qkv), (batch, time, 3, heads, width // heads), "heads")
    ordered = im.step("ordered", top.Permute, [joined], order=(2, 0, 3, 1, 4))
    parts = []
    for i in range(3):
        part = im.step("part", top.Slice, [ordered], axes=(0,), offset=(i,), steps=(1,), ends=(i + 1,))
        parts.append(reshaped(im, part, ordered.shape[1:], "query_key_value"))
    mixed = im.step("mixed", top.Permute, [attention(im, parts[0], parts[1], parts[2])], order=(0, 2, 1, 3))
    return linear(im, reshaped(im, mixed, (batch, time, width), "rows"), *out)


def encoder_layer(
    im: Importer, src: Tensor, embed_dim: int, num_heads: int, qkv_weight: Tensor, qkv_bias: Tensor, proj_weight: Tensor, proj_bias: Tensor,
    use_gelu: bool, norm_first: bool, eps: float, norm_weight_1: Tensor, norm_bias_1: Tensor, norm_weight_2: Tensor, norm_bias_2: Tensor,
    ffn_weight_1: Tensor, ffn_bias_1: Tensor, ffn_weight_2: Tensor, ffn_bias_2: Tensor, mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    """``nn.TransformerEncoderLayer`` as one operator."""
    if mask is not None or src.rank != 3:
        raise im.refusal("a mask, or without a batch axis")

    def normal(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return layer_norm(im, x, (embed_dim,), weight, bias, eps)

    def forward(x: Tensor) -> Tensor:
        inner = linear(im, x, ffn_weight_1, ffn_bias_1)
        return linear(im, gelu(im, inner) if use_gelu else im.step("relu", top.Relu, [inner]), ffn_weight_2, ffn_bias_2)

    first = normal(src, norm_weight_1, norm_bias_1) if norm_first else src
    attended = self_attention(im, first, num_heads, (qkv_weight, qkv_bias), (proj_weight, proj_bias))
    x = im.step("residual", top.Add, [src, attended])
    if norm_first:
        return im.emit(top.Add, [x, forward(normal(x, norm_weight_2, norm_bias_2))])
    x = normal(x, norm_weight_1, norm_bias_1)
    return normal(im.step("residual", top.Add, [x, forward(x)]), norm_weight_2, norm_bias_2)


CONVERTERS: Mapping[str, Converter] = {"_transformer_encoder_layer_fwd": encoder_layer}
