#!/usr/bin/env python3
# /// script
# requires-python = ">=3.9"
# ///
"""Checks what came over a board's serial port: `--framing ascii` records with right checksums, and the captions expected.

A record is `$SCAP,SEQUENCE,MS,CONFIDENCE,TEXT*CHECKSUM`, where SEQUENCE may end in `:PART/PARTS`. The checksum is the
exclusive or of all between `$` and `*`. What comes before the first record is noise of the port's start. CAPTIONS holds the captions that must come, in this order, one a line.
"""

import argparse
import functools
import pathlib
import re
import sys

RECORD = re.compile(rb"\$(SCAP,(\d+)(?::(\d+)/(\d+))?,(\d+),([0-9.]+\??),([^*\r\n]*))\*([0-9A-F]{2})\r\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("serial", type=pathlib.Path, help="bytes that came over the serial port")
    parser.add_argument("captions", type=pathlib.Path, help="captions that must come")
    return parser.parse_args()


def plain(text):
    """Text without escapes: `^HH` is the byte HH."""
    return re.sub(rb"\^([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), text)


def read(received):
    """The captions in the bytes received, and what is wrong with them."""
    captions, problems, parts = [], [], b""
    rest = received[max(received.find(b"$SCAP"), 0) :]
    for record in RECORD.finditer(received):
        rest = rest.replace(record[0], b"", 1)
        if functools.reduce(lambda sum, byte: sum ^ byte, record[1], 0) != int(record[8], 16):
            problems.append(f"wrong checksum: {record[0]}")
        parts += plain(record[7])
        if record[3] == record[4]:
            captions.append(parts.decode())
            parts = b""
    if rest.strip():
        problems.append(f"not a record: {rest!r}")
    return captions, problems


def main():
    given = arguments()
    captions, problems = read(given.serial.read_bytes())
    expected = given.captions.read_text().splitlines()
    for number, caption in enumerate(expected):
        got = captions[number] if number < len(captions) else "nothing"
        mark = "same" if got == caption else "DIFFERENT"
        print(f"{mark}: {got}" + ("" if got == caption else f"; here: {caption}"))
    if captions != expected:
        problems.append(f"{len(captions)} captions over the serial port, {len(expected)} expected, or not the same")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(captions)} records, {'all checksums right' if not problems else 'NOT as they must be'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
