"""The `ckpt` command, which the wheel holds: `ckpt ls STORE`, or `python -m ckpt ls STORE`."""

from __future__ import annotations

import os
import pathlib
import sys


def main() -> None:
    """Becomes the command, so that signals and the terminal are its own."""
    program = pathlib.Path(__file__).parent / "lib" / "ckpt"
    try:
        os.execv(program, ["ckpt", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"ckpt: cannot run {program}: {error.strerror}. Install the wheel, or build the command with Tools/install")


if __name__ == "__main__":
    main()
