"""Makes the models of test_models.py, run by the Python that has TensorFlow: ``make_models.py FOLDER``. Beside each, an .npz with
inputs and what TensorFlow computes of them, by other ways than the plugin's."""

import shutil
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

FOLDER = Path(sys.argv[1])


def save(name, inputs, outputs):
    np.savez(FOLDER / f"{name}.npz", **{f"in:{key}": value for key, value in inputs.items()}, **{f"out:{k}": v for k, v in outputs.items()})


def functional():
    """Two inputs, two outputs, most kinds of layers, an open batch."""
    keras.utils.set_random_seed(1)
    image, extra = keras.Input((12, 10, 3), name="image"), keras.Input((5,), name="extra")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="first")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, padding="valid", name="depthwise")(x)
    x = layers.LeakyReLU(name="leaky")(x)
    y = layers.UpSampling2D(2, interpolation="bilinear", name="larger")(x)
    y = layers.Conv2DTranspose(4, 2, strides=2, name="transposed")(y)
    side = layers.Dense(6, activation="gelu", name="side")(extra)
    z = layers.Concatenate(name="joined")([layers.GlobalAveragePooling2D(name="pool")(x), side])
    z = layers.Dense(4, activation="softmax", name="scores")(layers.LayerNormalization(name="layernorm")(z))
    model = keras.Model([image, extra], [y, z], name="net")
    for weight in model.weights:
        if "moving" in weight.name or "gamma" in weight.name:
            weight.assign(np.random.default_rng(0).uniform(0.5, 1.5, weight.shape))
    return model


def keras_models():
    random = np.random.default_rng(2)
    model = functional()
    image, extra = random.standard_normal((1, 12, 10, 3), np.float32), random.standard_normal((1, 5), np.float32)
    outputs = dict(zip(("transposed", "scores"), map(np.asarray, model([image, extra])), strict=True))
    for suffix in ("keras", "h5"):
        model.save(FOLDER / f"functional.{suffix}")
    save("functional", {"image": image, "extra": extra}, outputs)
    model.export(FOLDER / "exported", verbose=False)
    save("exported", {"image": image, "extra": extra}, {"output_0": outputs["transposed"], "output_1": outputs["scores"]})

    steps = [layers.MaxPooling2D(name="pool"), layers.Flatten(), layers.Dense(3, name="last")]
    chain = keras.Sequential([keras.Input((8, 8, 2), name="x"), *steps])
    x = random.standard_normal((1, 8, 8, 2), np.float32)
    chain.save(FOLDER / "sequential.keras")
    save("sequential", {"x": x}, {"last": np.asarray(chain(x))})

    recurrent = keras.Sequential([keras.Input((6, 3), name="x"), layers.LSTM(4, name="lstm")])
    recurrent.save(FOLDER / "recurrent.keras")


def with_code():
    """Models with Python in them, which leaves a file when it is run."""
    def evil(x):
        __import__("pathlib").Path("/tmp/tpumlir_executed").touch()
        return x
    bad = keras.Sequential([keras.Input((3,)), layers.Lambda(evil, name="evil")])
    for suffix in ("keras", "h5"):
        bad.save(FOLDER / f"lambda.{suffix}")


def with_links():
    """HDF5 files of which a part is elsewhere."""
    for name in ("external", "virtual"):
        shutil.copy(FOLDER / "functional.h5", FOLDER / f"{name}.h5")
    with h5py.File(FOLDER / "external.h5", "a") as file:
        file["model_weights"]["elsewhere"] = h5py.ExternalLink("/etc/other.h5", "/weights")
    with h5py.File(FOLDER / "virtual.h5", "a") as file:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("/etc/other.h5", "weights", (4,))
        file["model_weights"].create_virtual_dataset("elsewhere", layout)


class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(np.random.default_rng(3).standard_normal((3, 3, 2, 4)).astype(np.float32), name="weight")

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 2], tf.float32, name="x")])
    def __call__(self, x):
        y = tf.nn.conv2d(x, self.weight, 1, "SAME", name="conv")
        return {"sum": tf.reduce_sum(y, [1, 2], name="total"), "moved": tf.transpose(tf.nn.relu6(y), [0, 3, 1, 2])}


def saved_models():
    module = Module()
    x = np.random.default_rng(4).standard_normal((2, 7, 5, 2)).astype(np.float32)
    tf.saved_model.save(module, str(FOLDER / "module"), signatures=module.__call__)
    save("module", {"x": x}, {name: value.numpy() for name, value in module(x).items()})


def frozen_graphs():
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 6, 6, 2], name="x")
        n = tf.compat.v1.placeholder(tf.int32, [3], name="n")
        first, second = tf.split(x, 2, axis=3, name="halves")
        y = tf.multiply(tf.sigmoid(first, name="gate"), second, name="net/gated")
        z = tf.add(tf.nn.avg_pool2d(y, 2, 2, "VALID"), 1.0, name="net/pooled")
        tf.add(n, 7, name="counted")
        inputs = {"x": np.random.default_rng(5).standard_normal((1, 6, 6, 2)).astype(np.float32), "n": np.array([1, 2, 3], np.int32)}
        wanted = {"net/pooled": z, "counted": "counted:0", "gate": "gate:0", "halves_1": "halves:1"}
        found = session.run(wanted, {"x:0": inputs["x"], "n:0": inputs["n"]})
        (FOLDER / "frozen.pb").write_bytes(session.graph.as_graph_def().SerializeToString())
        save("frozen", inputs, found)
        with tf.Graph().as_default() as other:
            x = tf.compat.v1.placeholder(tf.float32, [4], name="x")
            tf.raw_ops.Betainc(a=x, b=x, x=x, name="net/beta")
            tf.raw_ops.Zeta(x=x, q=x, name="net/zeta")
            (FOLDER / "strange.pb").write_bytes(other.as_graph_def().SerializeToString())


keras_models()
with_code()
with_links()
saved_models()
frozen_graphs()
