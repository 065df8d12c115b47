"""Ranks of `xception train` as processes: started, watched, disturbed."""

import hashlib
import os
import pathlib
import random
import re
import subprocess
import time

NETWORK = "model.scale={ width = 0.05, middle_modules = 0, stem_stride = 2, entry_strides = [2, 1, 1] }"


def run(epochs):
    """The arguments of a run of a second an epoch."""
    return ["--data", "synthetic", "--set", f"epochs={epochs}", "--set", "batch_size=64", "--set", "log_every=10",
            "--set", "checkpoints.every_minutes=0.005", "--set", NETWORK]


class Rank:
    """A rank that writes what it says to a file."""

    def __init__(self, folder, command, rank, address, port, arguments):
        variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": address, "MASTER_PORT": port,
                     "OMP_NUM_THREADS": 1}
        environment = os.environ | {name: str(value) for name, value in variables.items()}
        self.rank = rank
        self.path = folder / f"rank-{rank}.txt"
        with self.path.open("w") as output:
            self.process = subprocess.Popen([*command, "train", *arguments], cwd=folder, env=environment,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def said(self):
        return self.path.read_text()

    def signal(self, number):
        self.process.send_signal(number)

    def ends_within(self, seconds):
        """Seconds until it ended; None if it did not."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            if self.process.poll() is not None:
                return time.monotonic() - start
            time.sleep(0.01)
        return None

    def end(self):
        self.process.kill()
        self.process.wait()


def free_port():
    return random.randint(20_000, 59_999)


def lines(path):
    """Steps that are logged so far."""
    try:
        return path.read_text().count("\n")
    except FileNotFoundError:
        return 0


def weights(folder):
    return hashlib.sha256((folder / "last.safetensors").read_bytes()).hexdigest()


def newest_checkpoint(folder):
    """The step of the newest complete checkpoint; 0 without one."""
    names = [path.name for path in pathlib.Path(folder, "checkpoints").glob("step-*")]
    return max((int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name)), default=0)
