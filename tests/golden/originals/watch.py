"""Watches a network from below, at the level of single tensor operations.

The originals come as modules, as functions and as Keras layers; convolutions, products,
ReLUs and max-pools look the same in all of them once they reach PyTorch's dispatcher.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class MultiplyAdds(TorchDispatchMode):
    """Counts the multiply-adds of convolutions and matrix products (no bias, no norm)."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is aten.convolution.default:
            weight = args[1]
            self.total += result.numel() * weight[0].numel()
        elif function is aten.addmm.default:
            self.total += result.numel() * args[1].shape[1]
        elif function in (aten.mm.default, aten.bmm.default):
            self.total += result.numel() * args[0].shape[-1]
        return result


class Kinks(TorchDispatchMode):
    """Keeps what enters each ReLU and max-pool, the operations with a kink.

    Where float32 rounding carries a value across a kink, the gradient jumps; a golden case
    must keep its distance (see `conditioning`).
    """

    def __init__(self):
        super().__init__()
        self.relu = []
        self.pool = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (aten.relu.default, aten.relu_.default):
            self.relu.append(args[0].detach().clone())
        elif function is aten.max_pool2d_with_indices.default:
            self.pool.append((args[0].detach().clone(), tuple(args[1:])))
        return function(*args, **(kwargs or {}))
