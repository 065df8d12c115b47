"""Runs an original and writes down what the parity tests compare."""

import dataclasses
import platform

import numpy
import torch
import torch.nn.functional as F

from . import fill, networks
from .watch import MultiplyAdds

LOGITS_STORED = 10
"""Logits kept per image; the loss covers all classes, and the head's gradients every row."""

ZERO = 1e-9
"""A gradient this much smaller than its layer's weight gradient is zero but for rounding:
a bias that the next batch norm takes away again."""


@dataclasses.dataclass
class Step:
    """What one original computes from one batch; float64 arrays whatever it ran in."""

    eval_logits: numpy.ndarray
    train_logits: numpy.ndarray
    levels: list
    loss: float
    running: dict
    gradients: dict


def step(original, network, case):
    """Evaluation, then from the same fill one training pass with its backward pass."""
    images = fill.images(case.input_name, (case.batch, 3, case.height, case.width))
    labels = torch.tensor(fill.labels(case.batch, network.classes))
    original.load(network.fill)
    with torch.no_grad():
        evaluated = original.forward(images, train=False)
        levels = original.levels(images)
    original.load(network.fill)
    trained = original.forward(images, train=True)
    loss = F.cross_entropy(trained, labels)
    loss.backward()
    return Step(
        eval_logits=evaluated.double().numpy(),
        train_logits=trained.detach().double().numpy(),
        levels=[level.double().numpy() for level in levels],
        loss=loss.item(),
        running=original.running(),
        gradients=original.gradients(),
    )


def zero_gradients(gradients):
    """Names of the gradients that are zero but for rounding."""
    norms = {name: numpy.linalg.norm(gradient) for name, gradient in gradients.items()}
    layers = {}
    for name in norms:
        layers.setdefault(name[: len(name) - len(leaf(name))], []).append(name)
    return {
        name
        for members in layers.values()
        for name in members
        if norms[name] < ZERO * max(norms[member] for member in members)
    }


def leaf(name):
    """The last part of a PyTorch (`a.b.weight`) or Keras (`a_b/kernel`) name."""
    return name.replace("/", ".").rpartition(".")[2]


def case_document(original, network, case):
    """One case as it stands in the JSON file."""
    result = step(original, network, case)
    kept = {
        "input_name": case.input_name,
        "input": [case.batch, 3, case.height, case.width],
        "labels": fill.labels(case.batch, network.classes),
        "eval_logits": result.eval_logits[:, :LOGITS_STORED].tolist(),
        "train_logits": result.train_logits[:, :LOGITS_STORED].tolist(),
        "levels": [fill.summary(v) | {"shape": list(v.shape)} for v in result.levels],
        "loss": result.loss,
    }
    if case.brief:
        return kept | {"running": {}, "gradients": {}}
    zeros = zero_gradients(result.gradients)
    running = {name: fill.summary(value) for name, value in result.running.items()}
    for name, value in original.unbiased(result.running, case, network.fill).items():
        running[name]["unbiased"] = fill.summary(value)
    gradients = {}
    for name, value in result.gradients.items():
        if name in zeros:
            gradients[name] = fill.summary(numpy.zeros_like(value)) | {"zero": True}
        else:
            gradients[name] = fill.summary(value)
    return kept | {"running": running, "gradients": gradients}


def parameter_counts(tensors):
    """Trainable parameters, and with the batch norms' statistics; aliases count once."""
    sizes = {"trainable": 0, "statistics": 0, "counter": 0}
    for tensor in tensors:
        if tensor.alias_of is None:
            kind = {"running_mean": "statistics", "running_var": "statistics"}.get(
                tensor.role, "counter" if tensor.role == "counter" else "trainable"
            )
            sizes[kind] += int(numpy.prod(tensor.shape, dtype=numpy.int64))
    return sizes["trainable"], sizes["trainable"] + sizes["statistics"]


def reference(network, seeds):
    """Parameters and multiply-adds at the preset's own classes and input size."""
    size = network.reference_input
    original = networks.build(
        network, seeds, network.reference_classes, size, size, dtype=torch.float32
    )
    with MultiplyAdds() as count, torch.no_grad():
        original.forward(numpy.zeros((1, 3, size, size)), train=False)
    trainable, total = parameter_counts(original.tensors)
    return {
        "classes": network.reference_classes,
        "input": size,
        "params_trainable": trainable,
        "params_total": total,
        "macs": count.total,
    }


def versions(network):
    """What made the values: the packages whose arithmetic or definition is in them."""
    made_with = {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__.partition("+")[0],
    }
    if network.package != "torch":
        made_with[network.package] = __import__(network.package).__version__
    return made_with


def rust_options(options):
    """timm's arguments under the names that ours have."""
    return {{"in_chans": "c_in"}.get(name, name): value for name, value in options.items()}


def document(network, seeds):
    """The whole JSON document of one network."""
    cases, tensors = [], None
    for case in network.cases:
        original = networks.build(network, seeds, network.classes, case.height, case.width)
        cases.append(case_document(original, network, case))
        tensors = original.tensors
    trainable, total = parameter_counts(tensors)
    return {
        "network": network.name,
        "preset": network.preset,
        "options": rust_options(network.options),
        "original": network.original,
        "made_with": versions(network),
        "classes": network.classes,
        "logits_stored": min(LOGITS_STORED, network.classes),
        "fill": network.fill,
        "params_trainable": trainable,
        "params_total": total,
        "reference": reference(network, seeds),
        "tensors": [
            {key: value for key, value in dataclasses.asdict(tensor).items() if value is not None}
            for tensor in tensors
        ],
        "cases": cases,
    }
