"""Writes CIFAR-10 as PNG files in folders, one class of the training set cut to its first images.

    pip install numpy pillow && python cut_class.py CIFAR_FOLDER OUT CLASS PART
"""

import collections
import pathlib
import sys

import numpy as np
from PIL import Image

source, out, cut, part = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
names = (source / "batches.meta.txt").read_text().split()
files = {"train": [f"data_batch_{n}.bin" for n in range(1, 6)], "test": ["test_batch.bin"]}
for split, of_split in files.items():
    counts = collections.Counter()
    for name in of_split:
        records = np.fromfile(source / name, np.uint8).reshape(-1, 3073)
        for record in records:
            kind = names[record[0]]
            counts[kind] += 1
            if split == "train" and kind == cut and counts[kind] > round(5000 * part):
                continue
            folder = out / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            pixels = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
            Image.fromarray(pixels).save(folder / f"{counts[kind]:04}.png")
