"""Photos on disk: captioned ones in Flickr8k form (`captions.jsonl`) or COCO form (`captions_*.json`), and unlabelled ones."""

import json
import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Photo:
    """One photo and its human captions."""

    path: Path
    split: str
    captions: tuple[str, ...]


def read_photos(folder: Path, split: str) -> list[Photo]:
    """Photos of one split, in file order."""
    listing = folder / "captions.jsonl"
    photos = read_flickr8k(listing) if listing.exists() else read_coco(folder)
    chosen = [photo for photo in photos if photo.split == split]
    if not chosen:
        raise SystemExit(f"no photo of split {split} in {folder}")
    return chosen


def read_training_photos(folder: Path, more: list[Path]) -> list[list[Photo]]:
    """The train split of a folder and of others that are trained on as well."""
    return [read_photos(each, "train") for each in (folder, *more)]


def read_flickr8k(listing: Path) -> list[Photo]:
    """One JSON object a line: `file`, `split`, `captions`."""
    rows = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines() if line]
    images = listing.parent / "images"
    return [Photo(images / row["file"], row["split"], tuple(row["captions"])) for row in rows]


def read_coco(folder: Path) -> list[Photo]:
    """Every `captions_*.json` with `images` and `annotations`; a file with `val` in its name is split val."""
    photos = []
    for listing in sorted(folder.rglob("captions_*.json")):
        coco = json.loads(listing.read_text(encoding="utf-8"))
        captions: dict[int, list[str]] = {}
        for annotation in coco["annotations"]:
            captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
        split = "val" if "val" in listing.name else "train"
        for image in coco["images"]:
            if image["id"] in captions:
                path = folder / "images" / image["file_name"]
                photos.append(Photo(path, split, tuple(captions[image["id"]])))
    return photos


HELD_OUT_SEED = 6
HELD_OUT_COUNT = 1000


def unlabelled_photos(folder: Path) -> tuple[list[Path], list[Path]]:
    """JPEG photos of a folder without captions: those to train on, and 1000 that every stage must leave alone."""
    paths = sorted(folder.glob("*.jpg"))
    if len(paths) < 2 * HELD_OUT_COUNT:
        raise SystemExit(f"{folder} holds {len(paths)} photos; of {2 * HELD_OUT_COUNT} or more, {HELD_OUT_COUNT} are held out")
    held_out = sorted(random.Random(HELD_OUT_SEED).sample(paths, HELD_OUT_COUNT))
    apart = set(held_out)
    return [path for path in paths if path not in apart], held_out
