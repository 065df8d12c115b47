"""Times PyTorch's ways to take a training step or a forward pass, one way after the other.

usage: contenders.py NETWORK BATCH_SIZE train|infer WAY[,WAY…] [--rounds N] [--pixels N]
       [--device cuda|cpu]

The ways: eager, compile, reduce-overhead, graph; with `-nobench` cuDNN chooses its kernels by rule, and not by trying them
all, which takes it 20 to 40 seconds at the start. All compute in bf16 (autocast over fp32 weights in training),
channels-last, with a fused Adam, on a batch that lies on the device already. Prints one line of JSON for each way: the median
of the rounds in milliseconds a step, with the smallest and largest.

On a CPU, for a dry run, nothing is compiled and nothing captured: only the script is tried.
"""

import argparse
import json
import statistics
import time

import torch
from torch.nn.functional import cross_entropy

import networks
from timing import DEVICES, autocast, captured, kind, milliseconds, synchronize

# Seconds that one round should take, and steps before the first.
ROUND = 0.4
WARM_UP = {"cuda": 3, "cpu": 1}


def prepared(way, model, device):
    """The model as `way` calls it."""
    if way not in ("compile", "reduce-overhead"):
        return model
    if device == "cpu":
        return torch.compile(model, backend="eager")
    return torch.compile(model, mode="reduce-overhead" if way == "reduce-overhead" else "default")


def training_step(way, model, images, labels, device):
    """Returns a function that takes one step."""
    model.train()
    graph = way == "graph"
    capturable = graph and device == "cuda"
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=capturable)
    forward = prepared(way, model, device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        # Without the cache of casts, which outlives a capture.
        with autocast(device, cache_enabled=not graph):
            loss = cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    return captured(step, device) if graph else step


def inference_step(way, model, images, device):
    """Returns a function that computes one batch of logits, with weights and images in bf16."""
    model = model.eval().to(kind(device))
    images = images.to(kind(device))
    forward = prepared(way, model, device)

    def step():
        with torch.no_grad():
            forward(images)

    return captured(step, device) if way == "graph" else step


def timed(step, device, rounds):
    """The median, the ends and the number of the rounds."""
    each = milliseconds(step, WARM_UP[device], device)
    steps = max(3, int(ROUND * 1e3 / each)) if device == "cuda" else 1
    times = [milliseconds(step, steps, device) for _ in range(rounds)]
    median = statistics.median(times)
    return {"ms_per_step": median, "smallest": min(times), "largest": max(times), "rounds": rounds, "steps": steps}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("batch_size", type=int)
    parser.add_argument("mode", choices=("train", "infer"))
    parser.add_argument("ways", type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pixels", type=int, help="side of the images, for a dry run")
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    return parser.parse_args()


def main():
    args = arguments()
    device, failed = args.device, False
    shape = networks.shape(args.network, args.batch_size)
    shape = (*shape[:2], args.pixels or shape[2], args.pixels or shape[3])
    images = torch.randn(shape, device=device)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(networks.classes(args.network), (args.batch_size,), device=device)
    for way in args.ways:
        torch._dynamo.reset()
        torch.backends.cudnn.benchmark = not way.endswith("-nobench")
        begun = time.perf_counter()
        model = networks.build(args.network).to(device).to(memory_format=torch.channels_last)
        plain = way.removesuffix("-nobench")
        found = {"network": args.network, "batch_size": args.batch_size, "mode": args.mode, "way": way}
        try:
            step = (
                training_step(plain, model, images, labels, device)
                if args.mode == "train"
                else inference_step(plain, model, images, device)
            )
            for _ in range(WARM_UP[device]):
                step()
            synchronize(device)
            found["start_s"] = round(time.perf_counter() - begun, 2)
            found |= timed(step, device, args.rounds)
            found["img_per_s"] = args.batch_size / found["ms_per_step"] * 1e3
            if device == "cuda":
                found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        except Exception as problem:  # One way that fails must not take the others with it.
            found["failed"] = f"{type(problem).__name__}: {str(problem)[:300]}"
            failed = True
        print(json.dumps(found), flush=True)
        del model
        step = None
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
