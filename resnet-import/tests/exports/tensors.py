"""Writers of files that hold tensors: each takes a network of `tests/origins` with its weights and the file to write."""

import collections

import numpy as np
import safetensors.torch
import torch
from keras.src.legacy.saving import legacy_h5_format
import h5py


def pth(network, path):
    torch.save(network.model.state_dict(), path)


def legacy(network, path):
    """The format before PyTorch 1.6: pickles one after another, then the storages."""
    torch.save(network.model.state_dict(), path, _use_new_zipfile_serialization=False)


def channels_last(network, path):
    """Kernels whose strides are those of [O, H, W, I]."""
    model = network.model.to(memory_format=torch.channels_last)
    torch.save(model.state_dict(), path)


def data_parallel(network, path):
    torch.save(prefixed(network, "module."), path)


def training(network, path):
    """As the ImageNet example of PyTorch saves it, with the momentum of every parameter, and a learning rate schedule."""
    optimizer = torch.optim.SGD(network.model.parameters(), 0.1, momentum=0.9)
    for parameter in network.model.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, 0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 30)
    state = {
        "epoch": 12,
        "arch": "resnet18",
        "state_dict": prefixed(network, "module."),
        "best_acc1": torch.tensor(61.5),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
    }
    torch.save(state, path)


def whole_model(network, path):
    """The pickle of the model itself: its classes have to be imported to be read."""
    torch.save(network.model, path)
    return {"refused": "torchvision.models.resnet.ResNet"}


def torch_script(network, path):
    torch.jit.save(torch.jit.trace(network.model, torch.zeros(network.input)), path)
    return {"refused": "TorchScript"}


def safetensors_file(network, path):
    safetensors.torch.save_file(network.model.state_dict(), path)


def npz(network, path):
    np.savez(path, **{name: tensor.numpy() for name, tensor in network.model.state_dict().items()})


def transformers(network, path, shard="50GB"):
    """`path`: what `save_pretrained` calls the file, or the index of several, in a folder of its own."""
    network.model.save_pretrained(path.parent, max_shard_size=shard)
    assert path.exists()


def keras_model(network, path):
    """.keras, or .h5 with the model in an attribute."""
    network.model.save(path)


def keras_weights(network, path):
    """.weights.h5, as Keras 3 writes it."""
    network.model.save_weights(path)


def keras_legacy_weights(network, path):
    """.h5 of weights alone, as Keras 2 writes it, and as the published ones are."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network.model)


def prefixed(network, prefix):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in network.model.state_dict().items())
