"""Makes the files that `tests/files.rs` reads: small weights as PyTorch and Keras write them.

    pip install torch==2.13.0 keras==3.15.1 h5py numpy
    KERAS_BACKEND=torch python make.py

Every array holds 0, 1, 2, … divided by 8, plus its number, so that the test knows what must come out.
"""

import argparse
import collections
import datetime
import enum
import os
import pathlib
import tempfile

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


class Phase(enum.Enum):
    TRAIN = 1


class Chatty:
    """Objects of the trainer's own, one of which holds itself."""

    def __init__(self):
        self.me = self
        self.history = {"loss": [1.5, numpy.float64(0.25)]}


def checkpoints():
    """What trainers save beside the weights: nothing of it can be built without their code."""
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(2, 2)).sum().backward()
    optimizer.step()
    average = torch.optim.swa_utils.AveragedModel(module)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    with torch.no_grad():
        for number, tensor in enumerate(module.state_dict().values()):
            tensor.copy_(numbers(number, tensor.shape).to(tensor.dtype))
        for number, tensor in enumerate(average.module.state_dict().values()):
            tensor.copy_(numbers(number + 10, tensor.shape).to(tensor.dtype))
    checkpoint = {
        "best_acc1": torch.tensor(93.5),
        "args": argparse.Namespace(lr=0.1, data=pathlib.PurePosixPath("/data"), phase=Phase.TRAIN),
        "metrics": [numpy.float32(0.5), numpy.arange(3), {1, 2}, frozenset({"a"}), bytearray(b"x")],
        "when": datetime.datetime(2024, 1, 2, 3, 4, 5),
        "counts": collections.Counter("aab"),
        "lists": collections.defaultdict(list, a=[1]),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "size": torch.Size([1, 2]),
        "generator": torch.get_rng_state(),
        "complex": {"a": torch.zeros(2, dtype=torch.complex64)},
        "float8": {"a": torch.zeros(2).to(torch.float8_e4m3fn)},
        "sparse": {"a": torch.eye(2).to_sparse()},
        "callback": Chatty(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "state_dict_ema": average.state_dict(),
        "trainer": {"models": [{"state_dict": module.state_dict()}]},
    }
    torch.save(checkpoint, HERE / "checkpoint.pth")
    torch.save(checkpoint, HERE / "checkpoint_protocol4.pth", pickle_protocol=4)
    tagged = module[0].weight.detach().clone()
    tagged.note = "an attribute of its own"
    parameter = torch.nn.Parameter(module[0].weight.detach().clone())
    parameter.no_decay = True
    torch.save({"tagged": tagged, "parameter": parameter, "bias": module[0].bias.detach()}, HERE / "tagged.pth")
    torch.save(torch.nn.DataParallel(module), HERE / "whole_network.pth")
    torch.jit.save(torch.jit.script(torch.nn.Sequential(module.eval())), HERE / "script.pt")
    quantized = torch.quantize_per_tensor(numbers(0, (2,)), 0.1, 0, torch.qint8)
    torch.save({"weight": quantized, "bias": numbers(1, (2,))}, HERE / "quantized.pth")


def stems():
    """One small file for every length of a file's stem: PyTorch names the folder in the archive after it.

    Each is preceded by its length, 4 bytes, little-endian.
    """
    with tempfile.TemporaryDirectory() as folder, open(HERE / "stems.bin", "wb") as out:
        for length in range(1, 65):
            path = pathlib.Path(folder) / ("x" * length + ".pth")
            torch.save({"a": torch.tensor([float(length)])}, path)
            data = path.read_bytes()
            out.write(len(data).to_bytes(4, "little") + data)


def nested_keras_files():
    """A network as a layer of another, with augmentation, an optimizer's state and a random generator's."""
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(2, 1, use_bias=False, name="block1_conv1"),
            keras.layers.Conv2D(2, 1, use_bias=False, name="block1_conv2"),
            keras.layers.SeparableConv2D(2, 3, use_bias=False, name="block2_sepconv1"),
        ],
        name="base",
    )
    inputs = keras.Input((8, 8, 3))
    features = base(keras.layers.RandomFlip(seed=1)(inputs), training=False)
    features = keras.layers.GlobalAveragePooling2D()(features)
    features = keras.layers.Dense(3, activation="relu", name="hidden")(features)
    outputs = keras.layers.Dense(2, name="answer")(keras.layers.Dropout(0.5, seed=2)(features))
    model = keras.Model(inputs, outputs)
    for number, variable in enumerate(base.weights + model.get_layer("hidden").weights + model.get_layer("answer").weights):
        variable.assign(numbers(number, variable.shape).numpy())
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    weights = [variable.numpy() for variable in model.weights]
    model.fit(numpy.zeros((1, 8, 8, 3)), numpy.zeros((1, 2)), verbose=0)
    model.set_weights(weights)
    model.save(HERE / "nested.keras")
    model.save(HERE / "nested.h5")
    model.save_weights(HERE / "nested.weights.h5")


def outside():
    with h5py.File(HERE / "external_link.weights.h5", "w") as file:
        file.create_group("layers/dense")
        file["layers/dense/vars"] = h5py.ExternalLink("/etc/hostname.h5", "/vars")
    with h5py.File(HERE / "external_data.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (2,), "f4", external=[("/etc/passwd", 0, 8)])


def names_without_an_encoding():
    """The name of a file that is no UTF-8, as `os.fsdecode` gives it."""
    torch.save({"weight": numbers(0, (2,)), "data": "caf\udce9"}, HERE / "surrogate.pth")


def split_lists():
    """Keras splits a list of names that is longer than the 64 KiB of an attribute. By hand, so that it is short."""
    with h5py.File(HERE / "split.h5", "w") as file:
        file.attrs["layer_names0"] = [b"first"]
        file.attrs["layer_names1"] = [b"second", b"empty"]
        for number, (layer, count) in enumerate([("first", 3), ("second", 1), ("empty", 0)]):
            group = file.create_group(layer)
            names = [f"{layer}/variable{variable}:0" for variable in range(count)]
            for variable, name in enumerate(names):
                group[name] = numbers(10 * number + variable, (2,)).numpy()
            for part, start in enumerate(range(0, count, 2)):
                group.attrs[f"weight_names{part}"] = [name.encode() for name in names[start : start + 2]]


if __name__ == "__main__":
    pytorch()
    checkpoints()
    stems()
    keras_files()
    nested_keras_files()
    outside()
    names_without_an_encoding()
    split_lists()
