"""Cuts the published PyTorch listings out of the documents that carry them.

The listings are other people's work and are not stored in this repository: they are read
from the reader's own copies of the documents, run, and forgotten. A document is recognised
by what it says, not by its file name.
"""

import pathlib
import re

DEFINITION = re.compile(r"^(?:class|def) (\w+)\(.*\):\s*$")


def find_document(folder, markers):
    """The text of the one document under `folder` that contains every marker."""
    found = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            if all(marker in text for marker in markers):
                found.append(text)
    if len(found) != 1:
        raise SystemExit(
            f"{folder}: {len(found)} documents contain all of {markers}; exactly one must. "
            "Give the folder of the source documents with --seeds"
        )
    return found[0]


def definitions(text):
    """Every top-level `class` and `def` of a document, in order, as (name, source).

    A definition runs on while lines are indented with ASCII blanks or empty, so prose ends it.
    Blog pages leave no-break spaces on otherwise empty lines and before headings:
    alone they count as an empty line, before text as prose.
    """
    found, lines = [], None
    for line in text.splitlines():
        start = DEFINITION.match(line)
        if start:
            lines = [line]
            found.append((start.group(1), lines))
        elif lines is not None:
            if not line.strip():
                lines.append("")
            elif line[0] in " \t":
                lines.append(line.rstrip())
            else:
                lines = None
    return [(name, "\n".join(source).rstrip() + "\n") for name, source in found]


def run(sources, namespace):
    """Executes the sources in order in one namespace and returns it."""
    for name, source in sources:
        exec(compile(source, f"<listing of {name}>", "exec"), namespace)
    return namespace
