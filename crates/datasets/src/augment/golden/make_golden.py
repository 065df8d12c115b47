"""Makes the values that the image operations are compared with: torchvision's on PIL images.

    python make_golden.py > golden.json

Made with torch 2.13.0, torchvision 0.28.0 and Pillow 13.0.0. The images come from a generator
here; they are stored beside the values, so nothing has to be generated twice. What would be long is
stood for by its FNV-1a hash of 64 bits.
"""

import json

import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, autoaugment
from torchvision.transforms import functional as F

BINS = 31
NEAREST = InterpolationMode.NEAREST


def generated(height, width, low, high, seed):
    """A ramp down and to the right under noise, with bytes from `low` to below `high`."""
    state, pixels = seed, []
    for row in range(height):
        for column in range(width):
            for channel in range(3):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                noise = (state >> 40) % (high - low)
                ramp = (row * (channel + 1) + column * 2) * (high - low) // (4 * (height + width))
                pixels.append(low + (noise // 2 + ramp) % (high - low))
    return image(height, width, pixels)


def image(height, width, pixels):
    return Image.frombytes("RGB", (width, height), bytes(pixels))


IMAGES = {
    "wide": generated(9, 12, 0, 256, 1),
    "square": generated(8, 8, 0, 256, 2),
    "faint": generated(10, 9, 60, 200, 3),
    # Of 255 pixels or fewer equalize changes nothing.
    "large": generated(24, 25, 10, 250, 4),
    "flat": image(4, 5, [7, 255, 0] * 20),
    "tiny": generated(2, 3, 0, 256, 5),
}


def fnv(chunks):
    value = 0xCBF29CE484222325
    for chunk in chunks:
        for byte in chunk:
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def space(policy, image):
    """torchvision's table: name to magnitudes and whether they have a sign."""
    if policy == "rand-augment":
        table = autoaugment.RandAugment()._augmentation_space(BINS, (image.height, image.width))
    else:
        table = autoaugment.TrivialAugmentWide()._augmentation_space(BINS)
    for name, (magnitudes, signed) in table.items():
        yield name, magnitudes, signed


def outcome(image, name, magnitudes, bin, sign):
    magnitude = sign * float(magnitudes[bin].item()) if magnitudes.ndim > 0 else 0.0
    return autoaugment._apply_op(image, name, magnitude, NEAREST, None).tobytes()


def policies():
    """For every operation the hash of its outcomes: bins, and in each plus before minus."""
    for policy in ["rand-augment", "trivial-augment"]:
        for image_name, image in IMAGES.items():
            for name, magnitudes, signed in space(policy, image):
                signs = [1.0, -1.0] if signed else [1.0]
                outcomes = (
                    outcome(image, name, magnitudes, bin, sign)
                    for bin in range(BINS)
                    for sign in signs
                )
                yield [policy, image_name, name, str(fnv(outcomes))]


def shown():
    """Some outcomes in full, for whoever has to find out why a hash differs."""
    for policy in ["rand-augment", "trivial-augment"]:
        for name, magnitudes, signed in space(policy, IMAGES["wide"]):
            for bin in [9, 20]:
                sign = -1.0 if signed and bin == 9 else 1.0
                data = outcome(IMAGES["wide"], name, magnitudes, bin, sign)
                yield [policy, "wide", name, bin, sign, data.hex()]


def hues():
    """Hashes of a lattice of all colours whose bytes are multiples of 5."""
    lattice = [5 * value for red in range(52) for green in range(52) for blue in range(52)
               for value in (red, green, blue)]
    colours = image(52 * 52, 52, lattice)
    for factor in [-0.5, -0.31, -0.1, -0.002, 0.0, 0.03, 0.25, 0.5]:
        yield [factor, str(fnv([F.adjust_hue(colours, factor).tobytes()]))]


def resized():
    """Windows of an image, resized to the whole of it."""
    for image_name, windows in {
        "wide": [(0, 0, 9, 12), (0, 0, 4, 5), (2, 3, 7, 2), (8, 11, 1, 1), (1, 0, 8, 12)],
        "large": [(3, 5, 17, 11), (0, 0, 1, 25)],
    }.items():
        image = IMAGES[image_name]
        size = [image.height, image.width]
        for window in windows:
            data = F.resized_crop(image, *window, size, InterpolationMode.BILINEAR).tobytes()
            yield [image_name, list(window), size, str(fnv([data]))]
        # And to a smaller size, in which more than two pixels come together.
        for window in windows[:2]:
            data = F.resized_crop(image, *window, [3, 4], InterpolationMode.BILINEAR).tobytes()
            yield [image_name, list(window), [3, 4], str(fnv([data]))]


def fitted():
    """The middle of an image, by its shorter side or by both: smaller, larger, of the same size."""
    modes = {
        "bilinear": InterpolationMode.BILINEAR,
        "bicubic": InterpolationMode.BICUBIC,
        "lanczos": InterpolationMode.LANCZOS,
        "nearest": NEAREST,
    }
    for image_name in ["wide", "square", "faint", "large"]:
        for side, crop_fraction in [(5, 1.0), (7, 0.875), (8, 1.0), (13, 0.9), (20, 0.35)]:
            for mode_name, mode in modes.items():
                resized = int(side / crop_fraction)
                for shape, size in {"crop": resized, "squash": [resized, resized]}.items():
                    image = F.resize(IMAGES[image_name], size, mode)
                    data = F.center_crop(image, [side, side]).tobytes()
                    yield [image_name, side, crop_fraction, mode_name, shape, str(fnv([data]))]


def lines(rows):
    return "[\n" + ",\n".join("    " + json.dumps(row) for row in rows) + "\n  ]"


def main():
    torch.set_num_threads(1)
    parts = {
        "images": lines(
            [name, image.height, image.width, image.tobytes().hex()]
            for name, image in IMAGES.items()
        ),
        "policies": lines(policies()),
        "shown": lines(shown()),
        "hues": lines(hues()),
        "resized": lines(resized()),
        "fitted": lines(fitted()),
    }
    versions = {
        "torch": torch.__version__.partition("+")[0],
        "torchvision": torchvision.__version__.partition("+")[0],
        "Pillow": PIL.__version__,
    }
    print("{")
    print(f'  "versions": {json.dumps(versions)},')
    print(",\n".join(f'  "{name}": {text}' for name, text in parts.items()))
    print("}")


if __name__ == "__main__":
    main()
