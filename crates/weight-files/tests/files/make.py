"""Makes the files that `tests/files.rs` reads: small weights as PyTorch and Keras write them.

    pip install torch==2.13.0 keras==3.15.1 h5py numpy
    KERAS_BACKEND=torch python make.py

Every array holds 0, 1, 2, … divided by 8, plus its number, so that the test knows what must come out.
"""

import collections
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy
import torch

HERE = pathlib.Path(__file__).parent


def numbers(number, shape, dtype=torch.float32):
    count = int(numpy.prod(shape))
    return (torch.arange(count, dtype=torch.float64) / 8 + number).reshape(shape).to(dtype)


def state_dict():
    """Kinds, a view with strides, a name for the same numbers again, a single number, an empty tensor."""
    shared = numbers(3, (2, 2))
    return collections.OrderedDict(
        [
            ("conv.weight", numbers(0, (2, 3, 1, 1))),
            ("half", numbers(1, (3,), torch.float16)),
            ("bfloat", numbers(2, (3,), torch.bfloat16)),
            ("shared", shared),
            ("shared_again", shared),
            ("transposed", numbers(4, (2, 3)).t()),
            ("slice", numbers(5, (6,))[2:5]),
            ("bn.num_batches_tracked", torch.tensor(7)),
            ("empty", torch.zeros(0, 3)),
        ]
    )


def pytorch():
    torch.save(state_dict(), HERE / "zip.pth")
    torch.save(state_dict(), HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    with torch.no_grad():
        for number, tensor in enumerate(module.state_dict().values()):
            tensor.copy_(numbers(number, tensor.shape).to(tensor.dtype))
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in module.state_dict().items()}}
    torch.save(wrapped, HERE / "wrapped.pth")
    parameters = {"weight": torch.nn.Parameter(numbers(0, (2, 2)))}
    torch.save(parameters, HERE / "parameter.pth")


def keras_files():
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(3, 1, use_bias=False, name="block1_conv1"),
            keras.layers.BatchNormalization(name="block1_conv1_bn"),
            keras.layers.SeparableConv2D(2, 3, use_bias=False, name="block2_sepconv1"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, name="predictions"),
        ]
    )
    for number, variable in enumerate(model.weights):
        variable.assign(numbers(number, variable.shape).numpy())
    model.save_weights(HERE / "keras3.weights.h5")
    model.save(HERE / "keras3.h5")


def outside():
    with h5py.File(HERE / "external_link.weights.h5", "w") as file:
        file.create_group("layers/dense")
        file["layers/dense/vars"] = h5py.ExternalLink("/etc/hostname.h5", "/vars")
    with h5py.File(HERE / "external_data.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (2,), "f4", external=[("/etc/passwd", 0, 8)])


if __name__ == "__main__":
    pytorch()
    keras_files()
    outside()
