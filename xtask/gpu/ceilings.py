"""Measures what this GPU can do at most: bytes copied a second (read and written), and bf16 products a second.

usage: ceilings.py [--device cuda|cpu]

Prints one line of JSON.
"""

import argparse
import json

import torch

from timing import DEVICES, median_milliseconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    device = parser.parse_args().device
    elements, side, times = (1 << 29, 8192, 20) if device == "cuda" else (1 << 16, 64, 1)
    source = torch.randn(elements, device=device)
    target = torch.empty_like(source)
    copied = median_milliseconds(lambda: target.copy_(source), times, device)
    del source, target
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = median_milliseconds(lambda: left @ right, times, device)
    print(
        json.dumps(
            {
                "copy_tb_per_s": 2 * 4 * elements / copied / 1e9,
                "bf16_tflop_per_s": 2 * side**3 / product / 1e9,
                "times": times,
            }
        )
    )


if __name__ == "__main__":
    main()
