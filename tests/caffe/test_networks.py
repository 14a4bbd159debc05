"""What a network is apart from its layers: formats, phases, inputs, names, what is dropped, where it is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.caffe.caffe_models import INPUT, layer, load, names, outputs, save
from tpumlir_caffe.frontend import CaffeFrontend
from tpumlir_core.errors import InputError, UnsupportedError
from tpumlir_core.interpreter import NumpyInterpreter

RELU = layer("relu", "ReLU", "data", "out")
DATA = layer("source", "Data", "", "data label", 'data_param { source: "x" batch_size: 4 }')
WEIGHTS = np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3)
CONVOLUTION = layer("conv", "Convolution", "data", "c", "convolution_param { num_output: 2 kernel_size: 3 bias_term: false }")


# --- inputs ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "head",
    [
        INPUT,
        'input: "data" input_dim: 1 input_dim: 2 input_dim: 6 input_dim: 5\n',
        layer("in", "Input", "", "data", "input_param { shape { dim: 1 dim: 2 dim: 6 dim: 5 } }"),
        layer("in", "DummyData", "", "data", "dummy_data_param { shape { dim: 1 dim: 2 dim: 6 dim: 5 } }"),
        layer("in", "DummyData", "", "data", "dummy_data_param { num: 1 channels: 2 height: 6 width: 5 }"),
        layer("in", "MemoryData", "", "data label", "memory_data_param { batch_size: 1 channels: 2 height: 6 width: 5 }"),
    ],
)
def test_every_way_to_say_an_input(head: str, tmp_path: Path) -> None:
    module = load(tmp_path, head + RELU)
    assert module.function.operations[0].output.shape == (1, 2, 6, 5)
    assert names(module) == ["data", "out"]


def test_data_layers_need_shapes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="input data: its shape unknown is not fixed"):
        load(tmp_path, DATA + RELU)
    assert load(tmp_path, DATA + RELU, input_shapes=((4, 3),)).function.outputs[0].shape == (4, 3)


def test_a_batch_that_is_not_credible_must_be_meant(tmp_path: Path) -> None:
    text = INPUT.replace("dim: 1 ", "dim: 5000 ") + RELU
    with pytest.raises(InputError, match="a batch of 5000; pass --input-shapes"):
        load(tmp_path, text)
    assert load(tmp_path, text, input_shapes=((5000, 2, 6, 5),)).function.outputs[0].shape[0] == 5000


def test_shapes_given_replace_those_of_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, INPUT + RELU, input_shapes=((3, 2, 9, 9),)).function.outputs[0].shape == (3, 2, 9, 9)


# --- phases, and what is dropped --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rule", "there"),
    [
        ("", True), ("include { phase: TEST }", True), ("include { phase: TRAIN }", False), ("exclude { phase: TEST }", False),
        ("exclude { phase: TRAIN }", True), ("phase: TRAIN", False), ("include { phase: TRAIN } include { phase: TEST }", True),
        ("include { phase: TEST min_level: 1 }", False), ('include { stage: "deploy" }', False), ('include { not_stage: "x" }', True),
    ],
)
def test_phases(rule: str, there: bool, tmp_path: Path) -> None:
    module = load(tmp_path, INPUT + RELU + layer("last", "Sigmoid", "out", "end", rule))
    assert outputs(module) == (["end"] if there else ["out"])


def test_stages_of_the_file_count(tmp_path: Path) -> None:
    text = 'state { stage: "deploy" level: 2 }\n' + INPUT + RELU
    module = load(tmp_path, text + layer("last", "Sigmoid", "out", "end", 'include { stage: "deploy" min_level: 1 }'))
    assert outputs(module) == ["end"]


def test_losses_and_measures_are_dropped(tmp_path: Path) -> None:
    text = DATA + RELU + layer("loss", "SoftmaxWithLoss", "out label", "loss") + layer("accuracy", "Accuracy", "out label", "accuracy")
    assert outputs(load(tmp_path, text, input_shapes=((4, 3),))) == ["out"]


def test_silence_takes_outputs_away(tmp_path: Path) -> None:
    text = INPUT + layer("cut", "Slice", "data", "a b") + layer("quiet", "Silence", "a")
    assert outputs(load(tmp_path, text)) == ["b"]


# --- names ------------------------------------------------------------------------------------------------------------------
def test_blobs_written_in_place_keep_their_name_for_the_last(tmp_path: Path) -> None:
    text = INPUT + RELU + layer("two", "Sigmoid", "out", "out") + layer("three", "TanH", "out", "out")
    assert names(load(tmp_path, text)) == ["data", "out/2", "out/1", "out"]


def test_an_input_keeps_its_name(tmp_path: Path) -> None:
    module = load(tmp_path, INPUT + layer("one", "ReLU", "data", "data") + layer("two", "TanH", "data", "data"))
    assert names(module)[0] == "data"
    assert len(set(names(module))) == 3
    x = np.random.default_rng(0).normal(size=(1, 2, 6, 5)).astype(np.float32)
    np.testing.assert_allclose(NumpyInterpreter().run(module, {"data": x})[outputs(module)[0]], np.tanh(np.maximum(x, 0)), rtol=1e-6)


def test_split_and_dropout_make_no_tensor(tmp_path: Path) -> None:
    text = INPUT + RELU + layer("s", "Split", "out", "a b") + layer("d", "Dropout", "a", "a") + layer("sum", "Eltwise", "a b", "sum")
    assert names(load(tmp_path, text)) == ["data", "out", "sum"]


def test_weights_are_called_after_their_layer(tmp_path: Path) -> None:
    assert list(load(tmp_path, INPUT + CONVOLUTION, {"conv": [WEIGHTS]}).weights) == ["conv_weight_0"]


# --- cutting ------------------------------------------------------------------------------------------------------------------
def test_cut_at_blobs_and_layers(tmp_path: Path) -> None:
    text = INPUT + RELU + layer("two", "Sigmoid", "out", "out") + layer("three", "TanH", "out", "end")
    assert outputs(load(tmp_path, text, output_names=("out",))) == ["out"]
    assert names(load(tmp_path, text, output_names=("relu",))) == ["data", "out"]
    assert outputs(load(tmp_path, text, output_names=("end", "out"))) == ["end", "out"]
    with pytest.raises(InputError, match="output names nothing are no blobs or layers"):
        load(tmp_path, text, output_names=("nothing",))


def test_layers_behind_the_cut_may_be_unsupported(tmp_path: Path) -> None:
    text = INPUT + RELU + layer("odd", "Odd", "out", "end")
    assert outputs(load(tmp_path, text, output_names=("out",))) == ["out"]


# --- what is refused -----------------------------------------------------------------------------------------------------------
def test_all_that_is_not_supported_is_told_at_once(tmp_path: Path) -> None:
    text = INPUT + layer("one", "Odd", "data", "a") + layer("two", "Pooling", "data", "b", "pooling_param { pool: STOCHASTIC }")
    text += layer("three", "Convolution", "data", "c", "convolution_param { num_output: 2\n kernel_size: 1 relu: true }")
    with pytest.raises(UnsupportedError) as error:
        load(tmp_path, text, {"three": [np.ones((2, 2, 1, 1), np.float32), np.ones(2, np.float32)]})
    for item in ("Odd (node one)", "Pooling", "(node two)", "convolution_param with the field relu (line 5)"):
        assert item in str(error.value)


def test_unknown_fields_that_do_no_harm_are_passed_over(tmp_path: Path) -> None:
    text = "solver_hint { a: 1 b { c: [1, 2] } }\n" + INPUT
    text += layer("relu", "ReLU", "data", "out", "param { lr: 3 } transform_param { x: 1 }")
    assert outputs(load(tmp_path, text)) == ["out"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no layer of the TEST phase"),
        ("layer { name: ", "no .prototxt of Caffe"),
        ("hello", "no .prototxt of Caffe"),
        ("layer { " * 2000, "no .prototxt of Caffe"),
        ("a { " * 5000 + "} " * 5000, "no .prototxt of Caffe"),
        (INPUT + CONVOLUTION, "layer conv .Convolution.: it has 0 blobs of weights and needs more; pass the .caffemodel"),
        (INPUT + layer("relu", "ReLU", "nothing", "out"), "layer relu .ReLU.: no layer before it makes its bottom 'nothing'"),
        (INPUT + RELU + 'layers { name: "x" type: RELU bottom: "out" top: "out" }', "both 'layer' and 'layers'"),
        ('layers { layer { name: "x" type: "relu" } }', "Caffe's first format"),
        ('layers { name: "x" type: ODD }', "no .prototxt of Caffe"),
        (INPUT + layer("s", "Slice", "data", "a b c", "slice_param { slice_point: 1 }"), "1 numbers of slice_point"),
        (INPUT + layer("r", "Reshape", "data", "a", "reshape_param { shape { dim: -1 dim: -1 } }"), "does not reshape"),
        (INPUT + layer("p", "Pooling", "data", "a", "pooling_param { kernel_size: 9 }"), "does not fit an axis of 6"),
        (INPUT + layer("p", "Permute", "data", "a", "permute_param { order: 7 }"), "order .7. does not fit"),
        (INPUT + layer("t", "Tile", "data", "a", "tile_param { tiles: 2000000000 }"), "too large"),
        (INPUT + layer("f", "InnerProduct", "data", "a", "inner_product_param { num_output: 4000000000 }"), "too large"),
        ('input: "a" input_dim: 1 ' + layer("r", "ReLU", "a", "b"), "1 input_dim; every input takes 4"),
        ('input: "a" input_shape { dim: 0 } ' + layer("r", "ReLU", "a", "b"), "extent below 1"),
    ],
)
def test_faults_are_one_line_that_says_where(text: str, told: str, tmp_path: Path) -> None:
    path, options = save(tmp_path, text)
    with pytest.raises(InputError, match=told) as error:
        CaffeFrontend().load(path, options)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_blob_of_another_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layer conv .*its blob 0 has the shape \[2, 2, 3\], not \[2, 2, 3, 3\]"):
        load(tmp_path, INPUT + CONVOLUTION, {"conv": [WEIGHTS[..., 0]]})
