"""Keras's own Xception, run by Keras on its PyTorch backend.

Names are `<layer>/<variable>`; shapes are Keras's: convolution [kh, kw, in, out],
depthwise [kh, kw, channels, 1], dense [in, out].
"""

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy
import torch

from . import fill
from .torch_network import Tensor

ROLES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "pointwise_kernel": "weight",
    "gamma": "scale",
    "beta": "shift",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def fan_in(leaf, shape):
    """Inputs that reach one output; a depthwise kernel's channel axis does not add up."""
    return shape[0] * shape[1] if leaf == "depthwise_kernel" else int(numpy.prod(shape[:-1]))


class KerasNetwork:
    """Keras applications' Xception for one input size, with filled weights."""

    def __init__(self, classes, height, width, dtype=torch.float64):
        # A fresh session restarts the numbering of the layers that have no name (the shortcuts).
        keras.backend.clear_session()
        keras.config.set_floatx(str(dtype).removeprefix("torch."))
        self.dtype = dtype
        self.model = keras.applications.Xception(
            weights=None,
            include_top=True,
            classes=classes,
            classifier_activation=None,
            input_shape=(height, width, 3),
        )
        self.variables, self.tensors = {}, []
        for layer in self.model.layers:
            for variable in layer.weights:
                name, shape = f"{layer.name}/{variable.name}", list(variable.shape)
                role = ROLES[variable.name]
                self.variables[name] = variable
                self.tensors.append(
                    Tensor(
                        name=name,
                        shape=shape,
                        role=role,
                        fan_in=fan_in(variable.name, shape) if role == "weight" else None,
                    )
                )

    def load(self, constants):
        """Fills every variable, statistics included."""
        for tensor in self.tensors:
            variable = self.variables[tensor.name]
            variable.assign(
                fill.fill(tensor.name, tensor.shape, tensor.role, tensor.fan_in, constants)
            )
            variable.value.grad = None

    def forward(self, images, train):
        """Logits [n, classes] of images [n, 3, h, w], handed to Keras as [n, h, w, 3]."""
        x = torch.from_numpy(images.transpose(0, 2, 3, 1).copy()).to(self.dtype)
        return self.model(x, training=train)

    def levels(self, images):
        """Keras has no pyramid."""
        return []

    def running(self):
        """Running statistics by name, as float64 arrays."""
        return {
            t.name: self.variables[t.name].value.detach().numpy().astype(numpy.float64)
            for t in self.tensors
            if t.role in ("running_mean", "running_var")
        }

    def gradients(self):
        """Gradients by name, as float64 arrays in Keras's layout."""
        return {
            t.name: self.variables[t.name].value.grad.contiguous().numpy().astype(numpy.float64)
            for t in self.tensors
            if t.role in ("weight", "bias", "scale", "shift")
        }

    def unbiased(self, running, case, constants):
        """The running variances as they would be with PyTorch's unbiased batch variance.

        Keras 3 averages the variance over n, PyTorch over n - 1 (n = batch * height * width),
        and both normalise by the former.
        """
        corrected = {}
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                name = f"{layer.name}/moving_variance"
                kept = layer.momentum * fill.fill(
                    name, list(running[name].shape), "running_var", None, constants
                ).astype(numpy.float64)
                n = case.batch * layer.input.shape[1] * layer.input.shape[2]
                corrected[name] = kept + (running[name] - kept) * n / (n - 1)
        return corrected
