"""What paddle2onnx 2.0.1 converts, by the names of its mappers (``get_all_supported_operators_pir``): operations of old programs, of
which PIR's have the same mapper. Left out are those whose results are arrays, random numbers or nothing."""

_NAMES = """
abs acos arg_max arg_min argsort asin assign assign_out assign_out_ assign_value atan atan2 batch_norm bicubic_interp
bilinear_interp bitwise_and bitwise_not bitwise_or bitwise_xor bmm cast ceil clip concat conv2d conv2d_transpose conv3d
conv3d_transpose cos cosh cross_entropy_with_softmax cumsum deformable_conv depthwise_conv2d depthwise_conv2d_transpose
dequantize_linear dist dot einsum elementwise_add elementwise_div elementwise_floordiv elementwise_max elementwise_min
elementwise_mod elementwise_mul elementwise_pow elementwise_sub elu embedding empty equal erf exp expand_as expand_v2 eye fft_r2c
flatten_contiguous_range flip floor full full_int_array full_like full_with_tensor gather gather_nd gelu greater_equal greater_than
grid_sampler group_norm hard_sigmoid hard_swish hardshrink hardtanh index_sample index_select instance_norm isfinite isinf isnan
layer_norm leaky_relu less_equal less_than linear_interp linspace log log10 log1p log2 log_softmax logical_and logical_not
logical_or logical_xor logsigmoid logsumexp masked_select matmul_v2 max_pool2d_with_index max_pool3d_with_index meshgrid mish
multiclass_nms3 mv nearest_interp not_equal one_hot p_norm pad pad3d partial_concat partial_sum pixel_shuffle pool2d pool3d pow
prelu put_along_axis quantize_linear range reciprocal reduce_all reduce_any reduce_max reduce_mean reduce_min reduce_prod reduce_sum
relu relu6 repeat_interleave reshape roi_align roll round rsqrt scale scatter scatter_nd_add select_input selu set_value set_value_
set_value_with_tensor set_value_with_tensor_ shape shape64 sigmoid sign silu sin sinh size slice softmax softplus softshrink
softsign split split_with_num sqrt square squeeze stack strided_slice sum swish take_along_axis tan tanh tanh_shrink temporal_shift
thresholded_relu tile top_k_v2 transpose tril trilinear_interp triu unbind unfold unique unsqueeze2 unstack where where_index
yolo_box
"""
OPERATORS: tuple[str, ...] = tuple(_NAMES.split())
