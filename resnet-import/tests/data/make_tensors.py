"""Writes the small checkpoints beside it: `python make_tensors.py` (Python with torch and numpy from PyPI). All elements count up, so
that the tests know them."""

import argparse
import pathlib

import numpy as np
import torch

here = pathlib.Path(__file__).parent


def state():
    weight = torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2)
    return {
        "weight": weight,
        "tied": weight,
        "transposed": weight.permute(1, 0, 3, 2),
        "last": weight[1],
        "every_second": weight[:, ::2],
        "expanded": torch.arange(2.0)[:, None].expand(2, 3),
        "half": torch.arange(3.0).half(),
        "bfloat16": torch.arange(3.0).bfloat16(),
        "double": torch.arange(3.0).double(),
        "parameter": torch.nn.Parameter(weight[0, 0]),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "num_batches_tracked": torch.tensor(7),
    }


def training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.BatchNorm2d(1))
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    model(torch.ones(1, 1, 2, 2)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "model": {f"module.{name}": torch.full_like(tensor, 2) for name, tensor in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "best": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1, sizes=[1, (2, 3)]),
    }


torch.save(state(), here / "state.pth")
torch.save(state(), here / "state_legacy.pth", _use_new_zipfile_serialization=False)
torch.save(state(), here / "state_protocol5.pth", _use_new_zipfile_serialization=False, pickle_protocol=5)
torch.save(training(), here / "training.pth")
torch.save(torch.nn.Linear(2, 1), here / "module.pth")
torch.save({"model": torch.nn.Linear(2, 1)}, here / "module_legacy.pth", _use_new_zipfile_serialization=False)
torch.jit.script(torch.nn.Linear(2, 1)).save(here / "script.pt")

rows = np.arange(6, dtype=np.float32).reshape(2, 3)
arrays = {"rows": rows, "columns": np.asfortranarray(rows), "half": rows.astype(np.float16), "count": np.int64(7)}
np.savez(here / "arrays.npz", **arrays, big=rows.astype(">f4"))
np.savez_compressed(here / "compressed.npz", **arrays)
np.savez(here / "objects.npz", rows=rows, objects=np.array([print], dtype=object))
