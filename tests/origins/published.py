"""Networks that no package registry has, written anew from their published sources.

Layers have the sources' names, since the names of tensors in published weight files come of them.
"""

import torch
from keras import Model, layers
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def projection(inputs, outputs, stride):
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def add_stages(network, block, inputs, outputs, counts, strides):
    """`layer1`, `layer2`.. of `block(inputs, outputs, stride)`; a stage's first block has its stride."""
    for number, (filters, count, stride) in enumerate(zip(outputs, counts, strides), 1):
        blocks = []
        for index in range(count):
            blocks.append(block(inputs, filters, stride if index == 0 else 1))
            inputs = filters
        network.add_module(f"layer{number}", nn.Sequential(*blocks))


class Basic(nn.Module):
    """Two 3x3 convolutions. Where the shape changes, the shortcut is option B of the paper: a 1x1 convolution with a batch norm."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        self.shortcut = self.change(inputs, outputs, stride) if changes else nn.Identity()

    def change(self, inputs, outputs, stride):
        return projection(inputs, outputs, stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class BasicA(Basic):
    """Option A: every second pixel, and zeros for the new channels, half of them in front."""

    def change(self, inputs, outputs, stride):
        return Subsample((outputs - inputs) // 2)


class Subsample(nn.Module):
    def __init__(self, zeros):
        super().__init__()
        self.zeros = zeros

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.zeros, self.zeros))


class Cifar(nn.Module):
    """He et al. 2015, section 4.2, for CIFAR-10: github.com/akamaster/pytorch_resnet_cifar10, resnet.py."""

    def __init__(self, depth, block):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16, 3), nn.BatchNorm2d(16)
        add_stages(self, block, 16, [16, 32, 64], [(depth - 2) // 6] * 3, [1, 2, 2])
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


class ImprovedBasic(nn.Module):
    """InsightFace's block: batch norm first, stride on the second convolution, nothing behind the addition."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs, 3)
        self.bn2, self.prelu = nn.BatchNorm2d(outputs), nn.PReLU(outputs)
        self.conv2, self.bn3 = conv(outputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.downsample = projection(inputs, outputs, stride) if stride != 1 else nn.Identity()

    def forward(self, x):
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(y)) + self.downsample(x)


class IResNet50(nn.Module):
    """Face embeddings: github.com/deepinsight/insightface, recognition/arcface_torch/backbones/iresnet.py."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.prelu = conv(3, 64, 3), nn.BatchNorm2d(64), nn.PReLU(64)
        add_stages(self, ImprovedBasic, 64, [64, 128, 256, 512], [3, 4, 14, 3], [2, 2, 2, 2])
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(torch.flatten(self.bn2(x), 1)))


class InstanceBatchNorm(nn.Module):
    """Instance norm for the first half of the channels, batch norm for the others."""

    def __init__(self, channels):
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels - channels // 2)

    def forward(self, x):
        first, second = x.split([self.IN.num_features, self.BN.num_features], 1)
        return torch.cat([self.IN(first), self.BN(second)], 1)


class IbnBottleneck(nn.Module):
    """A bottleneck (stride on the 3x3) whose first norm is an instance batch norm, but for the last stage."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        filters = outputs // 4
        self.conv1 = conv(inputs, filters, 1)
        self.bn1 = nn.BatchNorm2d(filters) if filters == 512 else InstanceBatchNorm(filters)
        self.conv2, self.bn2 = conv(filters, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv3, self.bn3 = conv(filters, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = projection(inputs, outputs, stride) if inputs != outputs else nn.Identity()

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class IbnResNet50(nn.Module):
    """IBN-Net-a: github.com/XingangPan/IBN-Net, ibnnet/resnet_ibn.py; as a backbone of person re-identification with a last stride
    of 1: github.com/michuanhaohao/reid-strong-baseline, modeling/backbones/resnet_ibn_a.py."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        add_stages(self, IbnBottleneck, 64, [256, 512, 1024, 2048], [3, 4, 6, 3], [1, 2, 2, 1])

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class ReidBaseline(nn.Module):
    """An embedding of 2,048 numbers behind a batch norm: github.com/michuanhaohao/reid-strong-baseline, modeling/baseline.py
    (`neck` bnneck, `neck_feat` after)."""

    def __init__(self):
        super().__init__()
        self.base = IbnResNet50()
        self.bottleneck = nn.BatchNorm1d(2048)

    def forward(self, x):
        return self.bottleneck(self.base(x).mean((2, 3)))


class WeSpeaker(nn.Module):
    """Speaker embeddings of 80 mel bins x frames: github.com/wenet-e2e/wespeaker, wespeaker/models/resnet.py (ResNet34, `feat_dim`
    80, `embed_dim` 256) and pooling_layers.py (TSTP). The input is [N, 1, bins, frames], which the source makes of
    [N, frames, bins]."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = conv(1, 32, 3), nn.BatchNorm2d(32)
        add_stages(self, Basic, 32, [32, 64, 128, 256], [3, 4, 6, 3], [1, 2, 2, 2])
        self.seg_1 = nn.Linear(2 * 256 * 80 // 8, 256)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        mean = x.mean(-1).flatten(1)
        deviation = (x.var(-1) + 1e-8).sqrt().flatten(1)
        return self.seg_1(torch.cat([mean, deviation], 1))


def mlperf_tiny_resnet8():
    """Keras: github.com/mlcommons/tiny, benchmark/training/image_classification/keras_model.py (`resnet_v1_eembc` with the
    benchmark's 16 filters). Layers are called as Keras numbers them in the source's order."""
    counts = {}

    def numbered(layer, **options):
        kind = {"Conv2D": "conv2d", "BatchNormalization": "batch_normalization", "Dense": "dense"}[layer.__name__]
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        return layer(**options, name=f"{kind}_{number}" if number else kind)

    def conv2d(x, filters, kernel, stride):
        return numbered(layers.Conv2D, filters=filters, kernel_size=kernel, strides=stride, padding="same")(x)

    def norm(x):
        return numbered(layers.BatchNormalization)(x)

    image = layers.Input((32, 32, 3))
    x = layers.Activation("relu")(norm(conv2d(image, 16, 3, 1)))
    for filters, stride in [(16, 1), (32, 2), (64, 2)]:
        y = layers.Activation("relu")(norm(conv2d(x, filters, 3, stride)))
        y = norm(conv2d(y, filters, 3, 1))
        if stride != 1:
            x = conv2d(x, filters, 1, stride)
        x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    scores = numbered(layers.Dense, units=10, activation="softmax")(x)
    return Model(image, scores)
