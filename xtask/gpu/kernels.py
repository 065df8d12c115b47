"""Lists the kernels of a PyTorch training step by the time that they take on the GPU.

usage: kernels.py NETWORK BATCH_SIZE benchmark|heuristic [train|infer]

bf16 by autocast, channels-last, fused Adam. Prints the total and a line for each kernel: milliseconds a step, calls a step,
name.
"""

import sys

import torch
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

import networks

STEPS = 3


def main():
    network, batch_size, choice = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    mode = sys.argv[4] if len(sys.argv) > 4 else "train"
    torch.backends.cudnn.benchmark = choice == "benchmark"
    model = networks.build(network).cuda().to(memory_format=torch.channels_last)
    images = torch.randn(networks.shape(network, batch_size), device="cuda")
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(networks.classes(network), (batch_size,), device="cuda")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    model.train(mode == "train")

    def step():
        if mode == "infer":
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
                model(images)
            return
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize()
    rows = [row for row in profiler.key_averages() if row.self_device_time_total > 0]
    rows.sort(key=lambda row: -row.self_device_time_total)
    total = sum(row.self_device_time_total for row in rows) / STEPS / 1e3
    calls = sum(row.count for row in rows) / STEPS
    print(f"{network} {batch_size} {mode}, {choice}: {total:.3f} ms in {calls:.0f} kernels a step")
    for row in rows[:45]:
        print(f"{row.self_device_time_total / STEPS / 1e3:8.3f} {row.count / STEPS:6.1f}  {row.key[:150]}")


if __name__ == "__main__":
    main()
