"""Which files are made of which network."""

from functools import partial
from typing import NamedTuple

from origins import ORIGINS

# It says which backend Keras has, so it comes before Keras.
from networks import NETWORKS  # isort: skip
from origin import Torch  # isort: skip

import keras
import torch
import torchvision.models

import graphs as onnx
import tensors

# `networks` asks for float64.
keras.config.set_floatx("float32")


class Group(NamedTuple):
    """Files of one network. `altered`: it does not compute what the origin of this name does."""

    spec: str
    files: dict
    build: callable = None
    altered: bool = False

    def network(self):
        network = (self.build or NETWORKS[self.spec])()
        network.fill()
        return network


def headed(outputs):
    return Torch(torchvision.models.resnet18(num_classes=outputs), [1, 3, 224, 224])


def headless():
    model = torchvision.models.resnet18()
    model.fc = torch.nn.Identity()
    return Torch(model, [1, 3, 224, 224])


def rounded(dtype):
    """With weights of this type."""
    network = headed(1000)
    network.fill()
    network.model.to(dtype)
    network.fill = lambda: None
    return network


ALL = [
    Group("torchvision/resnet18", {
        "resnet18.pth": tensors.pth,
        "resnet18-legacy.pth": tensors.legacy,
        "resnet18-data-parallel.pth.tar": tensors.data_parallel,
        "resnet18-training.ckpt": tensors.training,
        "resnet18-module.pt": tensors.whole_model,
        "resnet18-script.pt": tensors.torch_script,
        "resnet18.npz": tensors.npz,
        "resnet18-opset9.onnx": partial(onnx.classic, opset=9),
        "resnet18-opset22.onnx": partial(onnx.dynamo, opset=22),
        "resnet18-norms.onnx": partial(onnx.norms_kept, opset=11),
        "resnet18-in-training.onnx": partial(onnx.in_training, opset=14),
        # Last: it changes the model.
        "resnet18-channels-last.th": tensors.channels_last,
    }),
    Group("torchvision/resnet18", {
        "resnet18-5.pth": tensors.pth,
        "resnet18-5.onnx": partial(onnx.shuffled, opset=17, batch="N"),
    }, partial(headed, 5), altered=True),
    Group("torchvision/resnet18", {
        "resnet18-headless.pth": tensors.pth,
        "resnet18-headless.onnx": partial(onnx.classic, opset=15),
    }, headless, altered=True),
    Group("torchvision/resnet18", {
        "resnet18-half.pth": tensors.pth,
        "resnet18-half.onnx": partial(onnx.norms_kept, opset=13),
    }, partial(rounded, torch.float16), altered=True),
    Group("torchvision/resnet18", {
        "resnet18-bf16.safetensors": tensors.safetensors_file,
    }, partial(rounded, torch.bfloat16), altered=True),
    Group("torchvision/resnet50", {
        "resnet50.pth": tensors.pth,
        "resnet50.onnx": partial(onnx.classic, opset=17, batch="batch"),
        "3f9c1a.onnx": partial(onnx.shuffled, opset=13),
        "resnet50-external.onnx": partial(onnx.dynamo, opset=18, external=True),
    }),
    Group("torchvision/resnext50_32x4d", {
        "c07b.bin": tensors.pth,
        "resnext50.onnx": partial(onnx.norms_kept, opset=14),
    }),
    Group("timm/resnet50d", {
        "resnet50d.pth": tensors.legacy,
        "resnet50d-opset12.onnx": partial(onnx.classic, opset=12),
        "resnet50d-opset20.onnx": partial(onnx.dynamo, opset=20),
    }),
    Group("timm/seresnet50", {
        "seresnet50.safetensors": tensors.safetensors_file,
        "seresnet50-opset16.onnx": partial(onnx.norms_kept, opset=16),
        "seresnet50-opset21.onnx": partial(onnx.dynamo, opset=21),
    }),
    Group("timm/resnetv2_50", {
        "resnetv2_50.pth": tensors.pth,
        "resnetv2_50-opset10.onnx": partial(onnx.classic, opset=10),
        "resnetv2_50-opset19.onnx": partial(onnx.dynamo, opset=19),
    }),
    Group("timm/resnet50_gn", {
        "resnet50_gn.pth": tensors.pth,
        "resnet50_gn-opset15.onnx": partial(onnx.shuffled, opset=15),
        "resnet50_gn-opset21.onnx": partial(onnx.dynamo, opset=21),
    }),
    Group("keras/resnet50", {
        "keras50.h5": tensors.keras_model,
        "keras50.keras": tensors.keras_model,
        "keras50.weights.h5": tensors.keras_weights,
        "keras50-legacy-weights.h5": tensors.keras_legacy_weights,
        "keras50.onnx": partial(onnx.keras_export, opset=20),
        "keras50-tensorflow.onnx": onnx.by_tensorflow,
    }),
    Group("keras/resnet50v2", {
        "keras50v2.h5": tensors.keras_model,
        "d41d.keras": tensors.keras_model,
        "keras50v2.weights.h5": tensors.keras_weights,
        "keras50v2.onnx": partial(onnx.keras_export, opset=17, dynamo=False),
        "keras50v2-tensorflow.onnx": onnx.by_tensorflow,
    }),
    Group("huggingface/resnet-50", {
        "microsoft-resnet-50/model.safetensors": tensors.transformers,
        "microsoft-resnet-50-sharded/model.safetensors.index.json": partial(tensors.transformers, shard="40MB"),
        "microsoft-resnet-50/pytorch_model.bin": tensors.pth,
        "microsoft-resnet-50.onnx": partial(onnx.classic, opset=18),
        "microsoft-resnet-50-opset18.onnx": partial(onnx.dynamo, opset=18),
    }),
    Group("insightface/iresnet50", {
        "backbone.pth": tensors.pth,
        "w600k_r50.onnx": onnx.insightface,
    }),
]  # fmt: skip
