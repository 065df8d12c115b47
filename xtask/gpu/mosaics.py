"""CIFAR-10 as lossless WebP mosaics in two parts, small enough to be carried, and back.

usage: mosaics.py pack FOLDER_OF_BIN_FILES OUT       writes OUT/part1, OUT/part2 and OUT/sha256
       mosaics.py restore OUT FOLDER_OF_BIN_FILES    once both parts are there; compares the sums
"""

import hashlib
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
    Image.fromarray(whole).save(path, lossless=True, quality=60, method=4, exact=True)


def decode(path):
    whole = numpy.asarray(Image.open(path).convert("RGB"))
    grid = whole.reshape(ACROSS, SIDE, ACROSS, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return grid.reshape(PER_MOSAIC, SIDE, SIDE, 3)


def parts(out):
    return [out / "part1", out / "part2"]


def pack(source, out):
    jobs, sums = [], []
    for each in parts(out):
        each.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(FILES):
        raw = (source / name).read_bytes()
        sums.append(f"{hashlib.sha256(raw).hexdigest()}  {name}\n")
        data = numpy.frombuffer(raw, numpy.uint8)
        part = parts(out)[number // 3]
        (part / f"{name}.labels").write_bytes(data.reshape(-1, RECORD)[:, 0].tobytes())
        images = pixels(data)
        for start in range(0, len(images), PER_MOSAIC):
            path = part / f"{name}.{start // PER_MOSAIC:02}.webp"
            jobs.append((images[start : start + PER_MOSAIC], path))
    (out / "sha256").write_text("".join(sums))
    with ProcessPoolExecutor() as pool:
        list(pool.map(encode, jobs))


def restore(out, target):
    target.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for number, line in enumerate((out / "sha256").read_text().splitlines()):
            wanted, name = line.split()
            part = parts(out)[number // 3]
            labels = numpy.frombuffer((part / f"{name}.labels").read_bytes(), numpy.uint8)
            images = numpy.concatenate(list(pool.map(decode, sorted(part.glob(f"{name}.*.webp")))))
            records = numpy.empty((len(labels), RECORD), numpy.uint8)
            records[:, 0] = labels
            planes = images[: len(labels)].transpose(0, 3, 1, 2)
            records[:, 1:] = planes.reshape(len(labels), -1)
            raw = records.tobytes()
            found = hashlib.sha256(raw).hexdigest()
            if found != wanted:
                sys.exit(f"{name} has the sha256 {found}, expected {wanted}")
            (target / name).write_bytes(raw)


if __name__ == "__main__":
    {"pack": pack, "restore": restore}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
