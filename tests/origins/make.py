#!/usr/bin/env python3
"""Writes the references of the networks that ship: what their origins compute.

    pip install numpy torch torchvision timm transformers keras    (here: 2.4.6, 2.15.0, 0.29.2, 1.0.31, 5.24.0, 3.15.1)
    python make.py [NAME..]                                        all of them, or these, such as timm/resnet50d
    python make.py --tensors NAME..                                prints name, shape and role of every tensor

Each network is built by its origin, a package or, where none has it, `published.py`. Weights and the input are made by the formula of
`formula.py`, of a tensor's name and role; the input is called `input` and drawn in the origin's layout. The outputs are computed in
float64 from these float32 numbers.

FOLDER/NAME.npy   float32: the outputs one after another, in the order [N, H, W, C] or [N, C], of each every `step`-th number
FOLDER/NAME.json  `input`: its sizes, in the order that `layout` says
                  `outputs`: of each its name, its sizes as [N, H, W, C] or [N, C], and `step` (1: it is whole)
                  `parameters`: how many numbers are learnable
                  `tensors`: how many there are, and `hash`: FNV-1a over the sorted lines `NAME [SIZE, ..] ROLE`, each with its newline
"""

import json
import pathlib
import sys

import numpy as np

from formula import fnv1a64
from networks import NETWORKS

HERE = pathlib.Path(__file__).parent
# Numbers that are kept of a network's feature maps, about: 64 KB.
KEPT = 16_000


def main(arguments):
    if arguments[:1] == ["--tensors"]:
        for name in arguments[1:]:
            print(*lines(NETWORKS[name]().tensors), sep="", end="")
        return
    for name in arguments or NETWORKS:
        network = NETWORKS[name]()
        network.fill()
        outputs = {key: value.astype(np.float32) for key, value in network.run().items()}
        write(HERE / name, network, outputs)
        largest = max(float(np.abs(value).max()) for value in outputs.values())
        print(f"{name}: {network.parameters} parameters, largest output {largest:.3g}", flush=True)


def write(path, network, outputs):
    path.parent.mkdir(exist_ok=True)
    steps = {name: step(value.size, KEPT // len(outputs)) for name, value in outputs.items()}
    np.save(path.with_name(path.name + ".npy"), np.concatenate([v.ravel()[:: steps[n]] for n, v in outputs.items()]))
    text = lines(network.tensors)
    reference = {
        "input": network.input,
        "layout": network.layout,
        "outputs": [{"name": n, "shape": list(v.shape), "step": steps[n]} for n, v in outputs.items()],
        "parameters": network.parameters,
        "tensors": len(text),
        "hash": f"{fnv1a64(''.join(text)):016x}",
    }
    rows = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in reference.items())
    path.with_name(path.name + ".json").write_text(f"{{\n{rows}\n}}\n")


def lines(tensors):
    return sorted(f"{name} {json.dumps(shape)} {role}\n" for name, shape, role in tensors)


def step(size, kept):
    """The smallest prime that leaves at most `kept` numbers, so that all channels are seen; 1 if that is all of them."""
    if size <= kept:
        return 1
    candidate = -(-size // kept)
    while any(candidate % divisor == 0 for divisor in range(2, int(candidate**0.5) + 1)):
        candidate += 1
    return candidate


if __name__ == "__main__":
    main(sys.argv[1:])
