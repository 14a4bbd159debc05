"""Every layer of the sweep, imported: against OpenCV, or numpy where OpenCV lacks it; and which of the reference's layers are there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sweeps.caffe_layers import Case, cases
from tests.caffe.caffe_models import needs_opencv, save
from tpumlir_caffe.frontend import CaffeFrontend
from tpumlir_core.errors import UnsupportedError
from tpumlir_core.interpreter import NumpyInterpreter

# tpu-mlir 1.30.2 lists these layers too, but raises for the first six, and Top here has no operation for the others.
MISSING = {
    "ContinuationIndicator", "FrcnDetection", "MatMul", "Proposal", "ROIPooling", "YoloDetection", "LSTM", "Lstm", "RetinaFaceDetection",
}
REFERENCE = """
AbsVal ArgMax BatchNorm BN Concat ContinuationIndicator Convolution ConvolutionDepthwise Crop Deconvolution DetectionOutput Dropout
DummyData Eltwise Embed Flatten FrcnDetection ImageData InnerProduct Input Interp LRN LSTM Lstm MatMul Mish Normalize Padding Permute
Pooling Power PReLU PriorBox Proposal Reduction ReLU ReLU6 Reorg Reshape RetinaFaceDetection Reverse ROIPooling Scale ShuffleChannel
Sigmoid Silence Slice Softmax Split TanH Tile Upsample YoloDetection
"""
UNKNOWN = {"SPP", "Im2col", "Python"}
REFUSED_PARAMETERS = ("STOCHASTIC", "use_global_stats: false", "reverse: true", "upsample_h: 9", "top_k: 3")


def is_refused(case: Case) -> bool:
    """Whether Top cannot say what a layer does, or how it is told to do it."""
    return case.type in MISSING | UNKNOWN or any(text in case.text for text in REFUSED_PARAMETERS)


def compare(case: Case, folder: Path) -> None:
    """Import a case and compare every output."""
    bottoms, blobs = case.data(len(case.title()))
    path, options = save(folder, case.prototxt(), {"layer": blobs})
    inputs = {f"in{at}": array for at, array in enumerate(bottoms)}
    module = CaffeFrontend().load(path, options)
    ours = NumpyInterpreter().run(module, inputs)
    if case.expected is not None:
        expected = dict(zip(case.outputs(), case.expected(bottoms, blobs), strict=True))
    else:
        expected = CaffeFrontend().run(path, inputs, options)
        expected = {name: array for name, array in expected.items() if name in case.outputs()}
        assert expected
    for name, array in expected.items():
        assert ours[name].size == np.size(array)
        np.testing.assert_allclose(ours[name].reshape(np.shape(array)), array, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("case", [case for case in cases() if case.expected is not None], ids=Case.title)
def test_against_numpy(case: Case, tmp_path: Path) -> None:
    compare(case, tmp_path)


def against_opencv(case: Case) -> bool:
    """Whether a case is one that is not refused, and makes a tensor that OpenCV can be asked for."""
    return case.expected is None and not is_refused(case) and case.type not in ("Dropout", "Split")


@needs_opencv
@pytest.mark.parametrize("case", [case for case in cases() if against_opencv(case)], ids=Case.title)
def test_against_opencv(case: Case, tmp_path: Path) -> None:
    compare(case, tmp_path)


@pytest.mark.parametrize("case", [case for case in cases() if is_refused(case)], ids=Case.title)
def test_what_is_refused_names_type_and_layer(case: Case, tmp_path: Path) -> None:
    path, options = save(tmp_path, case.prototxt())
    with pytest.raises(UnsupportedError, match=rf"{case.type}.*\(node layer\)"):
        CaffeFrontend().load(path, options)


def test_the_reference_s_layers_are_there() -> None:
    assert set(REFERENCE.split()) - set(CaffeFrontend().operators()) == MISSING
