"""Times work on the GPU between CUDA events."""

import statistics

import torch


def milliseconds(work, times=1):
    """The mean time of `times` runs of `work`, one after the other."""
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    for _ in range(times):
        work()
    ended.record()
    ended.synchronize()
    return begun.elapsed_time(ended) / times


def median_milliseconds(work, times):
    """The median time of `times` runs of `work`, after three that do not count."""
    return statistics.median([milliseconds(work) for _ in range(times + 3)][3:])
