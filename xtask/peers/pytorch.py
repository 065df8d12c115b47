"""A step of PyTorch, eager or compiled, in the best way that PyTorch offers for each setting."""

from argparse import Namespace
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

import networks


def prepare(arguments: Namespace) -> Callable[[], object]:
    """The step to time."""
    torch.set_num_threads(arguments.threads)
    model = networks.build(arguments.network)
    images = torch.randn(networks.shape(arguments.network, arguments.batch_size))
    if arguments.layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if arguments.mode == "train":
        return training_step(model, images, arguments)
    return inference_step(model, images, arguments)


def training_step(
    model: torch.nn.Module, images: torch.Tensor, arguments: Namespace
) -> Callable[[], object]:
    """Forward, backward and a fused Adam; bf16 by autocast."""
    labels = torch.randint(networks.classes(arguments.network), (arguments.batch_size,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    model.train()
    forward = torch.compile(model) if arguments.runtime == "compile" else model
    bf16 = arguments.precision == "bf16"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def inference_step(
    model: torch.nn.Module, images: torch.Tensor, arguments: Namespace
) -> Callable[[], object]:
    """Forward without autograd; bf16 by casting weights and images, frozen where compiled."""
    model.eval()
    if arguments.precision == "bf16":
        model, images = model.to(torch.bfloat16), images.to(torch.bfloat16)
    if arguments.runtime != "compile":

        def eager() -> torch.Tensor:
            with torch.inference_mode():
                return model(images)

        return eager

    # Imported here: it would count towards the memory of the eager contenders.
    from torch._inductor import config

    # Folds and packs the weights, which happens only where gradients are off.
    config.freezing = True
    compiled = torch.compile(model)

    def frozen() -> torch.Tensor:
        with torch.no_grad():
            return compiled(images)

    return frozen


def versions() -> dict[str, str]:
    """What the timing depends on."""
    return {"torch": torch.__version__}
