"""Writes the ONNX files of this folder and the outputs that ONNX Runtime computes: NAME.onnx, NAME.npy.

Python with torch, onnx and onnxruntime from PyPI. The input is that of `input` here, the outputs are one behind the other, as the file
gives them.
"""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F


def input(shape):
    count = int(np.prod(shape))
    return ((np.arange(count) * 37 % 101) / np.float32(50) - 1).astype(np.float32).reshape(shape)


def save_outputs(name, shape):
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: input(shape)})
    np.save(f"{name}.npy", np.concatenate([output.reshape(-1) for output in outputs]))
    print(name, [output.shape for output in outputs])


def export(name, network, shape, opset, dynamo=False):
    torch.manual_seed(0)
    network = network.eval()
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            value += torch.rand_like(value) * 0.3
    options = {"external_data": False} if dynamo else {}
    x = torch.from_numpy(input(shape))
    torch.onnx.export(network, (x,), f"{name}.onnx", input_names=["image"], opset_version=opset, dynamo=dynamo, **options)
    model = onnx.load(f"{name}.onnx")
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:], model.metadata_props[:]
    onnx.save(model, f"{name}.onnx")
    save_outputs(name, shape)


class Activations(nn.Module):
    """One after the other; decomposed ones too."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.prelu = nn.PReLU(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.norm(torch.relu(self.norm(self.conv(x))))
        features = [F.relu6(x), F.leaky_relu(x, 0.1), self.prelu(x), F.silu(x), F.hardswish(x), F.hardsigmoid(x)]
        features += [x * F.relu6(x + 3) / 6, x * (F.relu6(x + 3) / 6), torch.sigmoid(x)]
        x = sum(features[1:], features[0])
        return F.softmax(self.fc(x.mean((2, 3))), 1), x


class Gates(nn.Module):
    """Squeeze and excitation, ECA, norms, standardized weights, enlarged images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, 1, 1)
        self.down, self.up = nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)
        self.eca = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.group, self.instance = nn.GroupNorm(3, 6), nn.InstanceNorm2d(6, affine=True)
        self.standardized = nn.Parameter(torch.randn(6, 6, 1, 1))

    def forward(self, x):
        x = self.conv(x)
        x = x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))
        y = self.eca(x.mean((2, 3)).view(1, 1, -1)).sigmoid()
        x = x * y.view(1, -1, 1, 1).expand_as(x)
        weight = F.batch_norm(self.standardized.reshape(1, 6, -1), None, None, training=True, momentum=0.0, eps=1e-6)
        x = self.instance(self.group(x) + F.conv2d(x, weight.reshape_as(self.standardized)))
        x = F.interpolate(x, scale_factor=2, mode="nearest") + 1
        return x, F.normalize(x.flatten(2).mean(2))


