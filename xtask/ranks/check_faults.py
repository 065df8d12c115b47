"""Ranks are killed, stopped and cut off at random moments: the others name them in time, and nothing is lost.

Every fifth fault comes while the ranks start. Who waits then for somebody that did not come yet may do so; with the fault
mended the run continues.
"""

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


def start_rank(xception, folder, number, port, arguments):
    return ranks.Rank(folder, machines.inside(number, xception), number, machines.ADDRESSES[0], port, arguments)


def start(xception, folder, arguments, port=None):
    port = port or ranks.free_port()
    return [start_rank(xception, folder, number, port, arguments) for number in (0, 1)]


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


def goes_on(pair, run, logged):
    """Waits until the run logs more than `logged` steps."""
    patience = time.monotonic() + 60
    while ranks.lines(run / "metrics.jsonl") <= logged:
        if time.monotonic() > patience or any(rank.process.poll() is not None for rank in pair):
            raise SystemExit(f"the run does not continue:\n{pair[0].said()}\n{pair[1].said()}")
        time.sleep(0.005)
        # A run that resumes cuts its log back to its checkpoint first.
        logged = min(logged, ranks.lines(run / "metrics.jsonl"))


def leaves(rank, what, patience):
    """Seconds until it left; it must say whom for, and with which code."""
    seconds = rank.ends_within(patience)
    if seconds is None:
        raise SystemExit(f"{what}: rank {rank.rank} hangs:\n{rank.said()}")
    named = f"rank {1 - rank.rank} of 2" in rank.said()
    if rank.process.returncode != 7 or not named:
        raise SystemExit(f"{what}: rank {rank.rank} ended with {rank.process.returncode}:\n{rank.said()}")
    return seconds


def trial(xception, folder, arguments, fault, gone, pause):
    """A fault in the middle of training; how long it took the others to leave."""
    run = folder / "run"
    logged = ranks.lines(run / "metrics.jsonl")
    before = ranks.newest_checkpoint(run)
    pair = start(xception, folder, arguments)
    goes_on(pair, run, logged)
    done = re.search(r"(\d+) of them done", pair[0].said())
    if before and (done is None or int(done[1]) < before):
        raise SystemExit(f"a checkpoint after step {before} was lost:\n{pair[0].said()}")
    time.sleep(pause)
    if any(rank.process.poll() is not None for rank in pair):
        raise SystemExit("the run was over; take more epochs")
    watchers = disturb(pair, fault, gone)
    begun = time.monotonic()
    for rank in watchers:
        leaves(rank, f"{fault} {gone}", PATIENCE - (time.monotonic() - begun))
    slowest = time.monotonic() - begun
    for rank in pair:
        rank.end()
    machines.plug_in(True)
    return slowest


def trial_at_start(xception, folder, arguments, fault, gone, pause):
    """A fault while the ranks start; how long it took the others to leave, or None if they wait and the run continues."""
    run = folder / "run"
    logged = ranks.lines(run / "metrics.jsonl")
    port = ranks.free_port()
    pair = start(xception, folder, arguments, port)
    time.sleep(pause)
    watchers = disturb(pair, fault, gone)
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE and any(watcher.process.poll() is None for watcher in watchers):
        time.sleep(0.01)
    left = [watcher for watcher in watchers if watcher.process.poll() is not None]
    seconds = None
    if left:
        for watcher in watchers:
            seconds = leaves(watcher, f"{fault} {gone} at the start", 0.1)
        seconds = time.monotonic() - begun
    elif any("met at" in watcher.said() for watcher in watchers):
        raise SystemExit(f"{fault} {gone} at the start: the others hang:\n{watchers[0].said()}")
    machines.plug_in(True)
    if seconds is None:
        # They wait for who did not come: the rank comes late.
        if fault == "kill":
            pair[gone].end()
            pair[gone] = start_rank(xception, folder, gone, port, arguments)
        elif fault == "stop":
            pair[gone].signal(signal.SIGCONT)
        goes_on(pair, run, logged)
    for one in pair:
        one.end()
    return seconds


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
        at_start = []
        for number in range(options.trials):
            fault = list(times)[number % 3]
            gone = draw.randrange(2)
            begins = [*arguments, "--out", "run"] if number == 0 else ["--resume", "run"]
            if number % 5 == 4:
                seconds = trial_at_start(xception, folder, begins, fault, gone, draw.uniform(0, 0.6))
                at_start.append(seconds)
                what = "waited for" if seconds is None else f"named after {seconds:.1f} s"
                print(f"trial {number + 1:>2}: {fault} {gone} at the start: {what}", flush=True)
                continue
            seconds = trial(xception, folder, begins, fault, gone, draw.uniform(0, 1.5))
            times[fault].append(seconds)
            print(f"trial {number + 1:>2}: {fault} {gone}: named after {seconds:.1f} s", flush=True)
        finish(start(xception, folder, ["--resume", "run"]))
        same = ranks.weights(folder / "run") == ranks.weights(folder / "straight")
        for fault, seconds in times.items():
            if seconds:
                print(f"{fault}: {len(seconds)} trials, {min(seconds):.1f} to {max(seconds):.1f} s")
        named = [seconds for seconds in at_start if seconds is not None]
        print(f"at the start: {len(at_start)} trials, {len(named)} named within {max(named, default=0):.1f} s, the others waited")
        print(f"after {options.trials} faults: {'the same' if same else 'OTHER'} weights as without")
        raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
