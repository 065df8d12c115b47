"""Times our way from image files to batches in turns with torchvision's, both with the same threads or processes.

    cargo build --release -p xception-datasets --example folder_throughput
    python images.py target/release/examples/folder_throughput

Makes JPEGs of 500x375 pixels in a temporary folder; every contender decodes them, crops at random (0.08 to 1 of the
area) to 299x299 with antialiased bilinear interpolation, mirrors half, and normalises, in batches of 32. An epoch of
each in turn counts as a round; the first does not count. With the packages of requirements.txt.
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import io
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

IMAGES, SIDE, BATCH, WORKERS, ROUNDS = 1280, 299, 32, 2, 7


def photograph(draw):
    """Smooth colours with some noise: about what a camera's image costs to decode."""
    small = draw.integers(0, 256, (12, 16, 3), dtype=numpy.uint8)
    smooth = numpy.asarray(Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC), numpy.int16)
    noise = draw.normal(0, 12, smooth.shape)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(numpy.uint8))


def write(folder):
    draw = numpy.random.default_rng(0)
    for number in range(IMAGES):
        for split in ("train", "val") if number < 2 else ("train",):
            place = folder / split / f"class{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            photograph(draw).save(place / f"{number:05}.jpg", quality=90)


def pil_pipeline():
    return v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    ), None


def tensor_pipeline():
    """torchvision's own decoder, and its transforms on tensors of bytes."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    ), lambda path: io.decode_image(io.read_file(path), io.ImageReadMode.RGB)


def torchvision_contender(folder, pipeline):
    transform, loader = pipeline
    arguments = {"loader": loader} if loader else {}
    images = ImageFolder(folder / "train", transform, **arguments)
    batches = DataLoader(
        images, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )

    def epoch():
        begun = time.perf_counter()
        count = sum(len(labels) for _, labels in batches)
        return count / (time.perf_counter() - begun)

    return epoch


def our_contender(folder, program):
    arguments = [program, folder, SIDE, BATCH, WORKERS]
    process = subprocess.Popen(
        list(map(str, arguments)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def epoch():
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return epoch


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write(folder)
        contenders = {
            "ours": our_contender(folder, sys.argv[1]),
            "torchvision, PIL": torchvision_contender(folder, pil_pipeline()),
            "torchvision, tensors": torchvision_contender(folder, tensor_pipeline()),
        }
        rates = {name: [] for name in contenders}
        for number in range(ROUNDS + 1):
            for name, epoch in contenders.items():
                rate = epoch()
                if number:
                    rates[name].append(rate)
        print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, {WORKERS} workers")
        ours = statistics.median(rates["ours"])
        for name, found in rates.items():
            median = statistics.median(found)
            spread = f"{min(found):.0f} to {max(found):.0f}"
            print(f"{name:22} {median:6.0f} img/s ({spread}); ours is {ours / median:.2f} times that")


if __name__ == "__main__":
    main()
