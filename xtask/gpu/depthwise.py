"""Times PyTorch's 3x3 depthwise convolution in bf16, channels-last: forward, gradient of the input, gradient of the weights.

usage: depthwise.py [RATE] [--device cuda|cpu]

For each shape a line of JSON: microseconds, and the part of the copy rate (TB/s, the argument) that the fewest bytes need.
"""

import argparse
import json

import torch

from timing import DEVICES, kind, median_milliseconds

TIMES = 10
SHAPES = [
    (128, 128, 147, 147),
    (128, 256, 74, 74),
    (128, 728, 37, 37),
    (128, 728, 19, 19),
    (128, 1536, 10, 10),
    (128, 64, 16, 16),
    (128, 256, 8, 8),
    (128, 728, 2, 2),
    (1024, 728, 2, 2),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rate", type=float, nargs="?", default=4.2)
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    args = parser.parse_args()
    device = args.device
    for benchmark in (False, True):
        torch.backends.cudnn.benchmark = benchmark
        for shape in SHAPES:
            if device == "cpu":
                shape = (2, *shape[1:2], 4, 4)
            c = shape[1]
            xs, gradient = (
                torch.randn(shape, device=device, dtype=kind(device)).to(memory_format=torch.channels_last)
                for _ in range(2)
            )
            weight = torch.randn(c, 1, 3, 3, device=device, dtype=kind(device))

            def backward(inputs, weights):
                return torch.ops.aten.convolution_backward(
                    gradient, xs, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], c, [inputs, weights, False]
                )

            def microseconds(work):
                return median_milliseconds(work, TIMES, device) * 1e3

            taken = {
                "forward": microseconds(lambda: torch.conv2d(xs, weight, None, 1, 1, 1, c)),
                "input": microseconds(lambda: backward(True, False)),
                "weight": microseconds(lambda: backward(False, True)),
            }
            least = 2 * xs.numel() * 2 / args.rate / 1e6
            line = {"shape": shape, "benchmark": benchmark, "least": round(least, 1), "times": TIMES}
            line |= {name: [round(value, 1), round(least / value, 2)] for name, value in taken.items()}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
