# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm"]
# ///
"""Measure whether captions name what is there, on photos far from the training photos.

Captions 1000 photos (drawn from the folder with a fixed seed, and left alone by every stage of training) and
compares the COCO classes they name with the objects a detector saw (`detect.py`):

- right: captions that name an object seen with a score over 0.6;
- wrong: captions that name an object of which the detector saw no trace (no score of 0.3 or more).

Both are shares of all the photos on which the detector saw something over 0.6, and are given once more without
people, who are in most photos and most captions.

    detect.py PicoDet.onnx photos/ runs/objects.jsonl
    breadth.py models/default --photos photos/ --objects runs/objects.jsonl
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from captions import add_arguments, caption
from objects import TRACE, classes_named, read_objects
from photos import unlabelled_photos

SEEN = 0.6


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG photos")
    parser.add_argument("--objects", type=Path, required=True, help="JSON lines from detect.py")
    parser.add_argument("--json", type=Path, help="write captions and what they name here")
    return parser.parse_args()


def judge(caption: str, scores: dict[str, float]) -> dict:
    """What a caption names, and which of it is seen, or without a trace."""
    named = classes_named(caption)
    return {
        "named": sorted(named),
        "right": sorted(name for name in named if scores.get(name, 0.0) > SEEN),
        "wrong": sorted(name for name in named if scores.get(name, 0.0) < TRACE),
    }


def share(rows: list[dict], key: str, leave_out: str | None = None) -> float:
    """Percent of the rows whose list `key` holds something besides `leave_out`."""
    return 100 * sum(any(name != leave_out for name in row[key]) for row in rows) / max(len(rows), 1)


def report(rows: list[dict]) -> None:
    """Print shares and the classes most often named wrongly."""
    seen = [row for row in rows if row["seen"]]
    things = [row for row in seen if row["seen"] != ["person"]]
    print(f"{len(rows)} photos; the detector saw something over {SEEN} on {len(seen)}, other than people on {len(things)}")
    print(f"right: {share(seen, 'right'):.1f} %; without people {share(things, 'right', 'person'):.1f} %")
    print(f"wrong: {share(seen, 'wrong'):.1f} %; without people {share(things, 'wrong', 'person'):.1f} %")
    wrong = Counter(name for row in rows for name in row["wrong"])
    print("most often wrong: " + ", ".join(f"{name} {count}" for name, count in wrong.most_common(8)))
    print("classes named right: " + ", ".join(sorted({name for row in rows for name in row["right"]})))


def main() -> None:
    options = parse_arguments()
    objects = read_objects(options.objects)
    _, paths = unlabelled_photos(options.photos)
    missing = [path.name for path in paths if path.name not in objects]
    if missing:
        raise SystemExit(f"{options.objects} lacks {len(missing)} photos, for example {missing[0]}: run detect.py first")
    rows = []
    for path, text in zip(paths, tqdm(caption(options, paths), total=len(paths), desc="captions")):
        scores = objects[path.name]
        seen = sorted(name for name, score in scores.items() if score > SEEN)
        rows.append({"file": path.name, "caption": text, "seen": seen, **judge(text, scores)})
    print(f"{options.model}, {options.precision}, beam {options.beam}, {options.engine}")
    report(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
