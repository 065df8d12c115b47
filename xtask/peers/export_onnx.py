"""Writes a network as ONNX, in a process of its own, so that no peer's memory counts PyTorch's.

usage: export_onnx.py NETWORK BATCH_SIZE OUT
"""

import os
import sys

import torch

import networks


def main() -> None:
    """Exports in eval mode with a fixed batch size, which the runtimes optimise best."""
    network, batch_size, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    model = networks.build(network).eval()
    images = torch.randn(networks.shape(network, batch_size))
    incomplete = f"{out}.incomplete"
    with torch.no_grad():
        torch.onnx.export(
            model,
            (images,),
            incomplete,
            dynamo=False,
            opset_version=17,
            input_names=["input"],
            output_names=["logits"],
        )
    os.replace(incomplete, out)


if __name__ == "__main__":
    main()
