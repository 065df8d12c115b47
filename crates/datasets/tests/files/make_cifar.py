"""Writes small files of CIFAR's two versions with the same drawn images, and some that are wrong. Needs numpy.

`python2` is what cPickle of Python 2 writes, which the official files are; Python 3 writes the other protocols.
"""

import pickle
import sys
from pathlib import Path

import numpy

HERE = Path(__file__).parent
# The functions that write as Python 2 does.
sys.path.insert(0, str(HERE.parents[2] / "weight-files/tests/files"))
from make_numpy import python2  # noqa: E402

RECORDS = 3
FINE = [9, 0, 4]
COARSE = [19, 0, 7]


def images():
    """Rows of 3072 bytes: a red plane, a green one and a blue one, each a ramp of its own."""
    rows = [[(7 * record + plane * 85 + place % 171) % 256 for plane in range(3) for place in range(1024)] for record in range(RECORDS)]
    return numpy.array(rows, dtype=numpy.uint8)


def main():
    data = images()
    fine100 = [99, 0, 42]
    ten = {"batch_label": ["training batch 1 of 5"], "labels": FINE, "data": data, "filenames": ["a.png", "b.png", "c.png"]}
    hundred = {"filenames": ["a.png", "b.png", "c.png"], "fine_labels": fine100, "coarse_labels": COARSE, "data": data}
    for name, values in (("cifar10", ten), ("cifar100", hundred)):
        written = python2(values)
        assert (pickle.loads(written, encoding="latin1")["data"] == data).all()
        (HERE / f"{name}-python2.pickle").write_bytes(written)
        for protocol in (2, 4, 5):
            (HERE / f"{name}-protocol{protocol}.pickle").write_bytes(pickle.dumps(values, protocol))
    records = [bytes([label]) + row.tobytes() for label, row in zip(FINE, data)]
    (HERE / "cifar10.bin").write_bytes(b"".join(records))
    records = [bytes(labels) + row.tobytes() for labels, row in zip(zip(COARSE, fine100), data)]
    (HERE / "cifar100.bin").write_bytes(b"".join(records))

    black = numpy.zeros((2, 3072), dtype=numpy.uint8)
    wrong = {
        "beyond": {"data": black, "labels": [9, 10]},
        "negative": {"data": black, "labels": [-1, 0]},
        "shape": {"data": black.reshape(2, 32, 96), "labels": [0, 1]},
        "floats": {"data": numpy.zeros((2, 3), dtype=numpy.float32), "labels": [0, 1]},
        "list": {"data": [0, 1], "labels": [0, 1]},
        "nothing": {"filenames": ["a.png"]},
        "coarse": {"data": black, "coarse_labels": [0, 20], "fine_labels": [0, 99]},
    }
    for name, values in wrong.items():
        (HERE / f"cifar-{name}.pickle").write_bytes(pickle.dumps(values, 4))


if __name__ == "__main__":
    main()
