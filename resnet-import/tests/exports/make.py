#!/usr/bin/env python3
"""Makes checkpoints as frameworks write them, and says what is expected of each.

    pip install numpy torch torchvision timm transformers keras h5py safetensors onnx onnxruntime onnxscript
        (here: 2.4.6, 2.15.0, 0.29.2, 1.0.31, 5.24.0, 3.15.1, 3.16.0, 0.8.0, 1.23.2, 1.32.0, 0.7.2)
    python make.py FOLDER [SPEC..]      all files (5 GB), or those of networks whose names begin so, such as timm/

`TENSORFLOW` names another Python, if this one has not what `by_tensorflow.py` needs.

Networks, their weights and their input are those of `tests/origins`. Every ONNX file is run by ONNX Runtime before it counts as made.

cases.json, beside this file, has a line for every file:
    `file`      in FOLDER
    `spec`      what it is to be recognized as
    `scores`    of a network that `tests/origins` has no outputs of, computed in float64: the first 16, and
    `norm`      (L2) of all of them
    `refused`   instead: words that the message must have
"""

import copy
import json
import pathlib
import sys

import numpy as np

import cases

CASES = pathlib.Path(__file__).with_name("cases.json")


def main(folder, *prefixes):
    known = {}
    if CASES.exists():
        known = {case["file"]: case for case in json.loads(CASES.read_text())}
    for group in cases.ALL:
        if not group.spec.startswith(prefixes or ("",)):
            continue
        network = group.network()
        network.expected, scores = expected(group, network)
        for file, write in group.files.items():
            path = pathlib.Path(folder).absolute() / file
            path.parent.mkdir(parents=True, exist_ok=True)
            outcome = write(network, path) or scores
            known[file] = {"file": file, "spec": group.spec} | outcome
            print(f"{file} ({path.stat().st_size / 1e6:.0f} MB): {group.spec}", *outcome, flush=True)
    rows = ",\n".join(json.dumps(known[file]) for group in cases.ALL for file in group.files if file in known)
    CASES.write_text(f"[\n{rows}\n]\n")


def expected(group, network):
    """The scores, and what cases.json says of them."""
    if not group.altered:
        return np.load(cases.ORIGINS / f"{group.spec}.npy"), {}
    scores = copy.deepcopy(network).run()["output"].ravel()
    return scores, {"scores": scores[:16].tolist(), "norm": float(np.linalg.norm(scores))}


if __name__ == "__main__":
    main(*sys.argv[1:])
