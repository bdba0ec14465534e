#!/usr/bin/env python3
# /// script
# requires-python = ">=3.9"
# dependencies = ["pillow", "numpy"]
# ///
"""Makes what a camera sees out of photos: raw YUYV frames, and the pixels that a program makes of such a frame.

For each photo, OUT/N.yuyv is a frame of 640 x 480 pixels (BT.601, limited range), and OUT/N.png the same frame as RGB,
by the conversion of src/source/color.rs: U and V repeated for two pixels, 16-bit fixed point.
"""

import argparse
import pathlib

import numpy
from PIL import Image

WIDTH, HEIGHT = 640, 480
RED, BLUE = 0.299, 0.114  # BT.601
GREEN = 1 - RED - BLUE


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="folder to write to")
    parser.add_argument("photos", nargs="+", type=pathlib.Path)
    return parser.parse_args()


def to_yuyv(rgb):
    """(height, width, 3) RGB to (height, width / 2, 4): Y0 U Y1 V."""
    red, green, blue = numpy.moveaxis(rgb.astype(float) / 255, 2, 0)
    luma = RED * red + GREEN * green + BLUE * blue
    u = (blue - luma) / (2 * (1 - BLUE))
    v = (red - luma) / (2 * (1 - RED))
    pairs = [16 + 219 * luma[:, 0::2], 128 + 224 * halved(u), 16 + 219 * luma[:, 1::2], 128 + 224 * halved(v)]
    return numpy.stack(pairs, axis=2).round().astype(numpy.uint8)


def halved(plane):
    return (plane[:, 0::2] + plane[:, 1::2]) / 2


def to_rgb(yuyv):
    """(height, width / 2, 4) YUYV to (height, width, 3) RGB."""
    luma = yuyv[:, :, [0, 2]].reshape(HEIGHT, WIDTH).astype(int)
    u, v = (yuyv[:, :, place].repeat(2, axis=1).astype(int) - 128 for place in (1, 3))
    lit = (luma - 16) * fixed(255 / 219) + (1 << 15)
    chroma = 255 / 224
    red = lit + fixed(2 * (1 - RED) * chroma) * v
    green = lit + fixed(-2 * (1 - BLUE) * BLUE / GREEN * chroma) * u + fixed(-2 * (1 - RED) * RED / GREEN * chroma) * v
    blue = lit + fixed(2 * (1 - BLUE) * chroma) * u
    return (numpy.stack([red, green, blue], axis=2) >> 16).clip(0, 255).astype(numpy.uint8)


def fixed(value):
    return int(numpy.floor(abs(value) * 65536 + 0.5)) * (1 if value > 0 else -1)


def main():
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(given.photos):
        photo = Image.open(path).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        yuyv = to_yuyv(numpy.asarray(photo))
        (given.out / f"{number}.yuyv").write_bytes(yuyv.tobytes())
        Image.fromarray(to_rgb(yuyv)).save(given.out / f"{number}.png")


if __name__ == "__main__":
    main()
