"""What tf2onnx 1.17 converts at opset 17 (its ``handler.tf_op``), and ``child.more_operators``, by TensorFlow's own names.

Left out are those that end in loops, strings, sequences, tables, queues, sorting or random numbers, of which the compiler has none.
"""

_NAMES = """
Abs Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh AvgPool
AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd BiasAddV1 Bincount BroadcastTo Cast Ceil CheckNumerics
ClipByValue ComplexAbs Concat ConcatV2 Const ConstV2 Conv1D Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos Cosh
CropAndResize Cumprod Cumsum DenseBincount DepthToSpace DepthwiseConv2d DepthwiseConv2dNative Div DivNoNan Dropout DynamicPartition
DynamicStitch Einsum Elu EnsureShape Equal Erf Erfc EuclideanNorm Exp ExpandDims Expm1 ExtractImagePatches FFT
FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars Fill Flatten Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2
FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual HardSwish Identity IdentityN If InvertPermutation IsFinite IsInf
IsNan L2Normalization LRN LSTMBlockCell LeakyRelu LeftShift Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr
MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3
MatrixSetDiagV3 Max MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Maximum Mean Min Minimum MirrorPad Mul Neg NonMaxSuppressionV2
NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NotEqual OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch
Placeholder PlaceholderV2 PlaceholderWithDefault Pow Prelu Prod RFFT RFFT2D Range RealDiv Reciprocal Relu Relu6 Reshape ResizeArea
ResizeBicubic ResizeBilinear ResizeNearestNeighbor ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt ScatterNd Select
SelectV2 Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign SpaceToBatchND
SpaceToDepth Split SplitV Sqrt Square SquaredDifference SquaredDistance Squeeze StatelessIf StopGradient StridedSlice Sub Sum Tan
Tanh TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile Transpose TruncateDiv Unpack Where
ZerosLike
"""
OPERATORS: tuple[str, ...] = tuple(_NAMES.split())
