"""Raw images into networks on the emulator: what the float network takes of them, to a step of its 8 bits and less."""

from __future__ import annotations

import numpy as np
import pytest

from tests.preprocess.images import COLOURS, MEAN, SCALE, pixels, raw, real
from tpumlir_bm1684x.target import Bm1684xTarget
from tpumlir_core.ir import Array, ElementType, Function, Module, Operation, TensorType, WeightStore, top
from tpumlir_core.ir.storage import to_real
from tpumlir_core.ir.tpu import QuantizedConv
from tpumlir_core.passes import Canonicalize, FusePreprocess, run_passes
from tpumlir_core.plugins.extension_points import CalibratedRange, LoweringOptions, Positions
from tpumlir_core.preprocess import Preprocess, record_preprocess
from tpumlir_float.lowering import FloatQuantizer
from tpumlir_int8.quantizer import Int8Quantizer
from tpumlir_sophgo.executor import SophgoExecutor
from tpumlir_sophgo.testing.cmodel import Machine
from tpumlir_sophgo.testing.programs import run_module

LIMIT = 4.0
"""Threshold of the calibrated input; a few pixels are beyond it."""
STEP = {"F32": 2e-6, "F16": 2.0**-11, "BF16": 2.0**-8}
"""Half a step of the mode, relative."""


def as_fed(shape: tuple[int, ...], preprocess: Preprocess) -> Module:
    """A network that gives what it takes, in [n, c, h, w]."""
    fed = top.Input.create([], [("x", TensorType(shape))])
    operations: list[Operation] = [fed]
    if preprocess.channel_format == "nhwc":
        operations.append(top.Permute.create([fed.output], ["p"], order=(0, 3, 1, 2)))
    pool = top.MaxPool.create([operations[-1].output], ["y"], kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0))
    module = Module("net", Function("main", [*operations, pool], [pool.output]), WeightStore())
    record_preprocess(module, preprocess)
    return module


def lowered(module: Module, mode: str, name: str, asymmetric: bool = False) -> Module:
    run_passes((FusePreprocess(name), Canonicalize()), module)
    ranges = {value: CalibratedRange(LIMIT, -LIMIT, LIMIT) for value in ("x", "p", "y")}
    options = LoweringOptions(mode, calibration=ranges, asymmetric=asymmetric, quant_outputs=Positions(every=True))
    quantizer = Int8Quantizer() if mode == "INT8" else FloatQuantizer()
    return quantizer.lower(module, Bm1684xTarget(), options)


def on_chip(machine: Machine, module: Module, images: Array) -> Array:
    target = Bm1684xTarget()
    ours = run_module(machine, target.chip(), target.kernels(), module, {"x_raw": images})
    executed = SophgoExecutor().run(module, {"x_raw": images})
    for value in module.function.outputs:
        np.testing.assert_array_equal(ours[value.name], executed[value.name])
    last = module.function.outputs[0]
    return to_real(ours[last.name], last.type)


@pytest.mark.parametrize("mode", ["F32", "F16", "BF16", "INT8"])
@pytest.mark.parametrize("name", [*COLOURS, "GRAYSCALE"])
@pytest.mark.parametrize(("order", "layout"), [("rgb", "nchw"), ("bgr", "nhwc")])
@pytest.mark.parametrize("sizes", [(2, 7, 13), (2, 99, 85)])
def test_inputs_in_every_format(machine: Machine, mode: str, name: str, order: str, layout: str, sizes: tuple[int, int, int]) -> None:
    channels = 1 if name == "GRAYSCALE" else 3
    pixel_format = "gray" if channels == 1 else order
    preprocess = Preprocess(pixel_format=pixel_format, channel_format=layout, mean=MEAN, scale=SCALE)
    check(machine, preprocess, pixels(*sizes, channels), mode, name)


@pytest.mark.parametrize("name", ["BGR_PLANAR", "RGB_PACKED"])
@pytest.mark.parametrize("sizes", [(1, 720, 1280), (12, 96, 96), (1, 89, 97)])
def test_images_beyond_local_memory_in_many_planes_and_of_odd_sizes(machine: Machine, name: str, sizes: tuple[int, int, int]) -> None:
    check(machine, Preprocess(pixel_format="rgb", mean=MEAN, scale=SCALE), pixels(*sizes, 3), "INT8", name)


def check(machine: Machine, preprocess: Preprocess, images: Array, mode: str, name: str) -> None:
    """Compare what a network on the chip takes of raw images with float preprocessing."""
    wanted = real(images, preprocess)
    found = on_chip(machine, lowered(as_fed(wanted.shape, preprocess), mode, name), raw(images, name))
    wanted = wanted.transpose(0, 3, 1, 2) if preprocess.channel_format == "nhwc" else wanted
    assert found.shape == wanted.shape
    if mode == "INT8":
        assert np.abs(found - np.clip(wanted, -LIMIT * 128 / 127, LIMIT)).max() <= 0.501 * LIMIT / 127, "half a step is what rounding costs"
    else:
        assert np.abs(found - wanted).max() <= STEP[mode] * np.abs(wanted).max()


@pytest.mark.parametrize(("mode", "stored"), [("F32", "f32"), ("F16", "f16"), ("BF16", "bf16"), ("INT8", "si8")])
def test_images_become_what_the_network_stores_in_one_step(mode: str, stored: str) -> None:
    preprocess = Preprocess(pixel_format="rgb", mean=MEAN, scale=SCALE)
    module = lowered(as_fed((1, 3, 96, 128), preprocess), mode, "RGB_PLANAR")
    first = next(op for op in module.function.operations if op.opcode.startswith("tpu."))
    assert (first.opcode, first.input.name, first.output.type.element) == ("tpu.Scale", "x_raw", ElementType(stored))


@pytest.mark.parametrize("asymmetric", [False, True])
def test_convolutions_take_channels_in_the_order_of_the_image(machine: Machine, asymmetric: bool) -> None:
    preprocess = Preprocess(pixel_format="rgb", mean=MEAN, scale=SCALE)
    images = pixels(1, 96, 90, 3)
    plain = real(images, preprocess).astype(np.float32)

    def network() -> Module:
        weights = WeightStore()
        weights["w"] = np.random.default_rng(1).standard_normal((5, 3, 3, 3)).astype(np.float32)
        fed, filters = top.Input.create([], [("x", TensorType(plain.shape))]), top.Weight.create([], [("w", TensorType((5, 3, 3, 3)))])
        kernel = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
        conv = top.Conv.create([fed.output, filters.output, None], ["y"], **kernel)
        module = Module("net", Function("main", [fed, filters, conv], [conv.output]), weights)
        record_preprocess(module, preprocess)
        return module

    conv = network().function.operations[-1]
    expected = conv.evaluate([plain, network().weights["w"], None])[0]
    module = lowered(network(), "INT8", "BGR_PACKED", asymmetric)
    assert isinstance(module.function.operations[-1], QuantizedConv)
    found = on_chip(machine, module, raw(images, "BGR_PACKED"))
    step = module.function.outputs[0].type.scaling[0]
    inside = np.abs(expected) < LIMIT - step
    assert np.corrcoef(found[inside], expected[inside])[0, 1] > 0.99
