"""Ranks are killed, stopped and cut off at random moments: the others name them in time, and nothing is lost."""

import argparse
import pathlib
import random
import re
import signal
import tempfile
import time

import machines
import ranks

PATIENCE = 10


def start(xception, folder, arguments):
    port = ranks.free_port()
    return [ranks.Rank(folder, machines.inside(rank, xception), rank, machines.ADDRESSES[0], port, arguments)
            for rank in (0, 1)]


def finish(pair):
    for rank in pair:
        if rank.ends_within(900) is None or rank.process.returncode != 0:
            raise SystemExit(f"rank {rank.rank} ended with {rank.process.returncode}:\n{rank.said()}")


def disturb(pair, fault, gone):
    """Does it; those who have to notice."""
    if fault == "cut":
        machines.plug_in(False)
        return pair
    pair[gone].signal({"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[fault])
    return [pair[1 - gone]]


def trial(xception, folder, arguments, fault, gone, pause):
    """One fault; how long it took the others to leave."""
    run = folder / "run"
    logged = ranks.lines(run / "metrics.jsonl")
    before = ranks.newest_checkpoint(run)
    pair = start(xception, folder, arguments)
    patience = time.monotonic() + 60
    while ranks.lines(run / "metrics.jsonl") <= logged:
        if time.monotonic() > patience or any(rank.process.poll() is not None for rank in pair):
            raise SystemExit(f"the run does not go on:\n{pair[0].said()}\n{pair[1].said()}")
        time.sleep(0.005)
        logged = min(logged, ranks.lines(run / "metrics.jsonl"))
    done = re.search(r"(\d+) of them done", pair[0].said())
    if before and (done is None or int(done[1]) < before):
        raise SystemExit(f"a checkpoint after step {before} was lost:\n{pair[0].said()}")
    time.sleep(pause)
    if any(rank.process.poll() is not None for rank in pair):
        raise SystemExit("the run was over; take more epochs")
    watchers = disturb(pair, fault, gone)
    begun = time.monotonic()
    slowest = 0.0
    for rank in watchers:
        if rank.ends_within(PATIENCE - (time.monotonic() - begun)) is None:
            raise SystemExit(f"{fault} {gone}: rank {rank.rank} hangs:\n{rank.said()}")
        slowest = max(slowest, time.monotonic() - begun)
        named = f"rank {1 - rank.rank} of 2" in rank.said()
        if rank.process.returncode != 7 or not named:
            raise SystemExit(f"{fault} {gone}: rank {rank.rank} ended with {rank.process.returncode}:\n{rank.said()}")
    for rank in pair:
        rank.end()
    machines.plug_in(True)
    return slowest


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("xception", type=pathlib.Path)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    xception = options.xception.resolve()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, machines.two_machines():
        folder = pathlib.Path(folder)
        arguments = ranks.run(epochs=3 * options.trials)
        finish(start(xception, folder, [*arguments, "--out", "straight"]))
        times = {"kill": [], "stop": [], "cut": []}
        for number in range(options.trials):
            fault = list(times)[number % 3]
            gone = draw.randrange(2)
            begins = [*arguments, "--out", "run"] if number == 0 else ["--resume", "run"]
            seconds = trial(xception, folder, begins, fault, gone, draw.uniform(0, 1.5))
            times[fault].append(seconds)
            print(f"trial {number + 1:>2}: {fault} {gone}: named after {seconds:.1f} s", flush=True)
        finish(start(xception, folder, ["--resume", "run"]))
        same = ranks.weights(folder / "run") == ranks.weights(folder / "straight")
        for fault, seconds in times.items():
            if seconds:
                print(f"{fault}: {len(seconds)} trials, {min(seconds):.1f} to {max(seconds):.1f} s")
        print(f"after {options.trials} faults: {'the same' if same else 'OTHER'} weights as without")
        raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
