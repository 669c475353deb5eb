#!/usr/bin/env python3
"""Writes networks for the race: NAME-bN.onnx for the peers, NAME.safetensors for us, NAME-bN.npy for all (NCHW).

    python onnx_models.py FOLDER NAME[:BATCH]...       # resnet18, resnet50, resnet101, resnet152, document, timm/seresnet50

A name with a folder is a spec's, whose origin `tests/origins` builds; files are called `timm-seresnet50-b1.onnx`. All but the
document's network have the weights of the reference formula, for which calibration tables can be made; NAME-bN-int8.onnx is the
same network, quantized by ONNX Runtime (QDQ, a scale a channel of the weights). The document's network has random weights.
"""
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")


class Document(nn.Module):
    """The network of specs/resnet50.yaml: layers by Keras' names."""

    STAGES = [(2, [64, 64, 256], [64, 64, 256], "bc", 1), (3, [128, 128, 512], [128, 128, 512], "bcd", 2),
              (4, [256, 256, 1024], [256, 256, 1024], "bcdef", 2), (5, [512, 512, 2048], [256, 256, 2048], "bc", 2)]

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict()
        self.add("conv1", "bn_conv1", 3, 64, 7, 2)
        channels = 64
        for stage, first, other, letters, stride in self.STAGES:
            for letter in "a" + letters:
                filters = first if letter == "a" else other
                step = stride if letter == "a" else 1
                sizes = [channels, *filters]
                for index, branch in enumerate(["2a", "2b", "2c"]):
                    kernel = 3 if branch == "2b" else 1
                    self.conv(stage, letter, branch, sizes[index], filters[index], kernel, step if index == 0 else 1)
                if letter == "a":
                    self.conv(stage, letter, "1", channels, filters[2], 1, step)
                channels = filters[2]
        self.layers["fc6"] = nn.Linear(channels, 6)

    def add(self, conv, norm, inputs, filters, kernel, stride):
        padding = 1 if kernel == 3 else 0
        self.layers[conv] = nn.Conv2d(inputs, filters, kernel, stride, padding)
        self.layers[norm] = nn.BatchNorm2d(filters, eps=1e-3)

    def conv(self, stage, letter, branch, *sizes):
        self.add(f"res{stage}{letter}_branch{branch}", f"bn{stage}{letter}_branch{branch}", *sizes)

    def step(self, stage, letter, branch, x):
        return self.layers[f"bn{stage}{letter}_branch{branch}"](self.layers[f"res{stage}{letter}_branch{branch}"](x))

    def forward(self, x):
        x = F.relu(self.layers["bn_conv1"](self.layers["conv1"](F.pad(x, (3, 3, 3, 3)))))
        x = F.max_pool2d(x, 3, 2)
        for stage, _, _, letters, _ in self.STAGES:
            for letter in "a" + letters:
                y = F.relu(self.step(stage, letter, "2a", x))
                y = self.step(stage, letter, "2c", F.relu(self.step(stage, letter, "2b", y)))
                x = F.relu(y + (self.step(stage, letter, "1", x) if letter == "a" else x))
        x = F.avg_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)
        return F.softmax(self.layers["fc6"](x), 1)

    def keras_tensors(self):
        names = {"running_mean": "moving_mean", "running_var": "moving_variance", "bias": "bias"}
        tensors = {}
        for key, tensor in self.state_dict().items():
            layer, kind = key.removeprefix("layers.").rsplit(".", 1)
            norm = isinstance(self.layers[layer], nn.BatchNorm2d)
            if kind == "num_batches_tracked":
                continue
            if kind == "weight" and not norm:
                axes = (2, 3, 1, 0) if tensor.dim() == 4 else (1, 0)
                tensors[f"{layer}/kernel"] = tensor.permute(axes).contiguous()
            elif norm and kind in ("weight", "bias"):
                tensors[f"{layer}/{'gamma' if kind == 'weight' else 'beta'}"] = tensor
            else:
                tensors[f"{layer}/{names[kind]}"] = tensor
        return tensors


def uniform(name, count):
    """The formula's numbers for a name, in [0, 1): splitmix64 of its FNV-1a hash and the index."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    z = np.arange(count, dtype=np.uint64) + np.uint64(state) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


def formula(name, tensor):
    u = uniform(name, tensor.numel())
    if name.endswith("running_var"):
        numbers = 0.5 + u
    elif name.endswith("running_mean") or name.endswith("bias") and name != "fc.bias":
        numbers = (2 * u - 1) * np.float32(0.2)
    elif name.endswith("bias"):
        numbers = (2 * u - 1) * np.float32(0.1)
    elif tensor.dim() == 1:
        numbers = np.float32(0.6) + np.float32(0.6) * u
    else:
        numbers = (2 * u - 1) * np.float32(np.sqrt(3.0 / tensor[0].numel()))
    return torch.from_numpy(numbers).reshape(tensor.shape)


def origin(name):
    """The network that a spec was written after, and the sizes of an image, [C, H, W]."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests/origins"))
    from networks import NETWORKS
    made = NETWORKS[name]()
    made.run()
    return made.model.float().eval(), made.input[1:]


def network(name):
    torch.manual_seed(0)
    if name != "document":
        made = getattr(torchvision.models, name)(weights=None)
        state = made.state_dict()
        made.load_state_dict({key: tensor if key.endswith("num_batches_tracked") else formula(key, tensor)
                              for key, tensor in state.items()})
        return made.eval()
    made = Document()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.6, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.eval()


def quantize(plain, quantized, sizes, batch):
    """By ONNX Runtime, from eight inputs, as `resnet calibrate --inputs formula` makes them."""
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    class Inputs(quantization.CalibrationDataReader):
        def __init__(self):
            channels, height, width = sizes
            each = (uniform(f"input.{index}", height * width * channels) for index in range(8))
            images = ((4 * u - 2).reshape(1, height, width, channels).transpose(0, 3, 1, 2) for u in each)
            self.feeds = ({"image": np.ascontiguousarray(np.repeat(image, batch, 0))} for image in images)

        def get_next(self):
            return next(self.feeds, None)

    prepared = plain.with_suffix(".prepared")
    shape_inference.quant_pre_process(str(plain), str(prepared))
    quantization.quantize_static(str(prepared), str(quantized), Inputs(), quant_format=quantization.QuantFormat.QDQ,
                                 per_channel=True, activation_type=quantization.QuantType.QUInt8,
                                 weight_type=quantization.QuantType.QInt8)
    prepared.unlink()


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for argument in sys.argv[2:]:
        name, _, batch = argument.partition(":")
        batch, size = int(batch or 1), 64 if name == "document" else 224
        made, sizes = origin(name) if "/" in name else (network(name), [3, size, size])
        name = name.replace("/", "-")
        image = torch.from_numpy(np.random.default_rng(0).uniform(-2, 2, (batch, *sizes)).astype(np.float32))
        np.save(folder / f"{name}-b{batch}.npy", image.numpy())
        state = made.keras_tensors() if name == "document" else {
            key: tensor for key, tensor in made.state_dict().items() if not key.endswith("num_batches_tracked")}
        save_file(state, folder / f"{name}.safetensors")
        torch.onnx.export(made, (image,), str(folder / f"{name}-b{batch}.onnx"), input_names=["image"],
                          output_names=["scores"], dynamo=False)
        if name != "document":
            quantize(folder / f"{name}-b{batch}.onnx", folder / f"{name}-b{batch}-int8.onnx", sizes, batch)
        print(folder / f"{name}-b{batch}.onnx")


if __name__ == "__main__":
    main()
