"""Makes the files of tests/keras.rs: a narrow network of two blocks, as .h5, .keras and .weights.h5, its input and its output.
HDF5 files are mostly zeros, so they are compressed here.

Needs Python with keras, torch and h5py from PyPI. Run in this folder: KERAS_BACKEND=torch python make_keras.py
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import gzip
import json

import keras
import numpy as np
from keras import layers


def block(x, filters, stride, name):
    """A block with everything that the importer treats in a way of its own."""
    y = layers.Conv2D(filters, 3, strides=stride, padding="same", name=f"{name}_conv1")(x)
    y = layers.BatchNormalization(epsilon=1e-3, scale=False, name=f"{name}_bn1")(y)
    y = layers.ReLU(6.0, name=f"{name}_relu")(y)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_conv2")(y)
    y = layers.BatchNormalization(center=False, name=f"{name}_bn2")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(y)
    gate = layers.Conv2D(filters, 1, activation="hard_sigmoid", name=f"{name}_gate")(gate)
    y = layers.Multiply(name=f"{name}_scale")([gate, y])
    if stride != 1 or x.shape[-1] != filters:
        x = layers.Conv2D(filters, 1, strides=stride, groups=2, name=f"{name}_conv0")(x)
    y = layers.Add(name=f"{name}_add")([x, y])
    return layers.PReLU(shared_axes=[1, 2], name=f"{name}_out")(y)


def network():
    inputs = keras.Input((9, 11, 3), name="image")
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.ZeroPadding2D(((1, 0), (0, 1)))(x)
    x = layers.Conv2D(4, 3, strides=2, activation="silu", name="stem")(x)
    body = keras.Sequential([keras.Input(x.shape[1:]), layers.MaxPooling2D(2, 1, padding="same"), layers.GroupNormalization(2, name="norm")], name="body")
    x = body(x)
    x = block(x, 4, 1, "block1")
    x = block(x, 6, 2, "block2")
    x = layers.LeakyReLU(0.1)(x)
    x = layers.AveragePooling2D((2, 1), padding="same")(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(5, activation="softmax", name="scores")(x)
    return keras.Model(inputs, x, name="narrow")


def fill(model, seed=0):
    """Weights of a size at which every layer matters: variances above zero, kernels by the number of their inputs."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed_generator" in weight.path or "count" in weight.path:
            continue
        shape = tuple(weight.shape)
        value = random.standard_normal(shape)
        if "variance" in weight.path or "gamma" in weight.path:
            value = random.uniform(0.5, 1.5, shape)
        elif "kernel" in weight.path:
            value = value / np.sqrt(max(1, np.prod(shape[:-1])))
        else:
            value = 0.1 * value
        weight.assign(value.astype(np.float32))


if __name__ == "__main__":
    model = network()
    fill(model)
    model.save("narrow.h5")
    model.save("narrow.keras")
    model.save_weights("narrow.weights.h5")
    for name in ["narrow.h5", "narrow.keras", "narrow.weights.h5"]:
        with open(name, "rb") as file, open(name + ".gz", "wb") as packed:
            packed.write(gzip.compress(file.read(), mtime=0))
        os.remove(name)
    image = np.random.default_rng(1).integers(0, 256, (1, 9, 11, 3)).astype(np.float32)
    output = np.asarray(model(image, training=False).detach().cpu(), dtype=np.float64)
    with open("narrow.json", "w") as file:
        json.dump({"input": image.astype(int).flatten().tolist(), "output": output.flatten().tolist()}, file)
