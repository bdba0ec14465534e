# /// script
# requires-python = ">=3.10"
# dependencies = ["tqdm"]
# ///
"""Give unlabelled photos captions borrowed from caption sentences that have no photos, by the objects they name.

For each photo the sentences are ranked by how well the COCO classes they name, and whether they name one or several,
agree with the objects a detector saw (`detect.py`). A class of which there is no trace rules a sentence out. The
result is a folder in Flickr8k form, to be trained on with `--more`. The photos held out for `breadth.py` are left
alone, and so are photos without a clear object.

    borrow.py --photos photos/ --objects runs/objects.jsonl --text coco.txt --text flickr30k.txt --output runs/borrowed
"""

import argparse
import json
import math
import random
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from objects import TRACE, Mention, mentions
from photos import unlabelled_photos
from vocabulary import split_words

CLEAR = 0.5
LONGEST = 16
SHORTEST = 5
WRONG_NUMBER = 0.4

Objects = dict[str, tuple[float, int]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEG photos")
    parser.add_argument("--objects", type=Path, required=True, help="JSON lines from detect.py")
    parser.add_argument("--text", type=Path, action="append", required=True, help="file with a sentence a line (any number)")
    parser.add_argument("--output", type=Path, required=True, help="folder to write: captions.jsonl and a link to the photos")
    parser.add_argument("--captions", type=int, default=5, help="sentences a photo")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Sentences:
    """Sentences by the set of things they name."""

    def __init__(self, lines: list[str]):
        self.groups: dict[frozenset[Mention], list[str]] = {}
        for line in dict.fromkeys(lines):
            named = frozenset(mentions(line))
            if named and SHORTEST <= len(split_words(line)) <= LONGEST:
                self.groups.setdefault(named, []).append(line)
        counts = Counter(mention.name for named, group in self.groups.items() for mention in named for _ in group)
        total = sum(map(len, self.groups.values()))
        self.weight = {name: math.log(total / count) for name, count in counts.items()}

    def fit(self, named: frozenset[Mention], objects: Objects) -> float:
        """How well what is named agrees with what is seen; minus infinity if something named is not there."""
        score = 0.0
        for mention in named:
            seen, count = objects.get(mention.name, (0.0, 0))
            if seen < TRACE:
                return -math.inf
            right_number = (count > 1) == mention.is_plural
            score += seen * self.weight[mention.name] * (1.0 if right_number else 1.0 - WRONG_NUMBER)
        names = {mention.name for mention in named}
        missed = sum(seen * self.weight.get(name, 0.0) for name, (seen, _) in objects.items() if seen > CLEAR and name not in names)
        return score - 0.5 * missed

    def best(self, objects: Objects, count: int, chooser: random.Random) -> list[str]:
        """The sentences that fit best, drawn at random among those that fit alike."""
        fits = [(self.fit(named, objects), group) for named, group in self.groups.items()]
        ranked = sorted(((fit, group) for fit, group in fits if fit > 0), key=lambda item: -item[0])
        chosen: list[str] = []
        for _, group in ranked:
            chosen += chooser.sample(group, min(count - len(chosen), len(group)))
            if len(chosen) == count:
                break
        return chosen


def main() -> None:
    options = parse_arguments()
    lines = [line for path in options.text for line in path.read_text(encoding="utf-8").splitlines()]
    sentences = Sentences(lines)
    rows = map(json.loads, options.objects.read_text(encoding="utf-8").splitlines())
    objects = {row["file"]: {name: (score, count) for name, score, count in row["objects"]} for row in rows}
    photos, _ = unlabelled_photos(options.photos)
    chooser, written = random.Random(options.seed), 0
    options.output.mkdir(parents=True, exist_ok=True)
    if not (options.output / "images").exists():
        (options.output / "images").symlink_to(options.photos.resolve())
    with (options.output / "captions.jsonl").open("w", encoding="utf-8") as output:
        for path in tqdm(photos, desc="photos"):
            seen = objects.get(path.name, {})
            captions = []
            if any(score > CLEAR for score, _ in seen.values()):
                captions = sentences.best(seen, options.captions, chooser)
            if captions:
                output.write(json.dumps({"file": path.name, "split": "train", "captions": captions}) + "\n")
                written += 1
    print(f"{options.output}: {written} of {len(photos)} photos have captions")


if __name__ == "__main__":
    main()
