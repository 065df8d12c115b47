"""torchrun launches a run, restarts it after a rank was killed, and it ends with the weights of an undisturbed one."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import ranks

RESTARTS = 2


def torchrun(xception, folder, arguments, restarts=RESTARTS):
    launcher = pathlib.Path(sys.executable).parent / "torchrun"
    command = [launcher, "--no-python", "--nproc-per-node=2", f"--max-restarts={restarts}", "--monitor-interval=0.1",
               f"--master-port={ranks.free_port()}", xception, "train", *arguments]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=os.environ | {"OMP_NUM_THREADS": "1"})


def rank_of(launcher, rank):
    """The process of a rank, by what torchrun put into its environment."""
    children = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in children:
        if f"RANK={rank}".encode() in pathlib.Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise SystemExit(f"torchrun has no rank {rank}")


def main(xception):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arguments = ranks.run(epochs=4)
        straight = torchrun(xception, folder, [*arguments, "--out", "straight"])
        said, _ = straight.communicate(timeout=300)
        if straight.returncode != 0:
            raise SystemExit(f"torchrun ended with {straight.returncode}:\n{said}")
        for gone in (1, 0):
            out = f"disturbed-{gone}"
            launcher = torchrun(xception, folder, [*arguments, "--out", out])
            while ranks.lines(folder / out / "metrics.jsonl") < 10:
                if launcher.poll() is not None:
                    raise SystemExit(f"torchrun ended ahead of time:\n{launcher.stdout.read()}")
                time.sleep(0.02)
            os.kill(rank_of(launcher, gone), signal.SIGKILL)
            said, _ = launcher.communicate(timeout=300)
            if launcher.returncode != 0 or "of them done" not in said:
                raise SystemExit(f"torchrun ended with {launcher.returncode}:\n{said}")
            same = ranks.weights(folder / out) == ranks.weights(folder / "straight")
            print(f"torchrun: rank {gone} killed, restarted, {'the same' if same else 'OTHER'} weights")
            if not same:
                raise SystemExit(1)
        failing = torchrun(xception, folder, [*arguments, "--out", "failing", "--set", "schedule.peak=1e30"], 0)
        said, _ = failing.communicate(timeout=300)
        if failing.returncode == 0 or "xception: the loss became" not in said.split("Root Cause")[-1]:
            raise SystemExit(f"torchrun does not report our error as the root cause:\n{said}")
        print("torchrun: our error is its root cause")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
