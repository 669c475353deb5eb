#!/usr/bin/env python3
"""Makes the small files of ../seeds: of every kind of file one, of a network of two convolutions. Tests cut and change them.

    pip install numpy torch keras h5py safetensors onnx onnxscript    (as in make.py)
    python seeds.py
"""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "torch"

import keras
import h5py
import numpy as np
import torch
from keras import layers
from torch import nn

import tensors
from graphs import export

SEEDS = pathlib.Path(__file__).parents[1] / "seeds"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.fc = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.conv2(x) + x)
        return self.fc(x.mean((2, 3)))


class Network:
    """As those of `tests/origins`."""

    def __init__(self, model, input):
        self.model, self.input = model, input


def small_keras():
    image = keras.Input((8, 8, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image)))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def main():
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    SEEDS.mkdir(exist_ok=True)
    network = Network(Small().eval(), [1, 3, 8, 8])
    tensors.pth(network, SEEDS / "small.pth")
    tensors.legacy(network, SEEDS / "small-legacy.pth")
    tensors.training(network, SEEDS / "small-training.pth")
    tensors.safetensors_file(network, SEEDS / "small.safetensors")
    tensors.npz(network, SEEDS / "small.npz")
    state = network.model.state_dict()
    np.savez_compressed(SEEDS / "small-compressed.npz", **{name: tensor.numpy() for name, tensor in state.items()})
    index = {"metadata": {}, "weight_map": {name: "small.safetensors" for name in state}}
    (SEEDS / "small.safetensors.index.json").write_text(json.dumps(index))
    preserve = torch.onnx.TrainingMode.PRESERVE
    export(network, SEEDS / "small.onnx", 17, dynamo=False, training=preserve)
    export(network, SEEDS / "small-dynamo.onnx", 20, dynamo=True, external_data=False, verbose=False)
    network = Network(small_keras(), [1, 8, 8, 3])
    tensors.keras_model(network, SEEDS / "small.h5")
    tensors.keras_model(network, SEEDS / "small.keras")
    tensors.keras_weights(network, SEEDS / "small.weights.h5")
    tensors.keras_legacy_weights(network, SEEDS / "small-legacy-weights.h5")
    hostile()


def hostile():
    """HDF5 files, as Keras writes weights, whose tensors lie elsewhere, in a circle, or are far larger or more than the file."""
    with weights("external-link") as file:
        file["conv/kernel"] = h5py.ExternalLink("other.h5", "/kernel")
    with weights("external-data") as file:
        file.create_dataset("conv/kernel", (4,), np.float32, external=[("other.bin", 0, 16)])
    with weights("virtual") as file:
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource("other.h5", "kernel", (4,), np.float32)
        file.create_virtual_dataset("conv/kernel", layout)
    with weights("circle") as file:
        file["conv/kernel"] = file["/"]
        file["conv/soft"] = h5py.SoftLink("/conv/soft")
    with weights("soft-circle") as file:
        file["conv/kernel"] = h5py.SoftLink("/conv/kernel")
    with weights("unwritten") as file:
        file.create_dataset("conv/kernel", (2**58,), np.float32)
    with weights("unwritten-chunks") as file:
        file.create_dataset("conv/kernel", (2**28,), np.float32, chunks=(2**18,), fillvalue=1)
    names = [f"kernel{number}" for number in range(20)]
    with weights("compressed", names) as file:
        zeros = np.zeros(2**21, np.float32)
        first = file.create_dataset("kernel", data=zeros, chunks=(2**20,), compression="gzip")
        for name in names:
            file[f"conv/{name}"] = first
    with weights("compressed-apart", names[:5]) as file:
        for name in names[:5]:
            file.create_dataset(f"conv/{name}", data=zeros, chunks=(2**18,), compression="gzip")
    with h5py.File(SEEDS / "hostile-shared-groups.h5", "w") as file:
        inner = file.create_group("layers/group0")
        for level in range(1, 25):
            outer = file.create_group(f"layers/group{level}")
            outer["left"] = outer["right"] = inner
            inner = outer


def weights(name, tensors=("kernel",)):
    file = h5py.File(SEEDS / f"hostile-{name}.h5", "w")
    file.attrs["layer_names"] = [b"conv"]
    file.create_group("conv").attrs["weight_names"] = [tensor.encode() for tensor in tensors]
    return file


if __name__ == "__main__":
    main()
