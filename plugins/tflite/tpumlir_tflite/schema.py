"""The tables of a TFLite file that are read here, as data for the verifier (TFLite schema 3, as the package ``tflite`` 2.18 has it).

One line a table, one word a field, in the order of their slots:

    b h i l     a number of 1, 2, 4 or 8 bytes            str         a string
    [b] [i] ..  a vector of such numbers                  Name        a table
    [Name]      a vector of tables                        <Union>     a table whose kind the field before it tells
    -           nothing that is read
"""

from __future__ import annotations

from collections.abc import Mapping

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of a file."""
SIZES: Mapping[str, int] = {"b": 1, "h": 2, "i": 4, "l": 8}

_TABLES = {
    "Model": "i [OperatorCode] [SubGraph] - [Buffer]",
    "OperatorCode": "b str i i",
    "SubGraph": "[Tensor] [i] [i] [Operator] str",
    "Buffer": "[b] l l",
    "Tensor": "[i] b i str QuantizationParameters b SparsityParameters [i] b",
    "QuantizationParameters": "[i] [i] [i] [l] - - i",
    "SparsityParameters": "[i] [i] [DimensionMetadata]",
    "DimensionMetadata": "b i b <SparseIndexVector> b <SparseIndexVector>",
    "Int32Vector": "[i]",
    "Uint16Vector": "[h]",
    "Uint8Vector": "[b]",
    "Operator": "i [i] [i] b <BuiltinOptions> [b] b - - l l",
    "AddOptions": "b b",
    "BatchMatMulOptions": "b b b",
    "CastOptions": "b b",
    "ConcatenationOptions": "i b",
    "Conv2DOptions": "b i i b i i b",
    "Conv3DOptions": "b i i i b i i i",
    "CumsumOptions": "b b",
    "DepthToSpaceOptions": "i",
    "DepthwiseConv2DOptions": "b i i i b i i",
    "DivOptions": "b",
    "FullyConnectedOptions": "b b b b b",
    "GatherOptions": "i i",
    "GeluOptions": "b",
    "L2NormOptions": "b",
    "LeakyReluOptions": "i",
    "LocalResponseNormalizationOptions": "i i i i",
    "MirrorPadOptions": "b",
    "MulOptions": "b",
    "OneHotOptions": "i",
    "PackOptions": "i i",
    "Pool2DOptions": "b i i i i b",
    "ReducerOptions": "b",
    "ReshapeOptions": "[i]",
    "ResizeBilinearOptions": "- - b b",
    "ResizeNearestNeighborOptions": "b b",
    "SequenceRNNOptions": "b b b",
    "SoftmaxOptions": "i",
    "SpaceToDepthOptions": "i",
    "SplitOptions": "i",
    "SplitVOptions": "i",
    "SqueezeOptions": "[i]",
    "StridedSliceOptions": "i i i i i b",
    "SubOptions": "b b",
    "TransposeConvOptions": "b i i b b",
    "UnidirectionalSequenceLSTMOptions": "b i i b b b",
    "UnpackOptions": "i i",
}
TABLES: Mapping[str, tuple[str, ...]] = {name: tuple(fields.split()) for name, fields in _TABLES.items()}
