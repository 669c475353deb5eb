"""Makes the files of tests/keras.rs: two narrow networks, as .h5, .keras and .weights.h5, their inputs and outputs.
HDF5 files are mostly zeros, so they are compressed here.

Needs Python with keras, torch and h5py from PyPI. Run in this folder: KERAS_BACKEND=torch python make_keras.py
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import gzip
import json
import struct

import h5py
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


def inner(size, name):
    """A model within a model; the layers of two of them have the same names."""
    inputs = keras.Input(size)
    x = layers.SeparableConv2D(size[-1], 3, padding="same", activation="relu", name="separable")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Add(name="sum")([inputs, x]), name=name)


def mixed():
    """The other layers: shared ones, nested models, all that is no ResNet of today."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Normalization(mean=[110.0, 120.0, 130.0], variance=[3000.0, 3100.0, 3200.0])(inputs)
    x = layers.Conv2D(4, 3, dilation_rate=2, padding="same", name="stem 1")(x)
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    first = shared(x)
    second = shared(layers.Activation("relu6")(first))
    x = layers.Add()([first, second, x])
    x = inner((8, 8, 4), "inner1")(x)
    x = inner((8, 8, 4), "inner2")(x)
    x = layers.GroupNormalization(groups=-1, center=False)(x)
    x = layers.UpSampling2D((2, 1))(x)
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, activation="leaky_relu")(x)
    x = layers.Dense(6, activation="hard_swish")(x)
    x = layers.PReLU(shared_axes=[1, 2, 3])(x)
    x = layers.UnitNormalization()(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.BatchNormalization()(x)
    x = layers.Reshape((1, 1, 6))(x)
    x = layers.Conv2D(5, 1)(x)
    x = layers.Reshape((5,))(x)
    x = layers.Softmax()(x)
    return keras.Model(inputs, x, name="mixed")


def save(model, size):
    fill(model)
    name = model.name
    model.save(f"{name}.h5")
    model.save(f"{name}.keras")
    model.save_weights(f"{name}.weights.h5")
    for file in [f"{name}.h5", f"{name}.keras", f"{name}.weights.h5"]:
        pack(file)
    image = np.random.default_rng(1).integers(0, 256, (1, *size)).astype(np.float32)
    output = np.asarray(model(image, training=False).detach().cpu(), dtype=np.float64)
    with open(f"{name}.json", "w") as file:
        json.dump({"input": image.astype(int).flatten().tolist(), "output": output.flatten().tolist()}, file)


def pack(file):
    with open(file, "rb") as source, open(file + ".gz", "wb") as packed:
        packed.write(gzip.compress(source.read(), mtime=0))
    os.remove(file)


def hostile():
    """Files that ask for other files, or for much memory."""

    def layer(file):
        file.attrs["layer_names"] = ["conv"]
        group = file.create_group("conv")
        group.attrs["weight_names"] = ["kernel"]
        return group

    with h5py.File("link.h5", "w") as file:
        layer(file)["kernel"] = h5py.ExternalLink("/etc/passwd", "/kernel")
    with h5py.File("soft.h5", "w") as file:
        group = layer(file)
        group["kernel"] = h5py.SoftLink("/conv/other")
        group["other"] = h5py.SoftLink("/conv/kernel")
    with h5py.File("external.h5", "w") as file:
        layer(file).create_dataset("kernel", (4,), "<f4", external=[("/etc/passwd", 0, 16)])
    with h5py.File("bomb.h5", "w") as file:
        zeros = layer(file).create_dataset("kernel", (1 << 26,), "<f4", chunks=(1 << 22,), compression="gzip")
        zeros[: 1 << 22] = 0
    with h5py.File("large.h5", "w") as file:
        layer(file).create_dataset("kernel", (1 << 58,), "<f4", chunks=(1 << 10,))
    # Many names that are one text of 1 MB.
    with h5py.File("names.h5", "w") as file:
        names = ["a" * 1000000] + ["b"] * 1000
        file.attrs.create("layer_names", names, dtype=h5py.string_dtype())
    with open("names.h5", "rb") as file:
        data = bytearray(file.read())
    start = next(i for i in range(len(data)) if data[i : i + 4] == struct.pack("<I", 1000000) and data[i + 16 : i + 20] == b"\1\0\0\0")
    for name in range(1, 1001):
        data[start + 16 * name : start + 16 * name + 16] = data[start : start + 16]
    with open("names.h5", "wb") as file:
        file.write(data)
    # The kinds of datasets that are not numbers in one piece.
    with h5py.File("kinds.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"conv"])
        group = file.create_group("conv")
        group.attrs["weight_names"] = np.array([b"kernel", b"packed", b"half", b"brain", b"double"])
        values = np.arange(6).reshape(2, 3)
        group.create_dataset("kernel", data=values.astype(">f4"))
        group.create_dataset("packed", data=values.astype("<f4"), chunks=(2, 2), compression="gzip", shuffle=True)
        group.create_dataset("half", data=values.astype("<f2"))
        brain = group.create_dataset("brain", data=(values.astype("<f4").view("<u4") >> 16).astype("<u2"))
        brain.attrs["dtype"] = "bfloat16"
        group.create_dataset("double", data=values.astype("<f8"))
    for name in ["link", "soft", "external", "bomb", "large", "names", "kinds"]:
        pack(f"{name}.h5")


if __name__ == "__main__":
    save(network(), (9, 11, 3))
    save(mixed(), (8, 8, 3))
    hostile()
