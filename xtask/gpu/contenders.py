"""Times PyTorch's ways to take a training step or a forward pass on a CUDA device, one way after the other.

usage: contenders.py NETWORK BATCH_SIZE train|infer WAY[,WAY…] [ROUNDS]

The ways: eager, compile, reduce-overhead, graph; with `-nobench` cuDNN chooses its kernels by rule, and not by trying them
all, which takes it 20 to 40 seconds at the start. All compute in bf16 (autocast over fp32 weights in training),
channels-last, with a fused Adam, on a batch that lies on the device already. Prints one line of JSON for each way: the median
of the rounds in milliseconds a step, between CUDA events, with the smallest and largest.
"""

import json
import statistics
import sys
import time

import torch
from torch.nn.functional import cross_entropy

import networks
from timing import milliseconds

# Seconds that one round should take.
ROUND = 0.4


def prepared(way, model):
    """The model as `way` calls it."""
    if way == "compile":
        return torch.compile(model)
    if way == "reduce-overhead":
        return torch.compile(model, mode="reduce-overhead")
    return model


def training_step(way, model, images, labels):
    """Returns a function that takes one step."""
    model.train()
    captured = way == "graph"
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=captured)
    forward = prepared(way, model)

    def step():
        optimizer.zero_grad(set_to_none=True)
        # Without the cache of casts, which outlives a capture.
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=not captured):
            loss = cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    return replayed(step) if captured else step


def inference_step(way, model, images):
    """Returns a function that computes one batch of logits, with weights and images in bf16."""
    model = model.eval().to(torch.bfloat16)
    images = images.to(torch.bfloat16)
    forward = prepared(way, model)

    def step():
        with torch.no_grad():
            forward(images)

    return replayed(step) if way == "graph" else step


def replayed(step):
    """Records `step` as a CUDA graph after three runs on a side stream; returns its replay."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main():
    network, batch_size, mode, ways = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 5
    shape = networks.shape(network, batch_size)
    images = torch.randn(shape, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(networks.classes(network), (batch_size,), device="cuda")
    for way in ways:
        torch._dynamo.reset()
        torch.backends.cudnn.benchmark = not way.endswith("-nobench")
        begun = time.perf_counter()
        model = networks.build(network).cuda().to(memory_format=torch.channels_last)
        kind = way.removesuffix("-nobench")
        found = {"network": network, "batch_size": batch_size, "mode": mode, "way": way}
        try:
            step = (
                training_step(kind, model, images, labels)
                if mode == "train"
                else inference_step(kind, model, images)
            )
            for _ in range(3):
                step()
            torch.cuda.synchronize()
            found["start_s"] = round(time.perf_counter() - begun, 2)
            each = milliseconds(step, 3)
            steps = max(3, int(ROUND * 1e3 / each))
            times = [milliseconds(step, steps) for _ in range(rounds)]
            median = statistics.median(times)
            found |= {
                "ms_per_step": median,
                "smallest": min(times),
                "largest": max(times),
                "rounds": rounds,
                "img_per_s": batch_size / median * 1e3,
                "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
            }
        except Exception as problem:  # One way that fails must not take the others with it.
            found["failed"] = f"{type(problem).__name__}: {str(problem)[:300]}"
        print(json.dumps(found), flush=True)
        del model
        step = None
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
