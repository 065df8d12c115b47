"""Writes what a step left as one JSON file: its exit code, its time, and the JSON documents in its output.

usage: record.py LOG TARGET [KEY=VALUE…] --exit N --seconds S --limit N [--dry-run] [--document FILE]

Documents are those that begin a line of the log, and FILEs that exist.
"""

import argparse
import datetime
import json
import os
import re
from pathlib import Path


def documents(text):
    """The JSON objects that begin a line, in order."""
    decoder, found, place = json.JSONDecoder(), [], 0
    for match in re.finditer(r"^\{", text, re.MULTILINE):
        if match.start() < place:
            continue
        try:
            document, place = decoder.raw_decode(text, match.start())
        except json.JSONDecodeError:
            continue
        found.append(document)
    return found


def tests(text):
    """How many tests passed and failed, by the lines of Rust's test programs; nothing where there were none."""
    counts = re.findall(r"^test result: .*?(\d+) passed; (\d+) failed;", text, re.MULTILINE)
    if not counts:
        return None
    return {"passed": sum(int(passed) for passed, _ in counts), "failed": sum(int(failed) for _, failed in counts)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("about", nargs="*")
    parser.add_argument("--exit", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--document", type=Path, action="append", default=[])
    args = parser.parse_args()
    text = args.log.read_text(errors="replace")
    found = {
        "step": args.target.stem,
        "dry_run": args.dry_run,
        "exit": args.exit,
        "seconds": round(args.seconds, 2),
        "limit": args.limit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "about": dict(pair.split("=", 1) for pair in args.about),
        "documents": documents(text) + [json.loads(path.read_text()) for path in args.document if path.exists()],
        "tests": tests(text),
    }
    # Renamed into place: a record that is there is whole, and its step is done.
    incomplete = args.target.with_suffix(".incomplete")
    incomplete.write_text(json.dumps(found, indent=1) + "\n")
    os.replace(incomplete, args.target)


if __name__ == "__main__":
    main()
