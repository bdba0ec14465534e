#!/usr/bin/env python3
# /// script
# requires-python = ">=3.9"
# ///
"""Reads captions from a serial line or from standard input and prints each as a JSON line.

    serial_decoder.py --framing cobs /dev/ttyUSB0
    serial_decoder.py --framing ascii < captured.bin

A receiver of its own, written from the tables in the documentation of `scenescribe::sink::wire` with nothing but the
standard library: the tests compare it with the decoder of the library. Damaged frames are told on standard error.
"""

import argparse
import datetime
import json
import os
import re
import struct
import sys
import termios
import tty
import zlib

UNSURE = "unsure: "
SENTENCE = re.compile(
    rb"SCAP,(?P<sequence>[0-9]+)(:(?P<part>[0-9]+)/(?P<parts>[0-9]+))?,(?P<ms>[0-9]+),"
    rb"(?P<confidence>[01]\.[0-9]{2})(?P<unsure>\??),(?P<text>[ -~]*)"
)
ESCAPE = re.compile(rb"\^([0-9A-Fa-f]{2})")
RESERVED = re.compile(rb"[$*,!\\~]|\^(?![0-9A-Fa-f]{2})")


class Fault(Exception):
    """A frame that says nothing."""


def message(text, unsure, sequence=None, ms=None, confidence=None):
    return {"text": text, "unsure": unsure, "sequence": sequence, "time_ms": ms, "confidence": confidence}


def lines(chunks):
    """Non-empty lines without their ends."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in whole if line)


def decode_line(line):
    text = line.decode()
    if re.search("[\x00-\x1f\x7f-\x9f]", text):
        raise Fault("control characters in a line")
    return message(text.removeprefix(UNSURE), text.startswith(UNSURE))


def decode_json(line):
    fields = json.loads(line)
    time = datetime.datetime.strptime(fields["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    ms = (time - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)
    return message(fields["caption"], fields["unsure"], fields["sequence"], ms, fields["confidence"])


class Sentences:
    """Joins the parts of captions."""

    def __init__(self):
        self.parts = []

    def decode(self, line):
        """The message that `line` completes, if it does."""
        if b"$" not in line:
            return None
        body, star, checksum = line[line.rindex(b"$") + 1 :].rpartition(b"*")
        if not star or not re.fullmatch(rb"[0-9A-Fa-f]{2}", checksum):
            raise Fault("no checksum")
        total = 0
        for byte in body:
            total ^= byte
        if total != int(checksum, 16):
            raise Fault("wrong checksum")
        if not body.startswith(b"SCAP,"):
            return None
        fields = SENTENCE.fullmatch(body)
        if not fields or RESERVED.search(fields["text"]):
            raise Fault("malformed sentence")
        return self.join(fields)

    def join(self, fields):
        part, parts = int(fields["part"] or 1), int(fields["parts"] or 1)
        head = fields["sequence"], parts, fields["ms"], fields["confidence"], fields["unsure"]
        if part == 1:
            self.parts = []
        elif len(self.parts) != part - 1 or self.parts[-1][0] != head:
            self.parts = []
            raise Fault("a part is missing")
        self.parts.append((head, fields["text"]))
        if part < parts:
            return None
        escaped = b"".join(text for _, text in self.parts)
        self.parts = []
        text = ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), escaped).decode()
        sequence, _, ms, confidence, unsure = head
        return message(text, unsure == b"?", int(sequence), int(ms), float(confidence))


def packets(chunks):
    """What stands between zero bytes."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (packet for packet in whole if packet)


def unstuff(stuffed):
    out, at = bytearray(), 0
    while at < len(stuffed):
        code = stuffed[at]
        block = stuffed[at + 1 : at + code]
        if len(block) != code - 1:
            raise Fault("stuffing runs beyond the frame")
        at += code
        out += block
        if code < 255 and at < len(stuffed):
            out.append(0)
    return bytes(out)


def varint(packet):
    value = shift = 0
    for used, byte in enumerate(packet[:10], 1):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, packet[used:]
    raise Fault("endless number")


def decode_packet(stuffed):
    packet = unstuff(stuffed)
    if len(packet) < 5 or zlib.crc32(packet[:-4]) != int.from_bytes(packet[-4:], "little"):
        raise Fault("wrong checksum")
    if packet[0] != 1:
        raise Fault(f"version {packet[0]}")
    sequence, rest = varint(packet[1:-4])
    ms, rest = varint(rest)
    confidence, unsure = struct.unpack_from("<f?", rest)
    length, text = varint(rest[5:])
    if length != len(text):
        raise Fault("text of another length")
    return message(text.decode(), unsure, sequence, ms, confidence)


def chunks(descriptor):
    """Bytes as they come."""
    while chunk := os.read(descriptor, 4096):
        yield chunk


def opened(path, rate):
    if path == "-":
        return 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOCTTY)
    if os.isatty(descriptor):
        tty.setraw(descriptor)
        settings = termios.tcgetattr(descriptor)
        settings[4] = settings[5] = getattr(termios, f"B{rate}")
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    return descriptor


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", nargs="?", default="-", help="serial device or file [default: standard input]")
    parser.add_argument("--framing", choices=["line", "ascii", "json", "cobs"], default="line")
    parser.add_argument("--baud", type=int, default=115200)
    options = parser.parse_args()
    split, decode = {
        "line": (lines, decode_line),
        "ascii": (lines, Sentences().decode),
        "json": (lines, decode_json),
        "cobs": (packets, decode_packet),
    }[options.framing]
    for frame in split(chunks(opened(options.device, options.baud))):
        try:
            heard = decode(frame)
        except (Fault, ValueError, KeyError, TypeError, struct.error) as fault:
            print(f"damaged frame: {fault}", file=sys.stderr)
            continue
        if heard:
            print(json.dumps(heard), flush=True)


if __name__ == "__main__":
    main()
