"""Computes the step time of more ranks than this project has: the table of docs/measurements/scaling.md.

    python3 xtask/ranks/predict.py SUMMARY.json

SUMMARY.json is what `xception summary --preset xception --json` prints.
"""

import json
import math
import sys

# Fitted by `cargo xtask check-ranks scaling`: the part of a link's speed that all-reduce gets.
SHARE_OF_LINK = 0.96
# Seconds before the first byte of an all-reduce, software on both sides: the measured one of 4 bytes.
OVERHEAD = 150e-6
# One way from machine to machine.
DELAY = 10e-6
# Of a step, what is spent in the backward pass: two products for the forward pass's one.
BACKWARD = 2 / 3
BUCKETS = [1 << 20, 25 << 20]


def buckets(layers):
    """Of each bucket its bytes, and the part of the backward pass after which it is full."""
    whole = sum(layer["macs"] for layer in layers)
    made, done, size = [], 0, 0
    for layer in reversed(layers):
        done += layer["macs"]
        size += 4 * layer["params"]
        if size >= BUCKETS[min(len(made), 1)]:
            made.append((size, done / whole))
            size = 0
    return [*made, (size, 1.0)] if size else made


# One-way delays of an all-reduce: Gloo's ring, two a step as measured here, and a tree's way up and down, NCCL's at best.
WAYS = {"ring": lambda ranks: 4 * (ranks - 1), "tree": lambda ranks: 2 * math.ceil(math.log2(ranks))}


def all_reduce(size, ranks, gbit, way):
    """Seconds."""
    return OVERHEAD + WAYS[way](ranks) * DELAY + 2 * (ranks - 1) / ranks * size * 8 / (SHARE_OF_LINK * gbit * 1e9)


def efficiency(layers, ranks, gbit, step, way):
    """The part of `ranks` times one rank's speed, where a step takes one rank `step` seconds."""
    free = 0.0
    for size, part in buckets(layers):
        ready = step * (1 - BACKWARD + BACKWARD * part)
        free = max(free, ready) + all_reduce(size, ranks, gbit, way)
    return step / max(step, free)


def main(path):
    with open(path, encoding="utf-8") as file:
        layers = json.load(file)["layers"]
    sizes = ", ".join(f"{size / 1e6:.1f} MB at {part:.0%}" for size, part in buckets(layers))
    print(f"buckets and when in the backward pass they are full: {sizes}")
    for step in (0.05, 0.1, 0.2):
        for gbit in (10, 25, 100, 400):
            cells = [[efficiency(layers, ranks, gbit, step, way) for way in WAYS] for ranks in (8, 64, 512)]
            row = " | ".join(f"{ring:.0%}, {tree:.0%}" for ring, tree in cells)
            print(f"| {step * 1e3:.0f} ms | {gbit} | {row} |")


if __name__ == "__main__":
    main(sys.argv[1])
