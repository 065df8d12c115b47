"""Makes the golden values that the parity tests compare with: one JSON file a network.

    python make_golden.py --seeds DIR --out DIR [--only NAME]
    python make_golden.py --seeds DIR --conditioning [--only NAME]
    python make_golden.py --seeds DIR --search DRAWS [--only NAME]

`--seeds` is the folder of the documents that carry the PyTorch listings; README.md says more.
"""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True  # a run writes nothing but the files that --out names

import torch

from originals import conditioning, layout, measure
from originals.networks import NETWORKS


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", required=True, help="folder of the documents with the listings")
    parser.add_argument("--only", choices=[network.name for network in NETWORKS])
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--out", type=pathlib.Path, help="folder to write the JSON files to")
    task.add_argument(
        "--conditioning", action="store_true", help="print how far float32 is from float64"
    )
    task.add_argument(
        "--search", type=int, metavar="DRAWS", help="look for images far from every kink"
    )
    return parser.parse_args()


def write(network, seeds, out):
    """Writes one network's file under its final name only when it is complete."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{network.name}.json"
    partial = path.with_suffix(".json.partial")
    partial.write_text(layout.dumps(measure.document(network, seeds)) + "\n", encoding="utf-8")
    partial.replace(path)
    print(f"{path}: {path.stat().st_size} bytes")


def main():
    options = arguments()
    # One thread adds in one order: the files come out the same, byte for byte.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for network in NETWORKS:
        if options.only not in (None, network.name):
            continue
        if options.out:
            write(network, options.seeds, options.out)
            continue
        for case in network.cases:
            if options.conditioning:
                print(*conditioning.report(network, options.seeds, case), sep="\n", flush=True)
            else:
                best = conditioning.search(network, options.seeds, case, options.search)[:5]
                text = ", ".join(f"{draw} ({clearance:.2f})" for clearance, draw in best)
                print(f"{network.name} {case.input_name}: best draws (clearance) {text}", flush=True)


if __name__ == "__main__":
    main()
