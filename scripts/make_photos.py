#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "pillow"]
# ///
"""Make a folder of JPEG photos of two megapixels, to measure how fast `scenescribe annotate` is.

Each picture has soft shapes, edges and grain, so that its file is as large as that of a camera (some 700 KB) and decodes as
slowly. The same seed gives the same pictures. With --from, the shapes are photos of that folder, enlarged.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

GRAIN = 5.0  # standard deviation, in grey levels of 256


def scene(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Random colours on a coarse grid, and rectangles with sharp edges."""
    coarse = random.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)).copy()
    for _ in range(40):
        left, top = random.integers(0, size[0]), random.integers(0, size[1])
        width, height = random.integers(20, 300, 2)
        picture[top : top + height, left : left + width] = random.integers(0, 256, 3)
    return Image.fromarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to put the photos")
    parser.add_argument("--count", type=int, default=1000, help="how many [1000]")
    parser.add_argument("--size", type=int, nargs=2, default=(1632, 1224), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--quality", type=int, default=88, help="of the JPEG [88]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="source", type=Path, metavar="DIR", help="photos to enlarge [shapes are drawn]")
    parser.add_argument("--progressive", action="store_true", help="write progressive JPEGs")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    size = tuple(args.size)
    random = np.random.default_rng(args.seed)
    sources = sorted(args.source.glob("*.jpg")) if args.source else []
    grain = random.normal(0, GRAIN, (size[1] + 64, size[0] + 64)).astype(np.int16)
    for number in range(args.count):
        if sources:
            picture = Image.open(sources[number % len(sources)]).convert("RGB").resize(size, Image.Resampling.BICUBIC)
        else:
            picture = scene(random, size)
        top, left = random.integers(0, 64, 2)
        tile = grain[top : top + size[1], left : left + size[0], None]
        pixels = np.clip(np.asarray(picture, dtype=np.int16) + tile, 0, 255).astype(np.uint8)
        path = args.folder / f"{number:05}.jpg"
        Image.fromarray(pixels).save(path, quality=args.quality, progressive=args.progressive)
    print(f"{args.count} photos of {size[0]} x {size[1]} pixels in {args.folder}")


if __name__ == "__main__":
    main()
