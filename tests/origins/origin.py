"""A network as its origin builds it: its tensors, and what it computes with the formula's weights."""

import math

import keras
import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from formula import fill

NORM = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
# By a module's type: a bias of a norm is not one of a convolution, whatever its name.
TORCH_ROLES = [
    ((_ConvNd, nn.Linear), {"weight": "kernel", "bias": "bias"}),
    ((_NormBase, nn.GroupNorm), NORM),
    ((nn.PReLU,), {"weight": "slope"}),
]
KERAS_ROLES = {
    "kernel": "kernel", "bias": "bias", "gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "variance",
}  # fmt: skip


class Torch:
    """`input`: sizes [N, C, H, W]. `tensors`: [name, sizes, role] of those in a `state_dict`. `parameters`: how many numbers are
    parameters, whether or not training keeps some of them fixed."""

    layout = "NCHW"

    def __init__(self, model, input):
        self.model = model.eval()
        self.input = input
        self.tensors = [
            [name, list(tensor.shape), self.role(name)]
            for name, tensor in model.state_dict().items()
            if not name.endswith("num_batches_tracked")
        ]
        self.parameters = sum(parameter.numel() for parameter in model.parameters())

    def role(self, name):
        path, _, own = name.rpartition(".")
        module = self.model.get_submodule(path)
        return next(roles[own] for kinds, roles in TORCH_ROLES if isinstance(module, kinds))

    def fill(self):
        """Gives the model the formula's weights."""
        state = {
            name: torch.from_numpy(fill(name, sizes, role, math.prod(sizes[1:]))) for name, sizes, role in self.tensors
        }
        self.model.load_state_dict(state, strict=False)

    def run(self):
        """{name of an output: [N, H, W, C] or [N, C]}, computed in float64 from the weights that the model has."""
        image = torch.from_numpy(fill("input", self.input, "input")).double()
        with torch.no_grad():
            output = self.model.double()(image)
        output = getattr(output, "logits", output)
        outputs = output if isinstance(output, dict) else {"output": output}
        return {name: np.moveaxis(value.numpy(), 1, -1) for name, value in outputs.items()}


class Keras:
    """As `Torch`; `input` is [N, H, W, C], and tensors are called `layer/weight`."""

    layout = "NHWC"

    def __init__(self, model, input):
        self.model = model
        self.input = input
        self.tensors = [
            [f"{layer.name}/{weight.name}", list(weight.shape), KERAS_ROLES[weight.name]]
            for layer in model.layers
            for weight in layer.weights
        ]
        self.parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)

    def fill(self):
        """As `Torch.fill`."""
        weights = [fill(name, sizes, role, math.prod(sizes[:-1])) for name, sizes, role in self.tensors]
        self.model.set_weights(weights)

    def run(self):
        """As `Torch.run`, of a model in float64."""
        assert keras.backend.result_type("float64", "float32") == "float64"
        image = fill("input", self.input, "input").astype(np.float64)
        return {"output": self.model.predict(image, verbose=0)}
