"""Writes small JPEGs of the kinds that the `image` crate cannot write (Pillow 12): run it in this folder."""

import numpy
from PIL import Image

y, x = numpy.mgrid[0:40, 0:72]
pixels = numpy.stack([(x * 37 + y * 5) % 251, (y * 53 + x) % 241, (x * y) % 239], -1)
image = Image.fromarray((pixels // 4 + 90).astype(numpy.uint8))
kinds = {
    "progressive": {"progressive": True},
    "progressive_restarts": {"progressive": True, "restart_marker_blocks": 4},
    "optimised": {"optimize": True, "subsampling": 0},
    "restarts": {"restart_marker_rows": 1, "subsampling": 1},
}
for name, options in kinds.items():
    image.save(f"{name}.jpg", quality=30, **options)
image.convert("CMYK").save("cmyk.jpg", quality=30)
image.convert("L").save("grey_progressive.jpg", quality=30, progressive=True)
