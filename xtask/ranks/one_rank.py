"""What the code for several ranks costs one alone: two binaries train side by side, a core each, and change places.

    python3 xtask/ranks/one_rank.py OLD NEW [ROUNDS]

Side by side what the machine does meanwhile slows both; every other round they change cores. A run's speed is the median
of its stretches; a round's figure is new by old.
"""

import math
import pathlib
import statistics
import sys
import tempfile

import scaling


def main(old, new, rounds="40"):
    programs = {"old": str(pathlib.Path(old).resolve()), "new": str(pathlib.Path(new).resolve())}
    by_order = [[], []]
    for number in range(int(rounds)):
        swapped = number % 2
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            cores = reversed(range(2)) if swapped else range(2)
            scaling.ended([scaling.train(programs[name], folder, name, core) for name, core in zip(programs, cores)])
            ratio = scaling.speed(folder, "new") / scaling.speed(folder, "old")
        by_order[swapped].append(ratio)
        print(f"round {number + 1}: {ratio:.4f}", flush=True)
    # A round on either core is one pair: what a core is worth falls out.
    pairs = [math.sqrt(one * other) for one, other in zip(*by_order)]
    middle, error = statistics.mean(pairs), statistics.stdev(pairs) / math.sqrt(len(pairs))
    print(f"new by old: mean {middle:.4f} ± {2 * error:.4f} (two standard errors), median {statistics.median(pairs):.4f}, "
          f"{min(pairs):.4f} to {max(pairs):.4f}, n {len(pairs)} pairs of rounds")


if __name__ == "__main__":
    main(*sys.argv[1:])
