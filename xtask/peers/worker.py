"""Times one contender of `cargo xtask peers`, a round for every line on stdin.

Speaks as `xception bench --on-request` does: builds its network, warms up, prints a line of JSON
with `"ready": true`, then answers each line on stdin with `{"ms_per_step", "steps"}`, and ends
with stdin. A round is a step that does not count, for caches and memory that others had in the
meantime, and then the steps that do. Whatever libraries print goes to stderr.
"""

import argparse
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable

WARM_UP = 3
"""Fewest steps before the first round: the first ones compile, allocate and choose kernels."""


def parse() -> argparse.Namespace:
    """The command line, all of which `cargo xtask peers` fills in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runtime", choices=["eager", "compile", "onnxruntime", "openvino"], required=True
    )
    parser.add_argument("--mode", choices=["train", "infer"], required=True)
    parser.add_argument("--network", choices=["notebook-cifar10", "xception"], required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--precision", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--layout", choices=["nchw", "channels_last"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds-per-round", type=float, required=True)
    parser.add_argument("--onnx", help="where the exported network is, or is to be", required=True)
    return parser.parse_args()


def timed(step: Callable[[], object], steps: int) -> float:
    """The seconds that `steps` steps take."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - started


def give_back_memory() -> None:
    """Returns what is free to the system: ten contenders wait, and one machine holds them all."""
    ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """Warms up, then answers until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    arguments = parse()
    if arguments.runtime in ("eager", "compile"):
        import pytorch

        step, versions = pytorch.prepare(arguments), pytorch.versions()
    else:
        import onnx_runtimes

        step = onnx_runtimes.prepare(arguments)
        versions = onnx_runtimes.versions(arguments.runtime)

    seconds = arguments.seconds_per_round
    last = timed(step, WARM_UP) / WARM_UP
    spent = 0.0
    while spent < seconds:
        last = timed(step, 1)
        spent += last
    steps = max(1, round(seconds / last))
    give_back_memory()
    ready = {"ready": True, "precision": arguments.precision, "threads": arguments.threads}
    print(json.dumps(ready | {"versions": versions, "steps_per_round": steps}), file=answers)
    for _ in sys.stdin:
        timed(step, 1)
        milliseconds = timed(step, steps) * 1e3 / steps
        give_back_memory()
        print(json.dumps({"ms_per_step": milliseconds, "steps": steps}), file=answers)


if __name__ == "__main__":
    main()
