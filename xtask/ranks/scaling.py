"""What ranks cost: one and two on this machine, and all-reduce over cables of known speed and delay."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import machines
import ranks
import slow_cable

ROUNDS = 5
SIZES = [4, 4_096, 65_536, 1 << 20, 4 << 20, 16 << 20, 64 << 20]
MBIT = [100, 1_000, 10_000]
DELAYS = [0, 1, 5]


def speed(folder, name):
    """Images a second over the run but for its first lines."""
    lines = [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(line["perf/images_per_s"] for line in lines[3:] if "perf/images_per_s" in line)


def train(xception, folder, name, core, port=None):
    """One rank alone on a core, or with a port one of two."""
    arguments = ["--data", "synthetic", "--out", name, "--set", "epochs=1", "--set", "log_every=5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if port is not None:
        environment |= {"RANK": str(core), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = ["taskset", "-c", str(core), xception, "-q", "train", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def ended(processes):
    for process in processes:
        if process.wait() != 0:
            raise SystemExit(f"a rank ended with {process.returncode}")


def one_and_two(xception):
    """Images a second: one rank, two that know nothing of each other, two ranks."""
    results = {"one": [], "apart": [], "together": []}
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            ended([train(xception, folder, "one", 0)])
            results["one"].append(speed(folder, "one"))
            ended([train(xception, folder, f"apart-{core}", core) for core in (0, 1)])
            results["apart"].append(speed(folder, "apart-0") + speed(folder, "apart-1"))
            port = ranks.free_port()
            ended([train(xception, folder, "together", core, port) for core in (0, 1)])
            results["together"].append(speed(folder, "together"))
        print(f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.0f}" for name, values in results.items()), flush=True)
    one = results["one"]
    for name in ("apart", "together"):
        ratios = [value / (2 * base) for value, base in zip(results[name], one)]
        print(f"{name}: {statistics.median(ratios):.3f} of two alone ({min(ratios):.3f} to {max(ratios):.3f}, n {len(ratios)})")


def all_reduce(program, addresses, sizes, rounds):
    """Median seconds by bytes."""
    port = ranks.free_port()
    def rank(number):
        words = [program, number, 2, addresses[0], port, addresses[number], rounds, *sizes]
        return subprocess.Popen(machines.inside(number, *map(str, words)), text=True, stdout=subprocess.PIPE)
    pair = [rank(0), rank(1)]
    said, _ = pair[0].communicate(timeout=600)
    ended(pair)
    return {int(line.split()[0]): [float(word) for word in line.split()[1:]] for line in said.splitlines()}


def show(name, times):
    for size, seconds in times.items():
        middle = statistics.median(seconds)
        print(f"{name}: {size} bytes {middle * 1e3:.3f} ms ({min(seconds) * 1e3:.3f} to {max(seconds) * 1e3:.3f}, n {len(seconds)})", flush=True)


def main(xception, program):
    one_and_two(xception)
    with machines.two_machines():
        for mbit in [0, *reversed(MBIT)]:
            machines.limit(mbit)
            most = 16 << 20 if mbit == 100 else 64 << 20
            sizes = [size for size in SIZES if size <= most]
            show(f"{mbit or 'unlimited'} Mbit/s" , all_reduce(program, machines.ADDRESSES, sizes, 7))
        machines.limit(0)
        for delay in DELAYS:
            cable = subprocess.Popen([sys.executable, slow_cable.__file__, str(delay)], text=True, stdout=subprocess.PIPE)
            try:
                assert cable.stdout.readline() == "ready\n"
                show(f"delay {delay} ms", all_reduce(program, slow_cable.ADDRESSES, SIZES[:5], 7))
            finally:
                cable.kill()
                cable.wait()


if __name__ == "__main__":
    main(*(str(pathlib.Path(path).resolve()) for path in sys.argv[1:]))
