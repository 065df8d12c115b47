"""An original written in PyTorch, seen through the names of its own state dict."""

import dataclasses

import numpy
import torch
from torch import nn

from . import fill


@dataclasses.dataclass
class Tensor:
    """One entry of a state dict. `alias_of` names the entry whose storage it shares."""

    name: str
    shape: list
    role: str
    fan_in: int | None = None
    alias_of: str | None = None


def role_of(module, leaf):
    """What a tensor is for, from the module that holds it."""
    if leaf == "num_batches_tracked":
        return "counter"
    if isinstance(module, nn.BatchNorm2d):
        return {"weight": "scale", "bias": "shift"}.get(leaf, leaf)
    return leaf


class TorchNetwork:
    """A PyTorch module with filled weights, run in one precision and memory layout."""

    def __init__(self, module, dtype=torch.float64, layout=torch.contiguous_format):
        self.dtype, self.layout = dtype, layout
        self.module = module.to(dtype=dtype).to(memory_format=layout)
        self.tensors = self._describe()

    def _describe(self):
        modules = dict(self.module.named_modules(remove_duplicate=False))
        first_names, tensors = {}, []
        for name, value in self.module.state_dict(keep_vars=True).items():
            owner, _, leaf = name.rpartition(".")
            role = role_of(modules[owner], leaf)
            first = first_names.setdefault(id(value), name)
            tensors.append(
                Tensor(
                    name=name,
                    shape=list(value.shape),
                    role=role,
                    fan_in=value[0].numel() if role == "weight" else None,
                    alias_of=first if first != name else None,
                )
            )
        return tensors

    def load(self, constants):
        """Fills every tensor, statistics included."""
        state = {}
        for tensor in self.tensors:
            source = tensor.alias_of or tensor.name
            values = fill.fill(source, tensor.shape, tensor.role, tensor.fan_in, constants)
            state[tensor.name] = torch.from_numpy(values)
        self.module.load_state_dict(state, strict=True)
        self.module.zero_grad(set_to_none=True)

    def forward(self, images, train):
        """Logits [n, classes] of images [n, 3, h, w] given as a NumPy array."""
        self.module.train(train)
        # A copy: the first operation of a listing may work in place.
        x = torch.from_numpy(images.copy()).to(self.dtype).contiguous(memory_format=self.layout)
        return self.module(x)

    def levels(self, images):
        """The feature pyramid of images, of networks that say what theirs is."""
        self.module.eval()
        x = torch.from_numpy(images.copy()).to(self.dtype).contiguous(memory_format=self.layout)
        if hasattr(self.module, "forward_intermediates"):
            return self.module.forward_intermediates(x)[1]
        levels, hooks = [], []
        for level in getattr(self.module, "feature_info", []):
            tap = self.module.get_submodule(level["module"])
            hooks.append(tap.register_forward_hook(lambda *seen: levels.append(seen[2].clone())))
        if hooks:
            self.module(x)
        for hook in hooks:
            hook.remove()
        return levels

    def running(self):
        """Running statistics by name, as float64 arrays."""
        state = self.module.state_dict()
        return {
            t.name: state[t.name].numpy().astype(numpy.float64)
            for t in self.tensors
            if t.role in ("running_mean", "running_var")
        }

    def gradients(self):
        """Gradients by name, as float64 arrays in row-major order."""
        return {
            name: parameter.grad.contiguous().numpy().astype(numpy.float64)
            for name, parameter in self.module.named_parameters()
        }

    def unbiased(self, running, case, constants):
        """Nothing to add: PyTorch's running variance is the unbiased one already."""
        return {}
