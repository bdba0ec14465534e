# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm", "pycocoevalcap"]
# ///
"""Measure what the program's confidence is worth.

Captions the photos of a split, sorts them by confidence into ten bins of the same size and prints each bin's mean
CIDEr and the share of captions that a person would accept, taken to be those with a CIDEr above `--accept`. The
expected calibration error is given for the confidence as it is, and for the confidence mapped to that share by
isotonic regression, fitted on one half of the photos and measured on the other, both ways. At last come pictures
that show nothing to describe: noise, black, a page of text, a blurred photo. Java is needed for the tokenizer.

    calibrate.py models/default --data DIR
"""

import argparse
import contextlib
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from captions import add_program_arguments, rows_of_program
from evaluate import tokenize
from photos import Photo, read_photos

BINS = 10
SIZE = 224
BLUR_RADIUS = 16


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_program_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--split", default="val")
    parser.add_argument("--accept", type=float, default=0.3, help="CIDEr (1.0 is 100) above which a person would accept a caption")
    return parser.parse_args()


def cider_by_photo(photos: list[Photo], captions: list[str]) -> np.ndarray:
    """CIDEr of each caption, 1.0 being 100."""
    from pycocoevalcap.cider.cider import Cider

    with contextlib.redirect_stdout(open(os.devnull, "w")):
        _, scores = Cider().compute_score(*tokenize(photos, captions))
    return np.asarray(scores)


def isotonic(order: np.ndarray, accepted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rising steps through 0/1 answers at rising confidences: places and levels (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for place, value in zip(order, accepted):
        blocks.append([place, float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]:
            _, total, count = blocks.pop()
            blocks[-1][1] += total
            blocks[-1][2] += count
    return np.array([block[0] for block in blocks]), np.array([block[1] / block[2] for block in blocks])


def mapped(confidence: np.ndarray, accepted: np.ndarray, seed: int = 0) -> np.ndarray:
    """Each half's confidence through the map fitted on the other half."""
    result = np.empty(len(confidence))
    order = np.random.default_rng(seed).permutation(len(confidence))
    halves = order[::2], order[1::2]
    for fitted, measured in (halves, halves[::-1]):
        fitted = fitted[np.argsort(confidence[fitted], kind="stable")]
        places, levels = isotonic(confidence[fitted], accepted[fitted])
        step = np.searchsorted(places, confidence[measured], side="right") - 1
        result[measured] = levels[np.maximum(step, 0)]
    return result


def calibration_error(predicted: np.ndarray, accepted: np.ndarray) -> float:
    """Mean distance of predicted and actual share over ten bins of the same size."""
    bins = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    distances = [abs(predicted[part].mean() - accepted[part].mean()) * len(part) for part in bins]
    return float(sum(distances) / len(predicted))


def print_bins(confidence: np.ndarray, cider: np.ndarray, accepted: np.ndarray) -> None:
    """The table over ten bins, and whether mean CIDEr rises through it."""
    means = []
    print("confidence       mean   CIDEr  accepted")
    for part in np.array_split(np.argsort(confidence, kind="stable"), BINS):
        means.append(100 * cider[part].mean())
        low, high = confidence[part].min(), confidence[part].max()
        print(f"{low:.3f} to {high:.3f}  {confidence[part].mean():.3f}  {means[-1]:6.1f}  {100 * accepted[part].mean():6.1f} %")
    falls = sum(after < before for before, after in zip(means, means[1:]))
    print(f"mean CIDEr {'rises through all bins' if not falls else f'falls between bins {falls} times'}")


def empty_pictures(folder: Path, photo: Path) -> list[Path]:
    """Noise, black, a page of text and a blurred photo, as PNG."""
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    page = Image.new("RGB", (SIZE, SIZE), "white")
    letters = random.Random(0)
    for top in range(8, SIZE - 8, 12):
        line = "".join(letters.choice("abcdefghij klmno pqrstuv wxyz ") for _ in range(34))
        ImageDraw.Draw(page).text((8, top), line, fill="black")
    pictures = {
        "noise": Image.fromarray(noise),
        "black": Image.new("RGB", (SIZE, SIZE)),
        "text": page,
        "blurred": Image.open(photo).convert("RGB").filter(ImageFilter.GaussianBlur(BLUR_RADIUS)),
    }
    paths = [folder / f"{name}.png" for name in pictures]
    for path, picture in zip(paths, pictures.values()):
        picture.save(path)
    return paths


def main() -> None:
    options = parse_arguments()
    photos = read_photos(options.data, options.split)
    rows = list(rows_of_program(options, [photo.path for photo in photos]))
    confidence = np.array([row["confidence"] for row in rows])
    cider = cider_by_photo(photos, [row["caption"] for row in rows])
    accepted = (cider > options.accept).astype(float)
    print(f"{options.model}, beam {options.beam}, {len(photos)} photos of {options.split}; "
          f"accepted: CIDEr above {100 * options.accept:.0f}, {100 * accepted.mean():.1f} %")
    print_bins(confidence, cider, accepted)
    print(f"rank correlation of confidence and CIDEr {rank_correlation(confidence, cider):.3f}")
    print(f"expected calibration error {calibration_error(confidence, accepted):.3f}, "
          f"after the isotonic map {calibration_error(mapped(confidence, accepted), accepted):.3f}")
    with tempfile.TemporaryDirectory() as folder:
        paths = empty_pictures(Path(folder), photos[0].path)
        for path, row in zip(paths, rows_of_program(options, paths)):
            below = (confidence < row["confidence"]).mean()
            print(f"{path.stem}: confidence {row['confidence']:.3f}, above {100 * below:.0f} % of the photos: {row['caption']}")


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, ties in file order."""
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main()
