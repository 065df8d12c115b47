"""Lists the kernels of a PyTorch training step by the time that they take on the GPU.

usage: kernels.py NETWORK BATCH_SIZE benchmark|heuristic [train|infer] [--pixels N] [--device cuda|cpu]

bf16 by autocast, channels-last, fused Adam. Prints one line of JSON: the total, and for each kernel its milliseconds a step,
calls a step and name. On a CPU, for a dry run, they are libtorch's operators.
"""

import argparse
import json

import torch
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

import networks
from timing import DEVICES, autocast, synchronize

# Steps that are profiled.
STEPS = {"cuda": 3, "cpu": 1}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("batch_size", type=int)
    parser.add_argument("choice", choices=("benchmark", "heuristic"))
    parser.add_argument("mode", choices=("train", "infer"), nargs="?", default="train")
    parser.add_argument("--pixels", type=int, help="side of the images, for a dry run")
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    return parser.parse_args()


def main():
    args = arguments()
    device, steps = args.device, STEPS[args.device]
    torch.backends.cudnn.benchmark = args.choice == "benchmark"
    model = networks.build(args.network).to(device).to(memory_format=torch.channels_last)
    shape = networks.shape(args.network, args.batch_size)
    shape = (*shape[:2], args.pixels or shape[2], args.pixels or shape[3])
    images = torch.randn(shape, device=device)
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(networks.classes(args.network), (args.batch_size,), device=device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    model.train(args.mode == "train")

    def step():
        if args.mode == "infer":
            with torch.no_grad(), autocast(device):
                model(images)
            return
        optimizer.zero_grad(set_to_none=True)
        with autocast(device):
            loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    for _ in range(steps):
        step()
    synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA if device == "cuda" else ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
        synchronize(device)
    time_of = f"self_{'device' if device == 'cuda' else 'cpu'}_time_total"
    averages = profiler.key_averages()
    rows = [(getattr(row, time_of) / steps / 1e3, row.count / steps, row.key[:150]) for row in averages]
    rows = sorted((row for row in rows if row[0] > 0), reverse=True)
    found = {"network": args.network, "batch_size": args.batch_size, "mode": args.mode, "choice": args.choice}
    found["ms_per_step"] = sum(row[0] for row in rows)
    found["kernels_per_step"] = sum(row[1] for row in rows)
    found["kernels"] = rows[:45]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
