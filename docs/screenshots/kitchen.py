"""Draws kitchenware on patterned tables among clutter, on which docs/guide/images.md shows Grad-CAM.

usage: kitchen.py FOLDER     FOLDER/train/CLASS, FOLDER/test/CLASS, and scene.png beside FOLDER, with a mug and a spoon

Needs Pillow.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIDE = 300
TRAIN, TEST = 40, 10


def metal(r):
    level = r.randint(150, 215)
    return level, level + r.randint(-5, 10), level + r.randint(0, 20)


def colour(r):
    return tuple(r.randint(40, 230) for _ in range(3))


def mug(draw, r):
    fill, dark = colour(r), (60, 45, 35)
    draw.arc((120, 62, 190, 138), -90, 90, fill=fill, width=15)
    draw.rounded_rectangle((45, 40, 150, 165), 14, fill=fill)
    draw.ellipse((45, 26, 150, 58), fill=fill, outline=(250, 250, 250), width=3)
    draw.ellipse((56, 32, 139, 53), fill=dark)


def plate(draw, r):
    fill = tuple(r.randint(205, 250) for _ in range(3))
    rim = colour(r)
    draw.ellipse((15, 15, 185, 185), fill=fill, outline=rim, width=5)
    draw.ellipse((48, 48, 152, 152), outline=(185, 185, 185), width=3)


def spoon(draw, r):
    fill = metal(r)
    draw.ellipse((72, 8, 128, 82), fill=fill, outline=(110, 110, 115), width=2)
    draw.ellipse((82, 20, 112, 60), fill=tuple(min(255, each + 30) for each in fill))
    draw.rounded_rectangle((94, 78, 106, 194), 5, fill=fill)


def fork(draw, r):
    fill = metal(r)
    for left in (72, 87, 102, 117):
        draw.rounded_rectangle((left, 6, left + 8, 68), 4, fill=fill)
    draw.pieslice((72, 38, 125, 96), 0, 180, fill=fill)
    draw.rounded_rectangle((92, 88, 105, 194), 5, fill=fill)


KINDS = {"fork": fork, "mug": mug, "plate": plate, "spoon": spoon}


def table(r):
    """A background with stripes or tiles and crumbs."""
    ground = colour(r)
    image = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(image)
    other = tuple(max(0, min(255, each + r.randint(-35, 35))) for each in ground)
    step = r.randint(24, 60)
    for place in range(-SIDE, 2 * SIDE, 2 * step):
        if r.random() < 0.5:
            draw.polygon([(place, 0), (place + step, 0), (place + step + 80, SIDE), (place + 80, SIDE)], fill=other)
        else:
            draw.rectangle((0, place, SIDE, place + step), fill=other)
    for _ in range(r.randint(5, 14)):
        x, y, size = r.randint(0, SIDE), r.randint(0, SIDE), r.randint(3, 16)
        draw.regular_polygon((x, y, size), r.randint(3, 6), r.randint(0, 90), fill=colour(r))
    return image


def put(image, kind, place, size, turn, r):
    """Draws one thing of `size` pixels with its middle at `place`."""
    layer = Image.new("RGBA", (200, 200))
    KINDS[kind](ImageDraw.Draw(layer), r)
    layer = layer.resize((size, size), Image.Resampling.LANCZOS).rotate(turn, expand=True)
    corner = (place[0] - layer.width // 2, place[1] - layer.height // 2)
    shadow = Image.new("RGBA", layer.size, (0, 0, 0, 90))
    shadow.putalpha(layer.getchannel("A").point(lambda level: level * 90 // 255))
    image.paste(shadow, (corner[0] + 5, corner[1] + 6), shadow)
    image.paste(layer, corner, layer)


def image_of(kind, r):
    image = table(r)
    size = r.randint(110, 220)
    place = [r.randint(size // 2, SIDE - size // 2) for _ in range(2)]
    put(image, kind, place, size, r.uniform(0, 360) if kind != "mug" else r.uniform(-20, 20), r)
    return image.filter(ImageFilter.GaussianBlur(r.uniform(0, 0.8)))


def draw_all(folder):
    for part, count in (("train", TRAIN), ("test", TEST)):
        for kind in KINDS:
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                r = random.Random(f"{part} {kind} {number}")
                image_of(kind, r).save(folder / part / kind / f"{number:02}.png")
    r = random.Random("scene")
    scene = table(r)
    put(scene, "mug", (95, 105), 150, 0, r)
    put(scene, "spoon", (215, 195), 170, -40, r)
    scene.save(folder.parent / "scene.png")


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
