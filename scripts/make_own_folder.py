# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "pillow", "tqdm"]
# ///
"""Make a stand-in for a user's own photos, to try fine-tuning with: two folders in Flickr8k form.

Of a split that the model was not trained on, `own` gets 500 photos (100 of them as its val split, to choose the epoch by) and
`aside` the rest, as val, to score on before and after; a seed draws them. With `--night` all are made to look as if a
night camera had taken them: without colour, dark towards the edges, noisy. The human captions stay as they are.

    make_own_folder.py --data DIR --output runs/night --night
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

OWN, OWN_VAL = 500, 100
SEED = 6


def as_night_camera(pixels: np.ndarray, noise: np.random.Generator) -> np.ndarray:
    """Bytes (H, W, 3) without colour, dimmed to half in the middle and an eighth in the corners, with noise."""
    height, width, _ = pixels.shape
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 0.5 - 0.375 * (down**2 + across**2) / 2
    gray = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) * light
    noisy = gray + noise.normal(0, 10, gray.shape)
    return np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def write_folder(folder: Path, rows: list[dict], images: Path, is_night: bool) -> None:
    """Listing and photos, linked or made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if not is_night:
        (folder / "images").unlink(missing_ok=True)
        (folder / "images").symlink_to(images.resolve())
        return
    (folder / "images").mkdir(exist_ok=True)
    noise = np.random.default_rng(SEED)
    for row in tqdm(rows, desc=folder.name):
        pixels = np.asarray(Image.open(images / row["file"]).convert("RGB"))
        Image.fromarray(as_night_camera(pixels, noise)).save(folder / "images" / row["file"], quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k form")
    parser.add_argument("--split", default="val", help="split that the model was not trained on")
    parser.add_argument("--output", type=Path, required=True, help="folder to make `own` and `aside` in")
    parser.add_argument("--night", action="store_true", help="as a night camera sees them")
    options = parser.parse_args()
    rows = map(json.loads, (options.data / "captions.jsonl").read_text(encoding="utf-8").splitlines())
    rows = [row for row in rows if row["split"] == options.split]
    if len(rows) <= OWN:
        raise SystemExit(f"split {options.split} of {options.data} has {len(rows)} photos, more than {OWN} are needed")
    random.Random(SEED).shuffle(rows)
    own = [{**row, "split": "train" if place < OWN - OWN_VAL else "val"} for place, row in enumerate(rows[:OWN])]
    aside = [{**row, "split": "val"} for row in rows[OWN:]]
    for name, part in (("own", own), ("aside", aside)):
        write_folder(options.output / name, part, options.data / "images", options.night)
    print(f"{options.output}: {OWN} photos of one's own, {len(aside)} aside to score on")


if __name__ == "__main__":
    main()
