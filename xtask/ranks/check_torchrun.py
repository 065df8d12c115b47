"""torchrun launches a run, restarts it after a rank was killed, and it ends with the weights of an undisturbed one.

On one machine, and as root on two, whose torchruns find each other by c10d's rendezvous: there each counts its own restarts.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import machines
import ranks

RESTARTS = 2


def start(folder, shape, program, xception, arguments, restarts):
    command = [*program, pathlib.Path(sys.executable).parent / "torchrun", "--no-python", "--nproc-per-node=%d" % shape[0],
               f"--max-restarts={restarts}", "--monitor-interval=0.1", *shape[1:], xception, "train", *arguments]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=os.environ | {"OMP_NUM_THREADS": "1"})


def on_one_machine(xception, folder, arguments, restarts=RESTARTS):
    """Two ranks of one torchrun."""
    shape = [2, f"--master-port={ranks.free_port()}"]
    return [start(folder, shape, [], xception, arguments, restarts)]


def on_two_machines(xception, folder, arguments, restarts=RESTARTS):
    """A torchrun with a rank on each machine."""
    endpoint = f"{machines.ADDRESSES[0]}:{ranks.free_port()}"
    def launcher(machine):
        shape = [1, "--nnodes=2", "--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}", f"--rdzv-id={folder.name}",
                 f"--rdzv-conf=is_host={int(machine == 0)}", f"--local-addr={machines.ADDRESSES[machine]}"]
        return start(folder, shape, machines.inside(machine), xception, arguments, restarts)
    return [launcher(0), launcher(1)]


def rank_of(launchers, rank):
    """The process of a rank, by what torchrun put into its environment."""
    for launcher in launchers:
        children = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
        for child in children:
            if f"RANK={rank}".encode() in pathlib.Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
    raise SystemExit(f"torchrun has no rank {rank}")


def wait_for(launchers, metrics, count):
    while ranks.lines(metrics) < count:
        if any(launcher.poll() is not None for launcher in launchers):
            raise SystemExit("torchrun ended early:\n" + "".join(texts(launchers)))
        time.sleep(0.02)


def texts(launchers):
    return [launcher.communicate(timeout=300)[0] for launcher in launchers]


def finish(launchers):
    """What they said."""
    said = "".join(texts(launchers))
    codes = [launcher.returncode for launcher in launchers]
    if any(codes):
        raise SystemExit(f"torchrun ended with {codes}:\n{said}")
    return said


def disturb(launch, xception, folder, arguments, straight, kills):
    """Kills ranks one after the other; the run must end as if nothing had been."""
    out = f"{launch.__name__}-{'-'.join(map(str, kills))}"
    launchers = launch(xception, folder, [*arguments, "--out", out])
    for number, rank in enumerate(kills):
        wait_for(launchers, folder / out / "metrics.jsonl", 10 * (number + 1))
        os.kill(rank_of(launchers, rank), signal.SIGKILL)
        # Cut back when the run resumes.
        time.sleep(1)
    said = finish(launchers)
    same = ranks.weights(folder / out) == straight and "of them done" in said
    print(f"torchrun {launch.__name__.replace('_', ' ')}: ranks {kills} killed, restarted, "
          f"{'the same' if same else 'OTHER'} weights", flush=True)
    if not same:
        raise SystemExit(said)


def main(xception):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        arguments = ranks.run(epochs=4)
        finish(on_one_machine(xception, folder, [*arguments, "--out", "straight"]))
        straight = ranks.weights(folder / "straight")
        for gone in (1, 0):
            disturb(on_one_machine, xception, folder, arguments, straight, [gone])
        failing = on_one_machine(xception, folder, [*arguments, "--out", "failing", "--set", "schedule.peak=1e30"], 0)
        said = "".join(texts(failing))
        if failing[0].returncode == 0 or "xception: the loss became" not in said.split("Root Cause")[-1]:
            raise SystemExit(f"torchrun does not report our error as the root cause:\n{said}")
        # Of one rank: that the other left because of it, and maybe earlier, is not the cause.
        odd = folder / "odd"
        odd.write_text(f'#!/bin/sh\n[ "$RANK" = 1 ] && set -- "$@" --set seed=3\nexec {xception} "$@"\n')
        odd.chmod(0o755)
        failing = on_one_machine(odd, folder, [*arguments, "--out", "failing"], 0)
        said = "".join(texts(failing))
        if failing[0].returncode == 0 or "recipe.seed: on rank 0 it is 0, here 3" not in said.split("Root Cause")[-1]:
            raise SystemExit(f"torchrun takes another rank for the root cause:\n{said}")
        print("torchrun: our error is its root cause", flush=True)
        if os.geteuid() != 0:
            print("torchrun on two machines: not tried, network namespaces need root")
            return
        with machines.two_machines():
            # The rank of the second machine, then whoever is rank 0: their torchruns count restarts apart.
            for kills in ([1], [0], [1, 0]):
                disturb(on_two_machines, xception, folder, arguments, straight, kills)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
