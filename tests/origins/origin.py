"""A network as its origin builds it: its tensors, and what it computes with the formula's weights."""

import math

import numpy as np

import networks
from formula import fill


def build(name):
    """The origin of a spec, weights not yet made."""
    make, size = networks.table()[name]
    return (Keras if size[-1] <= 3 else Torch)(make, size)


class Torch:
    """`tensors`: [name, shape, role] as in a `state_dict`; `parameters`: how many numbers of these are parameters (whether or not
    training keeps some fixed); `input`: [N, C, H, W]."""

    layout = "NCHW"

    def __init__(self, make, size):
        self.input = size
        self.model = make().eval()
        kept = self.model.state_dict()
        self.tensors = [
            [name, list(kept[name].shape), role] for name, role in torch_roles(self.model) if name in kept
        ]
        assert len(self.tensors) == sum(not name.endswith("num_batches_tracked") for name in kept)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())

    def run(self):
        """{name of an output: float64 [N, H, W, C] or [N, C]}, computed in float64 from the float32 weights."""
        import torch

        fill_all = {
            name: torch.from_numpy(fill(name, shape, role, math.prod(shape[1:])))
            for name, shape, role in self.tensors
        }
        self.model.load_state_dict(fill_all, strict=False)
        input = torch.from_numpy(fill("input", self.input, "input")).double()
        with torch.no_grad():
            output = self.model.double()(input)
        if hasattr(output, "logits"):
            output = output.logits
        outputs = output if isinstance(output, dict) else {"output": output}
        return {name: np.moveaxis(value.numpy(), 1, -1) for name, value in outputs.items()}


def torch_roles(model):
    """(name, role) of every parameter and buffer: a bias of a norm is not one of a convolution, whatever its name."""
    import torch.nn as nn
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.conv import _ConvNd

    norm = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
    roles = {
        (_ConvNd, nn.Linear): {"weight": "kernel", "bias": "bias"},
        (_NormBase, nn.GroupNorm): norm,
        (nn.PReLU,): {"weight": "slope"},
    }
    for path, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, _ in own:
            role = next((names.get(name) for kinds, names in roles.items() if isinstance(module, kinds)), None)
            if role:
                yield f"{path}.{name}" if path else name, role


class Keras:
    """As `Torch`; names are `layer/weight`, `input` is [N, H, W, C]."""

    layout = "NHWC"
    roles = {
        "kernel": "kernel", "bias": "bias", "gamma": "gamma", "beta": "beta", "moving_mean": "mean",
        "moving_variance": "variance",
    }  # fmt: skip

    def __init__(self, make, size):
        import keras

        keras.config.set_floatx("float64")
        self.input = size
        self.model = make()
        self.tensors = [
            [f"{layer.name}/{weight.name}", list(weight.shape), self.roles[weight.name]]
            for layer in self.model.layers
            for weight in layer.weights
        ]
        self.parameters = sum(math.prod(weight.shape) for weight in self.model.trainable_weights)

    def run(self):
        """As `Torch.run`."""
        values = [fill(name, shape, role, math.prod(shape[:-1])) for name, shape, role in self.tensors]
        assert len(values) == len(self.model.weights)
        self.model.set_weights(values)
        input = fill("input", self.input, "input").astype(np.float64)
        return {"output": self.model.predict(input, verbose=0)}
