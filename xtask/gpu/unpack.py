"""Unpacks the programs of a kit, and compares each with its sum.

usage: unpack.py FOLDER TARGET

FOLDER has SHA256SUMS and, for each name in it, NAME.xz. What TARGET has already is left alone.
"""

import hashlib
import lzma
import sys
from pathlib import Path


def main():
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        wanted, name = line.split()
        path = target / name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            continue
        data = lzma.decompress((folder / f"{name}.xz").read_bytes())
        found = hashlib.sha256(data).hexdigest()
        if found != wanted:
            sys.exit(f"{folder / name}.xz holds the sha256 {found}, expected {wanted}: copy the kit again")
        # A program that runs cannot be written to, only replaced.
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)


if __name__ == "__main__":
    main()
