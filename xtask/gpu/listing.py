"""Trains the CIFAR-10 notebook's network as its listing does, but fast: PyTorch with the step as a captured CUDA graph.

usage: listing.py FOLDER_OF_BIN_FILES SEED [--epochs N] [--steps N] [--device cuda|cpu]

As in the notebook: batches of 16, Adam at 0.001, 10 epochs, random crops after padding by 4, flips both ways, and the same
changes to the test set. Unlike it: bf16 by autocast, channels-last, and the images lie on the device, where they are also
changed, so that nothing waits for a loader. Prints one line of JSON. `--steps` shortens an epoch and the test,
for a dry run; without the files, a dry run draws its images.
"""

import argparse
import json
import time
from pathlib import Path

import numpy
import torch
from torch.nn.functional import cross_entropy, pad

import networks
from timing import DEVICES, autocast, captured, synchronize

BATCH, PADDING, SIDE, RECORD = 16, 4, 32, 3073
TRAINING = [f"data_batch_{number}.bin" for number in range(1, 6)]
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)


def load(folder, names, device):
    """Images as bytes `[n, 3, 32, 32]`, and labels."""
    if not folder.exists() and device == "cpu":
        return torch.randint(256, (4 * BATCH, 3, SIDE, SIDE), dtype=torch.uint8), torch.randint(10, (4 * BATCH,))
    raw = numpy.concatenate([numpy.fromfile(folder / name, numpy.uint8) for name in names]).reshape(-1, RECORD)
    images = torch.from_numpy(raw[:, 1:].reshape(-1, 3, SIDE, SIDE)).to(device)
    return images, torch.from_numpy(raw[:, 0].astype(numpy.int64)).to(device)


def changed(images):
    """`images` cropped at random after padding by zeros, flipped both ways with a chance of a half, and normalised."""
    n, device = len(images), images.device
    padded = pad(images, [PADDING] * 4)
    top, left = (torch.randint(2 * PADDING + 1, (n, 1), device=device) for _ in range(2))
    side = torch.arange(SIDE, device=device)
    flipped = torch.rand(2, n, 1, device=device) < 0.5
    rows = torch.where(flipped[0], SIDE - 1 - side, side) + top
    columns = torch.where(flipped[1], SIDE - 1 - side, side) + left
    at = torch.arange(n, device=device)[:, None, None]
    crops = padded.permute(0, 2, 3, 1)[at, rows[:, :, None], columns[:, None, :]]
    mean, std = (torch.tensor(each, device=device) for each in (MEAN, STD))
    # Stored as [n, h, w, 3], which seen as [n, 3, h, w] is channels-last.
    return ((crops.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def accuracy(model, images, labels, device):
    """The part of the images whose largest logit is the label's."""
    model.eval()
    right = 0
    with torch.no_grad(), autocast(device):
        for start in range(0, len(images), 250):
            logits = model(changed(images[start : start + 250]))
            right += (logits.argmax(1) == labels[start : start + 250]).sum().item()
    return right / len(images)


def train(model, images, labels, args):
    """Trains `model`; returns the loss of the last step."""
    device = args.device
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=device == "cuda")
    batch = torch.empty(BATCH, 3, SIDE, SIDE, device=device).to(memory_format=torch.channels_last)
    wanted = torch.empty(BATCH, dtype=torch.int64, device=device)
    loss = torch.zeros((), device=device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast(device, cache_enabled=False):
            found = cross_entropy(model(batch), wanted)
        found.backward()
        optimizer.step()
        loss.copy_(found.detach())

    replay = None
    for _ in range(args.epochs):
        model.train()
        order = torch.randperm(len(images), device=device)
        for number in range(min(len(images) // BATCH, args.steps or len(images))):
            chosen = order[number * BATCH : (number + 1) * BATCH]
            batch.copy_(changed(images[chosen]))
            wanted.copy_(labels[chosen])
            replay = replay or captured(step, device)
            replay()
    return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    args = parser.parse_args()
    started = time.perf_counter()
    # The network's builder sets a seed of its own, so this one decides order and changes only after it.
    model = networks.build("notebook-cifar10")
    torch.manual_seed(args.seed)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    model = model.to(args.device).to(memory_format=torch.channels_last)
    images, labels = load(args.folder, TRAINING, args.device)
    begun = time.perf_counter()
    loss = train(model, images, labels, args)
    synchronize(args.device)
    seconds = time.perf_counter() - begun
    images, labels = load(args.folder, ["test_batch.bin"], args.device)
    if args.steps:
        images, labels = images[: args.steps * BATCH], labels[: args.steps * BATCH]
    found = {"recipe": "notebook", "program": "pytorch-graph", "seed": args.seed, "epochs": args.epochs}
    found |= {"train_seconds": seconds, "last_loss": loss, "top1": accuracy(model, images, labels, args.device)}
    found["seconds"] = time.perf_counter() - started
    print(json.dumps(found))


if __name__ == "__main__":
    main()
