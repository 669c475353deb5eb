"""Writers of ONNX files: each takes a network of `tests/origins` with its weights and the file to write. What a file computes is
compared with what its origin does."""

import copy
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import torch

import origins  # noqa: F401
from formula import fill

TOLERANCE = 1e-4


def classic(network, path, opset, batch=None, **options):
    """By tracing (TorchScript). `batch`: what a batch of any size is called."""
    options |= {"dynamic_axes": {"input": {0: batch}, "output": {0: batch}}} if batch else {}
    export(network, path, opset, dynamo=False, **options)
    check(network, path)


def norms_kept(network, path, opset):
    """Batch norms are not folded into convolutions, constants are left as they are."""
    preserve = torch.onnx.TrainingMode.PRESERVE
    classic(network, path, opset, training=preserve, do_constant_folding=False)


def dynamo(network, path, opset, external=False):
    export(network, path, opset, dynamo=True, external_data=external, verbose=False)
    check(network, path)


def in_training(network, path, opset):
    """Its batch norms take mean and variance of the batch. The export changes the model."""
    export(copy.deepcopy(network), path, opset, dynamo=False, training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False)
    return {"refused": "training mode"}


def insightface(network, path):
    """As the published recognition models are: opset 11, a batch called `None`, the names that PyTorch gives."""
    export(network, path, 11, dynamo=False, input_names=None, output_names=None, dynamic_axes=None)
    model = onnx.load(path)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "None"
    onnx.save(model, path)
    check(network, path)


def shuffled(network, path, opset, **options):
    """Every value and node has another name, and initializers lie in another order."""
    classic(network, path, opset, **options)
    model = onnx.load(path)
    graph = model.graph
    names = {}
    draw = random.Random(path.name)

    def other(name):
        if name and name not in names:
            names[name] = f"{draw.getrandbits(32):08x}"
        return names.get(name, "")

    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = other(value.name)
    for node in graph.node:
        node.name = other(node.name)
        node.input[:] = map(other, node.input)
        node.output[:] = map(other, node.output)
    del graph.value_info[:]
    initializers = list(graph.initializer)
    draw.shuffle(initializers)
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    graph.name, model.producer_name, model.producer_version = "g", "", ""
    onnx.save(model, path)
    check(network, path)


def keras_export(network, path, opset, **options):
    """`Model.export`; it needs a model that was called."""
    network.model(fill("input", network.input, "input"))
    network.model.export(path, format="onnx", verbose=False, opset_version=opset, **options)
    check(network, path)


def by_tensorflow(network, path):
    """By tf2onnx, in another process: its Keras has another backend. `TENSORFLOW` names a Python that has TensorFlow."""
    source = path.with_suffix(".tensorflow.keras")
    network.model.save(source)
    python = os.environ.get("TENSORFLOW", sys.executable)
    script = pathlib.Path(__file__).with_name("by_tensorflow.py")
    subprocess.run([python, script, source, path], env=os.environ | {"KERAS_BACKEND": "tensorflow"}, check=True)
    source.unlink()
    check(network, path)


def export(network, path, opset, **options):
    options = {"input_names": ["input"], "output_names": ["output"]} | options
    parameter = next(network.model.parameters())
    image = torch.zeros(network.input, dtype=parameter.dtype)
    torch.onnx.export(network.model, (image,), path, opset_version=opset, **options)
    written = onnx.load(path, load_external_data=False).opset_import[0].version
    assert written == opset, f"{path}: opset {written}"


def check(network, path):
    session = onnxruntime.InferenceSession(path)
    input = session.get_inputs()[0]
    element = np.float16 if input.type == "tensor(float16)" else np.float32
    image = fill("input", network.input, "input").astype(element)
    (scores,) = session.run(None, {input.name: image})
    error = np.abs(scores.ravel() - network.expected).max() / np.abs(network.expected).max()
    assert error < (TOLERANCE if element is np.float32 else 1e-2), f"{path}: scores are off by {error:.2g} of the largest"
