"""The two networks that the peers run, as PyTorch modules.

`xception` is timm's `legacy_xception`. `notebook-cifar10` is written here after the tables in
`crates/xception/src/architecture.rs` and `preset.rs`, layer for layer.
"""

import torch
from torch import nn

NOTEBOOK_PARAMETERS = 20_825_370
XCEPTION_PARAMETERS = 22_855_952


def separable(c_in: int, c_out: int) -> nn.Sequential:
    """A 3x3 depthwise convolution, a pointwise one, and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False),
        nn.Conv2d(c_in, c_out, 1, bias=False),
        nn.BatchNorm2d(c_out),
    )


class ResidualModule(nn.Module):
    """Separable convolutions with ReLU between them, and a shortcut around them.

    The shortcut branches off after the opening ReLU, which works in place. Where the shape
    changes it is a biased 1x1 convolution without normalisation, and a 3x3 max-pool of stride 2
    closes the other branch.
    """

    def __init__(self, c_in: int, widths: list[int], opens_with_relu: bool, stride: int) -> None:
        super().__init__()
        self.opens_with_relu = opens_with_relu
        layers: list[nn.Module] = []
        for index, c_out in enumerate(widths):
            if index > 0:
                layers.append(nn.ReLU(inplace=True))
            layers.append(separable(widths[index - 1] if index > 0 else c_in, c_out))
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.layers = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != widths[-1]:
            self.shortcut = nn.Conv2d(c_in, widths[-1], 1, stride)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        """`[N, c_in, H, W]` to `[N, widths[-1], H / stride, W / stride]`."""
        if self.opens_with_relu:
            xs = torch.relu_(xs)
        return self.layers(xs) + self.shortcut(xs)


class NotebookXception(nn.Module):
    """The CIFAR-10 notebook's network: `[N, 3, 32, 32]` to logits `[N, 10]`."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, padding=1, bias=True),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        self.entry_flow = nn.Sequential(
            ResidualModule(64, [128, 128], opens_with_relu=False, stride=2),
            ResidualModule(128, [256, 256], opens_with_relu=False, stride=2),
            ResidualModule(256, [728, 728], opens_with_relu=False, stride=2),
        )
        self.middle_flow = nn.Sequential(
            *(ResidualModule(728, [728] * 3, opens_with_relu=True, stride=1) for _ in range(8))
        )
        self.exit_flow = nn.Sequential(
            ResidualModule(728, [728, 1024], opens_with_relu=True, stride=2),
            separable(1024, 1536),
            nn.ReLU(inplace=True),
            separable(1536, 2048),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(2048, classes)

    def forward(self, xs: torch.Tensor) -> torch.Tensor:
        """Images to logits."""
        xs = self.exit_flow(self.middle_flow(self.entry_flow(self.stem(xs))))
        return self.head(xs.mean(dim=(2, 3)))


def build(network: str) -> nn.Module:
    """The network by the name of its preset, with random weights.

    Raises `ValueError` for a name that is not known, or when the number of trainable parameters
    is not that of our preset: then the comparison would be of two different networks.
    """
    torch.manual_seed(0)
    if network == "notebook-cifar10":
        model: nn.Module = NotebookXception()
        expected = NOTEBOOK_PARAMETERS
    elif network == "xception":
        import timm

        model = timm.create_model("legacy_xception", pretrained=False, num_classes=1000)
        expected = XCEPTION_PARAMETERS
    else:
        raise ValueError(f"unknown network {network}")
    found = sum(each.numel() for each in model.parameters() if each.requires_grad)
    if found != expected:
        raise ValueError(f"{network} has {found} trainable parameters here, {expected} in ours")
    return model


def shape(network: str, batch_size: int) -> tuple[int, int, int, int]:
    """`[N, 3, H, W]` of its images."""
    pixels = 299 if network == "xception" else 32
    return (batch_size, 3, pixels, pixels)


def classes(network: str) -> int:
    """Length of its logits."""
    return 1000 if network == "xception" else 10