class Windows(nn.Module):
    """Pools, paddings, groups, dilations, shortcuts without weights; a flatten of several pixels."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, (3, 5), (2, 1), (1, 2), groups=1)
        self.second = nn.Conv2d(4, 4, 3, 1, 2, dilation=2, groups=2)
        self.register_buffer("blur", (torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 16).repeat(4, 1, 1, 1), persistent=False)
        self.fc = nn.Linear(36, 3)

    def forward(self, x):
        x = self.second(self.first(F.pad(x, (0, 1, 1, 0))))
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True) + F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.blur, stride=1, groups=4)
        x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)) - 0.5
        x = F.avg_pool2d(x, 2, 1, 0, ceil_mode=False, count_include_pad=True)
        return self.fc(x.flatten(1))


class Halves(nn.Module):
    """Instance norm for some channels, batch norm for the others (IBN-Net)."""

    def __init__(self):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 6, 3, bias=False), nn.Conv2d(6, 2, 1)
        self.instance, self.batch = nn.InstanceNorm2d(2, affine=True), nn.BatchNorm2d(4)

    def forward(self, x):
        first, second = torch.split(self.conv(x), [2, 4], 1)
        return self.last(torch.relu(torch.cat((self.instance(first.contiguous()), self.batch(second.contiguous())), 1)))


def write(name, nodes, tensors, shape, outputs, opset, ir_version, inputs=()):
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, name, [value("image", shape), *inputs], [value(*output) for output in outputs], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")
    save_outputs(name, [size if isinstance(size, int) else 1 for size in shape])


def random(*shape):
    return np.random.RandomState(len(shape)).randn(*shape).astype(np.float32)


def channels_last():
    """As Keras exports: channels last outside, transposed around each convolution, norms as arithmetic."""
    first, last = [0, 3, 1, 2], [0, 2, 3, 1]
    tensors = {"mean": random(3), "half": np.float32(0.5), "kernel": random(4, 3, 3, 3), "bias": random(1, 1, 1, 4)}
    tensors |= {"scale": random(1, 1, 1, 4), "offset": random(4), "flat": np.array([-1, 36]), "dense": random(36, 5), "b": random(5)}
    node = helper.make_node
    nodes = [
        node("Sub", ["image", "mean"], ["centered"]),
        node("Mul", ["centered", "half"], ["scaled"]),
        node("Transpose", ["scaled"], ["nchw"], perm=first),
        node("Conv", ["nchw", "kernel"], ["conv"], auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Transpose", ["conv"], ["nhwc"], perm=last),
        node("Add", ["bias", "nhwc"], ["biased"]),
        node("Mul", ["biased", "scale"], ["multiplied"]),
        node("Add", ["multiplied", "offset"], ["normed"]),
        node("Relu", ["normed"], ["relu"]),
        node("Reshape", ["relu", "flat"], ["row"]),
        node("MatMul", ["row", "dense"], ["product"]),
        node("Add", ["product", "b"], ["scores"]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    write("channels_last", nodes, tensors, ["batch", 6, 5, 3], [("scores", ["batch", 5])], 17, 8)


def old():
    """Opset 9: what later became inputs are attributes; initializers are inputs, and no raw bytes; nodes without names."""
    arrays = {"w": random(4, 2, 3, 3), "scale": random(4), "b": random(4), "m": random(4), "v": np.abs(random(4)) + 0.5, "fc": random(3, 4)}
    arrays |= {"fc_bias": random(1, 3), "times": np.array([1, 1, 2, 3], np.float32)}
    tensors = [helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.reshape(-1)) for name, array in arrays.items()]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in arrays.items()]
    node = helper.make_node
    nodes = [
        node("Pad", ["image"], ["padded"], pads=[0, 0, 1, 0, 0, 0, 2, 1]),
        node("Conv", ["padded", "w"], ["conv"], strides=[2, 1]),
        node("BatchNormalization", ["conv", "scale", "b", "m", "v"], ["normed"], epsilon=1e-3),
        node("Clip", ["normed"], ["clipped"], min=0.0, max=6.0),
        node("Upsample", ["clipped", "times"], ["large"], mode="nearest"),
        node("Dropout", ["large"], ["kept"], ratio=0.5),
        node("ReduceMean", ["kept"], ["mean"], axes=[2, 3], keepdims=0),
        node("Gemm", ["mean", "fc", "fc_bias"], ["scores"], transB=1, alpha=2.0, beta=0.5),
        node("Softmax", ["scores"], ["probabilities"]),
    ]
    outputs = [("normed", [1, 4, 3, 4]), ("large", [1, 4, 6, 12]), ("probabilities", [1, 3])]
    write("old", nodes, tensors, [1, 2, 5, 5], outputs, 9, 3, inputs)


export("activations", Activations(), (1, 3, 8, 6), 17)
export("gates", Gates(), (1, 2, 4, 5), 17)
export("gates_dynamo", Gates(), (1, 2, 4, 5), 20, dynamo=True)
export("windows", Windows(), (1, 3, 15, 13), 16)
export("halves", Halves(), (1, 3, 6, 5), 13)
channels_last()
old()
