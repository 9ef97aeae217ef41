"""The program that turns Vega-Lite into SVG, run by itself: ``python -I chart_process.py``.

The renderer holds the interpreter's lock for as long as it draws (half a second for the first
picture), and its JavaScript engine takes some 100 MB: so neither is in the server's own process.
Nothing of the package is imported here, so that it starts fast and from anywhere.

A line of standard input is a specification as JSON. Each is answered by a line with the length of
the SVG in bytes, and the SVG; by ``-1`` where it can't be drawn. It ends with its input.
"""

import os
import sys
from typing import BinaryIO, Final

import vl_convert

#: Behind whatever serves people on the same machine.
NICENESS: Final = 5


def main() -> int:
    """Draw until the input ends; the exit code."""
    os.nice(NICENESS)
    serve(sys.stdin.buffer, sys.stdout.buffer)
    return 0


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each line of ``requests``."""
    for line in requests:
        try:
            # No address may be read: pictures are made of what stands in the specification.
            svg = vl_convert.vegalite_to_svg(line.decode(), allowed_base_urls=[]).encode()
        except ValueError:
            answers.write(b"-1\n")
        else:
            answers.write(b"%d\n%b" % (len(svg), svg))
        answers.flush()


if __name__ == "__main__":
    sys.exit(main())
