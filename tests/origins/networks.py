"""The networks that ship, each with how its origin is built."""

import functools
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

DEPTHS = [18, 34, 50, 101, 152]
WIDE = ["wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d"]
TIMM = [
    "resnet26d", "resnet50d", "resnet101d", "seresnet50", "seresnext50_32x4d", "ecaresnet26t", "resnetaa50",
    "resnetblur50", "resnetrs50", "resnet50_gn", "resnetv2_50", "resnetv2_50x1_bit",
]  # fmt: skip


def torchvision(name, **options):
    import torchvision.models

    return getattr(torchvision.models, name)(weights=None, **options)


def backbone(outputs, **options):
    """torchvision's ResNet-50 as the backbones of its detectors and segmenters have it: these stages' outputs, no head."""
    from torchvision.models._utils import IntermediateLayerGetter

    return IntermediateLayerGetter(torchvision("resnet50", **options), {name: name for name in outputs})


def timm(name):
    import timm

    return timm.create_model(name, pretrained=False)


def huggingface():
    from transformers import ResNetConfig, ResNetForImageClassification

    return ResNetForImageClassification(ResNetConfig(num_labels=1000))


def keras(name):
    import keras

    return getattr(keras.applications, name)(weights=None)


def published(build):
    import published

    return build(published)


def table():
    """{name of the spec: (builder, input [N, C, H, W], or Keras' [N, H, W, C])}"""

    def image(height, width=None, channels=3):
        return [1, channels, height, width or height]

    def timm_size(name):
        import timm

        return [1, *timm.get_pretrained_cfg(name).input_size]

    entries = {}

    def add(name, size, build, *arguments, **options):
        entries[name] = functools.partial(build, *arguments, **options), size

    for name in [f"resnet{depth}" for depth in DEPTHS] + WIDE:
        add(f"torchvision/{name}", image(224), torchvision, name)
        add(f"timm/{name}", timm_size(name), timm, name)
    for name in TIMM:
        add(f"timm/{name}", timm_size(name), timm, name)
    for name, keras_name in [
        ("resnet50", "ResNet50"), ("resnet101", "ResNet101"), ("resnet152", "ResNet152"), ("resnet50v2", "ResNet50V2"),
    ]:  # fmt: skip
        add(f"keras/{name}", [1, 224, 224, 3], keras, keras_name)
    add("huggingface/resnet-50", image(224), huggingface)
    for depth in [20, 32, 44, 56, 110]:
        add(f"cifar/resnet{depth}", image(32), published, lambda p, depth=depth: p.Cifar(depth, p.BasicA))
        add(f"cifar/resnet{depth}_b", image(32), published, lambda p, depth=depth: p.Cifar(depth, p.Basic))
    add("insightface/iresnet50", image(112), published, lambda p: p.IResNet50())
    add("reid/resnet50_ibn_a", image(256, 128), published, lambda p: p.ReidBaseline())
    add("wespeaker/resnet34", image(80, 200, 1), published, lambda p: p.WeSpeaker())
    add("mlperf-tiny/resnet8", [1, 32, 32, 3], published, lambda p: p.mlperf_tiny_resnet8())
    add("backbones/resnet50_os8", image(224), backbone, ["layer4"], replace_stride_with_dilation=[False, True, True])
    add("backbones/resnet50_c2345", image(224), backbone, ["layer1", "layer2", "layer3", "layer4"])
    return entries
