"""Describes the machine that a campaign runs on, for the provenance of its figures, and checks that programs would start.

usage: machine.py [--device cuda|cpu] [PROGRAM…]

Prints one line of JSON. Fails where a shared library of a program is missing, or where there is no GPU to measure.
"""

import argparse
import json
import os
import platform
import subprocess

import torch

from timing import DEVICES

QUERY = "name,driver_version,memory.total,clocks.max.sm,power.limit"


def gpu():
    """What nvidia-smi says of the first GPU; nothing where there is none."""
    try:
        command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    return dict(zip(QUERY.split(","), (value.strip() for value in lines[0].split(",")))) | {"count": len(lines)}


def missing(program):
    """The shared libraries of a program that the loader does not find."""
    found = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return [line.split()[0] for line in found.stdout.splitlines() if "not found" in line]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    lost = {program: missing(program) for program in args.programs}
    lost = {program: libraries for program, libraries in lost.items() if libraries}
    card = gpu()
    found = {
        "gpu": card,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "missing_libraries": lost,
    }
    print(json.dumps(found))
    if lost:
        return "these programs would not start: another version of PyTorch than the one that the kit was built for?"
    if args.device == "cuda" and not (card and torch.cuda.is_available()):
        return "no GPU that PyTorch can use: nvidia-smi or torch.cuda.is_available() finds none"
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
