"""Writes the pickled dictionaries of this folder with numpy, and one as Python 2 writes it. Needs numpy."""

import pickle
import struct
from pathlib import Path

import numpy

HERE = Path(__file__).parent
DATA = numpy.arange(256, dtype=numpy.uint8).reshape(4, 64)
VALUES = {
    "data": DATA,
    "labels": [3, 0, 300, -1],
    "numbers": numpy.array([7, -2], dtype=numpy.int64),
    "names": ["a.png", "b.png"],
}


def text(value):
    """A str of Python 2, which is bytes."""
    value = value if isinstance(value, bytes) else value.encode()
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def integer(value):
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def array(values):
    """As numpy of Python 2 reduces an array: a function, its arguments, and a state."""
    kind = values.dtype.str
    dtype = b"cnumpy\ndtype\n" + text(kind[1:]) + b"K\x00K\x01\x87R(K\x03" + text(kind[0])
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
    shape = b"(" + b"".join(integer(size) for size in values.shape) + b"t"
    return made + b"(K\x01" + shape + dtype + b"\x89" + text(values.tobytes()) + b"tb"


def python2(values):
    """A dict as cPickle of Python 2 writes it with protocol 2, without its memo."""
    body = b""
    for name, value in values.items():
        body += text(name)
        if isinstance(value, numpy.ndarray):
            body += array(value)
        else:
            body += b"](" + b"".join(integer(v) if isinstance(v, int) else text(v) for v in value) + b"e"
    return b"\x80\x02}(" + body + b"u."


def main():
    for protocol in range(2, 6):
        (HERE / f"numpy{protocol}.pickle").write_bytes(pickle.dumps(VALUES, protocol))
    written = python2(VALUES)
    read = pickle.loads(written, encoding="latin1")
    assert (read["data"] == DATA).all() and read["labels"] == VALUES["labels"]
    (HERE / "python2.pickle").write_bytes(written)
    by_columns = numpy.asfortranarray(DATA)
    (HERE / "columns.pickle").write_bytes(pickle.dumps({"data": by_columns}, 4))
    (HERE / "big_endian.pickle").write_bytes(pickle.dumps({"data": DATA.astype(">i4")}, 4))
    (HERE / "list.pickle").write_bytes(pickle.dumps([DATA], 4))
    (HERE / "repeated.pickle").write_bytes(pickle.dumps({str(n): DATA for n in range(100)}, 4))


if __name__ == "__main__":
    main()
