"""CIFAR-10 as lossless WebP mosaics, half the size of its files, and back.

usage: mosaics.py pack FOLDER_OF_BIN_FILES FOLDER      mosaics that are there are kept
       mosaics.py restore FOLDER_OF_BIN_FILES PART…    the folder's files, divided among parts; compares the sums

The folder also has the labels and `sha256`, the sums of the files that are restored.
"""

import hashlib
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy
from PIL import Image

FILES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
RECORD, SIDE, ACROSS = 3073, 32, 32
PER_MOSAIC = ACROSS * ACROSS


def pixels(data):
    """`[n, 32, 32, 3]` of the records of a file."""
    return data.reshape(-1, RECORD)[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def encode(job):
    images, path = job
    room = numpy.zeros((PER_MOSAIC, SIDE, SIDE, 3), numpy.uint8)
    room[: len(images)] = images
    grid = room.reshape(ACROSS, ACROSS, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
    whole = grid.reshape(ACROSS * SIDE, ACROSS * SIDE, 3)
    incomplete = path.with_suffix(".incomplete")
    Image.fromarray(whole).save(incomplete, "webp", lossless=True, quality=60, method=4, exact=True)
    os.replace(incomplete, path)


def decode(path):
    whole = numpy.asarray(Image.open(path).convert("RGB"))
    grid = whole.reshape(ACROSS, SIDE, ACROSS, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(PER_MOSAIC, SIDE, SIDE, 3)


def find(parts, name):
    """The path of a file that one of the parts has."""
    for part in parts:
        if (part / name).exists():
            return part / name
    sys.exit(f"{name} is not in {', '.join(map(str, parts))}: every part of the data must have been carried")


def pack(source, folders):
    folder, jobs, sums = folders[0], [], []
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        raw = (source / name).read_bytes()
        sums.append(f"{hashlib.sha256(raw).hexdigest()}  {name}\n")
        data = numpy.frombuffer(raw, numpy.uint8)
        (folder / f"{name}.labels").write_bytes(data.reshape(-1, RECORD)[:, 0].tobytes())
        images = pixels(data)
        for start in range(0, len(images), PER_MOSAIC):
            path = folder / f"{name}.{start // PER_MOSAIC:02}.webp"
            if not path.exists():
                jobs.append((images[start : start + PER_MOSAIC], path))
    (folder / "sha256").write_text("".join(sums))
    with ProcessPoolExecutor() as pool:
        list(pool.map(encode, jobs))


def restore(target, parts):
    target.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for line in find(parts, "sha256").read_text().splitlines():
            wanted, name = line.split()
            labels = numpy.frombuffer(find(parts, f"{name}.labels").read_bytes(), numpy.uint8)
            count = -(-len(labels) // PER_MOSAIC)
            images = pool.map(decode, [find(parts, f"{name}.{number:02}.webp") for number in range(count)])
            images = numpy.concatenate(list(images))
            records = numpy.empty((len(labels), RECORD), numpy.uint8)
            records[:, 0] = labels
            planes = images[: len(labels)].transpose(0, 3, 1, 2)
            records[:, 1:] = planes.reshape(len(labels), -1)
            raw = records.tobytes()
            found = hashlib.sha256(raw).hexdigest()
            if found != wanted:
                sys.exit(f"{name} has the sha256 {found}, expected {wanted}: make the kit again")
            (target / name).write_bytes(raw)


if __name__ == "__main__":
    {"pack": pack, "restore": restore}[sys.argv[1]](Path(sys.argv[2]), [Path(part) for part in sys.argv[3:]])
