"""How far float32 can be trusted, and which images keep their distance from every kink.

ReLU and max-pool have kinks: a value that float32 rounding carries to the other side sends
its gradient elsewhere, and the gradient of a whole tensor moves by a thousandth although
nothing is wrong. `clearance` says how far a batch stays away, and `search` picks the draw of
the images that stays furthest, so that a parity test in float32 can be held to 1e-5.
"""

import dataclasses

import numpy
import torch
import torch.nn.functional as F

from . import fill, measure, networks
from .watch import Kinks

LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def kinks(original, images):
    """What enters every ReLU and max-pool in one training forward pass, as float64."""
    with Kinks() as watch, torch.no_grad():
        original.forward(images, train=True)
    return (
        [value.double() for value in watch.relu],
        [(value.double(), window) for value, window in watch.pool],
    )


def runner_up_gaps(value, window):
    """Largest minus second largest element of every pooling window, ties left out."""
    kernel, stride, padding = window[0], window[1], window[2] if len(window) > 2 else [0, 0]
    padded = F.pad(value, (padding[1], padding[1], padding[0], padding[0]), value=-1e30)
    windows = padded.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1])
    top = windows.flatten(4).topk(2).values
    gaps = top[..., 0] - top[..., 1]
    return gaps[gaps > 0]


def clearance(exact, rounded):
    """Smallest distance from a kink over the largest float32 error in the same operation.

    Above 1, float32 cannot have crossed a kink; the larger, the safer for other roundings.
    Exact zeros are on a kink for good (they come out of an earlier ReLU) and do not count.
    """
    worst = numpy.inf
    for (relu, pool) in rounded:
        for a, b in zip(exact[0], relu, strict=True):
            error = (a - b).abs().max().item()
            distance = a.abs()[a != 0].min().item()
            worst = min(worst, distance / error if error else numpy.inf)
        for (a, window), (b, _) in zip(exact[1], pool, strict=True):
            error = (a - b).abs().max().item()
            gaps = runner_up_gaps(a, window)
            worst = min(worst, gaps.min().item() / (2 * error) if error and len(gaps) else numpy.inf)
    return worst


def precisions(network, seeds, case):
    """The original in float64, and in float32 once per memory layout that it can run in."""
    layouts = {"nchw": torch.contiguous_format} if network.package == "keras" else LAYOUTS
    size = (network.classes, case.height, case.width)
    exact = networks.build(network, seeds, *size)
    rounded = {
        name: networks.build(network, seeds, *size, dtype=torch.float32, layout=layout)
        for name, layout in layouts.items()
    }
    return exact, rounded


def search(network, seeds, case, draws):
    """Clearance of `draws` draws of the images, best first, as (clearance, draw)."""
    exact, rounded = precisions(network, seeds, case)
    found = []
    for original in (exact, *rounded.values()):
        original.load(network.fill)
    for draw in range(draws):
        case = dataclasses.replace(case, draw=draw)
        images = fill.images(case.input_name, (case.batch, 3, case.height, case.width))
        # Training mode normalises by the batch, so the statistics that drift here do not matter.
        found.append(
            (
                clearance(kinks(exact, images), [kinks(o, images) for o in rounded.values()]),
                draw,
            )
        )
    return sorted(found, reverse=True)


def relative(value, reference):
    """L2 norm of the difference over the L2 norm of the reference."""
    return float(numpy.linalg.norm(value - reference) / numpy.linalg.norm(reference))


def worst(values, reference, names):
    """The largest relative error among `names`, and whose it is."""
    return max(((relative(values[n], reference[n]), n) for n in names), default=(0.0, "none"))


def report(network, seeds, case):
    """Lines of text: how far the original in float32 is from itself in float64."""
    exact, rounded = precisions(network, seeds, case)
    images = fill.images(case.input_name, (case.batch, 3, case.height, case.width))
    for original in (exact, *rounded.values()):
        original.load(network.fill)
    distance = clearance(kinks(exact, images), [kinks(o, images) for o in rounded.values()])
    reference = measure.step(exact, network, case)
    zeros = measure.zero_gradients(reference.gradients)
    names = [name for name in reference.gradients if name not in zeros]
    lines = [
        f"{network.name} {case.input_name}: clearance {distance:.2f}, loss {reference.loss:.4g}, "
        f"largest logit {abs(reference.eval_logits).max():.3g} eval "
        f"{abs(reference.train_logits).max():.3g} train, {len(zeros)} zero gradients"
    ]
    for layout, original in rounded.items():
        got = measure.step(original, network, case)
        errors = sorted(relative(got.gradients[n], reference.gradients[n]) for n in names)
        logits = [
            max(map(relative, getattr(got, kind), getattr(reference, kind)))
            for kind in ("eval_logits", "train_logits")
        ]
        running, statistic = worst(got.running, reference.running, reference.running)
        gradient, tensor = worst(got.gradients, reference.gradients, names)
        lines.append(
            f"    {layout:<13} eval {logits[0]:.1e}  train {logits[1]:.1e}  "
            f"running {running:.1e} ({statistic})  "
            f"gradient {gradient:.1e} ({tensor}), median {errors[len(errors) // 2]:.1e}"
        )
    return lines
