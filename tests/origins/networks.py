"""The networks that ship: the name of each spec, and what builds its origin."""

import os
from functools import partial

os.environ["KERAS_BACKEND"] = "torch"

import keras
import timm
import torchvision.models
from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE
from torchvision.models._utils import IntermediateLayerGetter
from transformers import ResNetConfig, ResNetForImageClassification

import published
from origin import Keras, Torch

keras.config.set_floatx("float64")
# Without this, a batch norm computes in float32 where the backend is torch: float64 and float32 would give float32.
BIT64_TO_BIT32_DTYPE["float64"] = "float64"


def torchvision_network(name):
    return Torch(getattr(torchvision.models, name)(), [1, 3, 224, 224])


def timm_network(name):
    model = timm.create_model(name)
    return Torch(model, [1, *model.pretrained_cfg["input_size"]])


def huggingface_network():
    return Torch(ResNetForImageClassification(ResNetConfig(num_labels=1000)), [1, 3, 224, 224])


def backbone(outputs, **options):
    """torchvision's ResNet-50 as its detectors and segmenters have it: these stages' outputs, no head."""
    model = torchvision.models.resnet50(**options)
    return Torch(IntermediateLayerGetter(model, {name: name for name in outputs}), [1, 3, 224, 224])


def cifar_network(depth, block):
    return Torch(published.Cifar(depth, block), [1, 3, 32, 32])


def keras_network(name):
    return Keras(getattr(keras.applications, name)(weights=None), [1, 224, 224, 3])


EVERYWHERE = [
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2",
    "resnext50_32x4d", "resnext101_32x8d",
]  # fmt: skip
TIMM = [
    "resnet26d", "resnet50d", "resnet101d", "seresnet50", "seresnext50_32x4d", "ecaresnet26t", "resnetaa50",
    "resnetblur50", "resnetrs50", "resnet50_gn", "resnetv2_50", "resnetv2_50x1_bit",
]  # fmt: skip
CIFAR = [20, 32, 44, 56, 110]

# The shortcuts of `cifar/resnetN` are option A, those of `cifar/resnetN_b` option B.
NETWORKS = {
    **{f"torchvision/{name}": partial(torchvision_network, name) for name in EVERYWHERE},
    **{f"timm/{name}": partial(timm_network, name) for name in EVERYWHERE + TIMM},
    "keras/resnet50": lambda: keras_network("ResNet50"),
    "keras/resnet101": lambda: keras_network("ResNet101"),
    "keras/resnet152": lambda: keras_network("ResNet152"),
    "keras/resnet50v2": lambda: keras_network("ResNet50V2"),
    "huggingface/resnet-50": huggingface_network,
    **{f"cifar/resnet{depth}": partial(cifar_network, depth, published.BasicA) for depth in CIFAR},
    **{f"cifar/resnet{depth}_b": partial(cifar_network, depth, published.Basic) for depth in CIFAR},
    "insightface/iresnet50": lambda: Torch(published.IResNet50(), [1, 3, 112, 112]),
    "reid/resnet50_ibn_a": lambda: Torch(published.ReidBaseline(), [1, 3, 256, 128]),
    "wespeaker/resnet34": lambda: Torch(published.WeSpeaker(), [1, 1, 80, 200]),
    "mlperf-tiny/resnet8": lambda: Keras(published.mlperf_tiny_resnet8(), [1, 32, 32, 3]),
    "backbones/resnet50_os8": lambda: backbone(["layer4"], replace_stride_with_dilation=[False, True, True]),
    "backbones/resnet50_c2345": lambda: backbone(["layer1", "layer2", "layer3", "layer4"]),
}
