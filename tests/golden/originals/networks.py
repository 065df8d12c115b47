"""The networks that have golden values: where each comes from and which inputs it is given."""

import dataclasses

import timm
import torch
import torch.nn.functional
from torch import nn

from . import listings
from .torch_network import TorchNetwork


@dataclasses.dataclass
class Case:
    """One input batch. `draw` picks the images: see `conditioning`.

    Of a case that is `brief` neither running statistics nor gradients are kept.
    """

    batch: int
    height: int
    width: int
    draw: int
    brief: bool = False

    @property
    def input_name(self):
        """The name of the stream that the images are filled from."""
        return f"input-{self.batch}x{self.height}x{self.width}-{self.draw}"


@dataclasses.dataclass
class Network:
    """One row of the table: an original, its fill, its cases, and the preset's reference size."""

    name: str
    original: str
    classes: int
    reference_classes: int
    reference_input: int
    fill: dict
    cases: list
    package: str = "torch"
    preset: str = ""
    options: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.preset = self.preset or self.name


# The constants of `fill.fill`. With `shift` near `scale`, one value in six or so is below zero
# after a batch norm: every ReLU is felt, yet the deep networks stay far from the chaos, and
# float32 far from the noise, that they show around zero. `var` and `mean` are about what a
# convolution puts out, so evaluation normalises as training does.
CENTRED = {"gain": 1.5, "bias": 0.1, "scale": 0.5, "shift": 0.5, "mean": 0.1, "var": 1.0}
# Small activations, because here one batch norm follows another (or a ReLU that mostly passes):
# only the epsilon then keeps the first one's scale from having no effect at all.
SMALL = {"gain": 1.5, "bias": 0.01, "scale": 0.02, "shift": 0.03, "mean": 0.005, "var": 0.002}
SMALLER = {"gain": 1.5, "bias": 0.01, "scale": 0.01, "shift": 0.01, "mean": 0.002, "var": 0.0003}

NOTEBOOK = ["class DepthwiseConv(nn.Module)", "class ExitFlow(nn.Module)"]
DENSE = ["class Block(nn.Module)", "class SeparableConv2d(nn.Module)"]
PLAIN = ["class entry_flow(nn.Module)", "def depthwise_separable_conv"]

ALIGNED = ["xception41", "xception65", "xception71", "xception41p", "xception65p"]

NETWORKS = [
    Network(
        name="xception",
        original="timm's legacy_xception, the port of Cadene's checkpoint",
        classes=10,
        reference_classes=1000,
        reference_input=299,
        fill=CENTRED,
        cases=[Case(3, 48, 48, 2), Case(2, 71, 71, 21), Case(1, 96, 83, 0, brief=True)],
        package="timm",
    ),
    *(
        Network(
            name=name,
            original=f"timm's {name}",
            classes=10,
            reference_classes=1000,
            reference_input=299,
            fill=CENTRED,
            cases=[
                Case(2, 64, 64, 0),
                Case(2, 71, 71, 0, brief=True),
                Case(1, 97, 80, 0, brief=True),
            ],
            package="timm",
        )
        for name in ALIGNED
    ),
    *(
        Network(
            name=f"{preset}-options",
            original=f"timm's {preset} with other options",
            classes=10,
            reference_classes=1000,
            reference_input=299,
            fill=CENTRED,
            cases=[Case(2, 64, 64, 0), Case(1, 71, 80, 0, brief=True)],
            package="timm",
            preset=preset,
            options=options,
        )
        for preset, options in [
            ("xception41", {"output_stride": 8, "global_pool": "avgmax"}),
            ("xception41p", {"output_stride": 16, "global_pool": "max"}),
        ]
    ),
    Network(
        name="xception-keras",
        original="Keras applications' Xception",
        classes=10,
        reference_classes=1000,
        reference_input=299,
        fill=CENTRED,
        cases=[Case(2, 71, 71, 38), Case(2, 78, 78, 22), Case(1, 96, 83, 0, brief=True)],
        package="keras",
    ),
    Network(
        name="notebook-cifar10",
        original="the listings of the CIFAR-10 notebook",
        classes=10,
        reference_classes=10,
        reference_input=32,
        fill=CENTRED | {"shift": 0.2},
        cases=[Case(12, 32, 32, 1), Case(5, 33, 33, 17)],
    ),
    Network(
        name="dense-cifar100",
        original="the last listing of the CIFAR-100 post",
        classes=100,
        reference_classes=100,
        reference_input=32,
        fill=SMALL,
        cases=[Case(4, 17, 17, 21), Case(3, 24, 24, 13)],
    ),
    Network(
        name="dense-cifar100-first",
        original="the last listing of the CIFAR-100 post with the first listing's SeparableConv2d",
        classes=100,
        reference_classes=100,
        reference_input=32,
        fill=SMALLER,
        cases=[Case(4, 17, 17, 48), Case(3, 24, 24, 39)],
    ),
    Network(
        name="dense-cifar100-depthwise",
        original="the last listing of the CIFAR-100 post with groups=in_channels in its 3x3",
        classes=100,
        reference_classes=100,
        reference_input=32,
        fill=SMALL,
        cases=[Case(4, 17, 17, 41), Case(3, 24, 24, 78)],
    ),
    Network(
        name="plain-shared",
        original="the listings of the post that shares one middle block",
        classes=10,
        reference_classes=10,
        reference_input=32,
        fill=CENTRED,
        cases=[Case(3, 32, 32, 1), Case(2, 45, 45, 2)],
    ),
]


def build(network, seeds, classes, height, width, dtype=torch.float64, layout=torch.contiguous_format):
    """The original of `network` for an input size, with random weights until it is filled."""
    if network.package == "keras":
        from .keras_network import KerasNetwork

        return KerasNetwork(classes, height, width, dtype)
    if network.package == "timm":
        model = network.preset if network.preset in ALIGNED else "legacy_xception"
        module = timm.create_model(model, num_classes=classes, **network.options)
    else:
        module = listing(network.name, seeds)()
        if module.state_dict().popitem()[1].shape[0] != classes:
            raise SystemExit(f"{network.name}: the listing does not have {classes} classes")
    return TorchNetwork(module, dtype, layout)


def listing(name, seeds):
    """The class `Xception` of one of the published listings."""
    markers = {"notebook-cifar10": NOTEBOOK, "plain-shared": PLAIN}.get(name, DENSE)
    sources = listings.definitions(listings.find_document(seeds, markers))
    if markers is DENSE:
        sources = dense_sources(name, sources)
    namespace = {"torch": torch, "nn": nn, "F": torch.nn.functional}
    return listings.run(sources, namespace)["Xception"]


def dense_sources(name, sources):
    """Picks one of the post's two forms of `SeparableConv2d`, or mends the second."""
    (_, first), (_, last) = [s for s in sources if s[0] == "SeparableConv2d"]
    rest = [s for s in sources if s[0] != "SeparableConv2d"]
    chosen = first if name == "dense-cifar100-first" else last
    if name == "dense-cifar100-depthwise":
        if chosen.count("padding=1)") != 1:
            raise SystemExit("dense-cifar100-depthwise: expected one 'padding=1)' in SeparableConv2d")
        chosen = chosen.replace("padding=1)", "padding=1, groups=in_channels)")
    return [("SeparableConv2d", chosen), *rest]
