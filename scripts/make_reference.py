#!/usr/bin/env python
"""Writes docs/reference from the code: settings, commands and the wire protocol.

    .venv/bin/python scripts/make_reference.py [--check] [FOLDER]

With --check nothing is written, and the exit code is 1 where a file is not what the code says.
FOLDER is where the files are (default: docs/reference of this repository).
"""

import argparse
import sys
from pathlib import Path

from reference import commands, protocol, settings

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "docs" / "reference"

PAGES = {"settings.md": settings.page, "commands.md": commands.page, "protocol.md": protocol.page}


def main() -> int:
    """Writes the files, or with ``--check`` compares them; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    pages = {name: page() for name, page in PAGES.items()}
    if not arguments.check:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (arguments.folder / name).write_text(text, encoding="utf-8")
        return 0
    stale = [name for name, text in pages.items() if _read(arguments.folder / name) != text]
    for name in stale:
        sys.stderr.write(
            f"{arguments.folder / name} is not what the code says: "
            "run .venv/bin/python scripts/make_reference.py\n"
        )
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
