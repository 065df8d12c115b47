"""The fill formula: weights, inputs and projections as pure functions of a name.

The parity tests give the original and our model the same weights without storing any:
both sides compute them from the tensor's name. The Rust side implements exactly this
file, so every operation is written out in the order in which it is rounded.
"""

import numpy

GOLDEN_RATIO = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def fnv1a(name):
    """FNV-1a, 64 bit, of the UTF-8 bytes of `name`."""
    state = 0xCBF29CE484222325
    for byte in name.encode("utf-8"):
        state = ((state ^ byte) * 0x100000001B3) & MASK
    return state


def stream(name, count):
    """The first `count` numbers of the stream called `name`: float64 in [-1, 1).

    With seed = fnv1a(name) and all arithmetic modulo 2^64:

        z  = seed + (i + 1) * 0x9E3779B97F4A7C15                 i = 0, 1, ...
        z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9                   (splitmix64's finaliser)
        z ^= z >> 27;  z *= 0x94D049BB133111EB
        z ^= z >> 31
        v  = 2 * ((z >> 40) / 2^24) - 1

    Every v is exact in float32 too.
    """
    with numpy.errstate(over="ignore"):
        z = numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(GOLDEN_RATIO)
        z += numpy.uint64(fnv1a(name))
        z ^= z >> numpy.uint64(30)
        z *= numpy.uint64(0xBF58476D1CE4E5B9)
        z ^= z >> numpy.uint64(27)
        z *= numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    unit = (z >> numpy.uint64(40)).astype(numpy.float64) / 2.0**24
    return 2.0 * unit - 1.0


def fill(name, shape, role, fan_in, constants):
    """The tensor called `name`, in the layout in which the original stores it (row-major).

    With v from the stream called `name`, and `constants` those of the network:

        weight        v * sqrt(3 * gain / fan_in)     convolution or linear: variance gain / fan_in
        bias          bias * v                        convolution or linear
        scale         scale * (1 + 0.25 * v)          batch norm's weight
        shift         shift * (1 + 0.25 * v)          batch norm's bias
        running_mean  mean * v
        running_var   var * (1 + 0.25 * v)
        counter       0

    Computed in float64, then rounded to float32: a float32 and a float64 run hold equal weights.
    """
    v = stream(name, int(numpy.prod(shape, dtype=numpy.int64)))
    if role == "weight":
        values = v * numpy.sqrt(3.0 * constants["gain"] / fan_in)
    elif role == "bias":
        values = constants["bias"] * v
    elif role in ("scale", "shift"):
        values = constants[role] * (1.0 + 0.25 * v)
    elif role == "running_mean":
        values = constants["mean"] * v
    elif role == "running_var":
        values = constants["var"] * (1.0 + 0.25 * v)
    elif role == "counter":
        values = 0.0 * v
    else:
        raise ValueError(f"no fill for the role {role!r} of {name!r}")
    return values.astype(numpy.float32).reshape(shape)


def images(name, shape):
    """Input images [n, 3, h, w], uniform in [-2, 2), as float64; exact in float32."""
    count = int(numpy.prod(shape, dtype=numpy.int64))
    return (2.0 * stream(name, count)).reshape(shape)


def labels(count, classes):
    """Label k is (7k + 3) modulo the number of classes."""
    return [(7 * k + 3) % classes for k in range(count)]


def summary(tensor):
    """Five numbers that stand for a tensor: its L2 norm, its product with the stream
    "projection", and its first, middle and last element, all in row-major order."""
    flat = numpy.asarray(tensor, dtype=numpy.float64).reshape(-1)
    picks = (0, flat.size // 2, flat.size - 1)
    return {
        "norm": float(numpy.sqrt(numpy.dot(flat, flat))),
        "projection": float(numpy.dot(flat, stream("projection", flat.size))),
        "samples": [float(flat[i]) for i in picks],
    }
