"""Times work on the device: between CUDA events on a GPU, by the clock on a CPU, where a dry run measures nothing."""

import statistics
import time

import torch

DEVICES = ("cuda", "cpu")


def autocast(device, **options):
    """bf16 for what it is good for. Not on a CPU, which computes depthwise convolutions in bf16 channel by channel."""
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda", **options)


def kind(device):
    """The numbers of a network without weights to be trained: bf16, on a CPU fp32."""
    return torch.bfloat16 if device == "cuda" else torch.float32


def milliseconds(work, times=1, device="cuda"):
    """The mean time of `times` runs of `work`, one after the other."""
    if device == "cpu":
        started = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - started) * 1e3 / times
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    for _ in range(times):
        work()
    ended.record()
    ended.synchronize()
    return begun.elapsed_time(ended) / times


def median_milliseconds(work, times, device="cuda"):
    """The median time of `times` runs of `work`, after three that do not count."""
    return statistics.median([milliseconds(work, 1, device) for _ in range(times + 3)][3:])


def synchronize(device):
    """Waits for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def captured(step, device):
    """Records `step` as a CUDA graph after three runs on a side stream; returns its replay. On a CPU, `step` itself."""
    if device == "cpu":
        return step
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
