#!/usr/bin/env python3
"""Writes torchvision's networks as ONNX files, all peers' common input: python onnx_models.py FOLDER NAME..."""
import sys
from pathlib import Path

import torch
import torchvision

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for name in sys.argv[2:]:
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None).eval()
    image = torch.zeros(1, 3, 224, 224)
    torch.onnx.export(network, (image,), str(folder / f"{name}.onnx"), input_names=["image"],
                      output_names=["scores"], dynamo=False)
