# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "scipy", "tqdm"]
# ///
"""Find scenes like those of the captioned photos in a text whose captions come in groups, one group a scene.

Flickr30k's captions without their photos are such a text: five lines in a row say what one photo shows. The groups most like
a photo's own captions say what else people write of such a photo, and `scst.py --scenes` rewards that as well, so that a
captioner learns less of the training photos by heart. Alike are captions whose n-grams of 1 to 4 words have a large cosine,
weighted by TF-IDF as CIDEr weighs them (Vedantam et al. 2015). Groups with two captions of the training photos are left out:
they are those photos. Two minutes and 4 GB for 6000 photos and 29,000 groups.

    scenes.py --data DIR --text flickr30k.txt --output runs/scenes.jsonl
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import scipy.sparse
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cider import LONGEST, ngrams
from photos import read_photos
from vocabulary import split_words

RAREST = 0.001  # share of the groups: N-grams of fewer weigh no more than those of so many
CHUNK = 500

Group = list[list[str]]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--text", type=Path, required=True, help="file with a caption a line, those of a scene in a row")
    parser.add_argument("--group", type=int, default=5, help="captions a scene")
    parser.add_argument("--scenes", type=int, default=8, help="scenes to keep for each photo, the likest first")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines to write, one a photo")
    return parser.parse_args()


class Ngrams:
    """TF-IDF vectors of groups of captions by n-grams of one size; the text's groups give the document frequencies."""

    def __init__(self, groups: list[Group], size: int):
        self.size, self.places = size, {}
        counts = self._count(groups, is_text=True)
        frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
        weights = np.log(len(groups) / np.maximum(frequency, RAREST * len(groups))) * (frequency > 1)
        self.weights = scipy.sparse.diags(weights.astype(np.float32))
        self.vectors = self._weigh(counts)

    def of(self, groups: list[Group]) -> scipy.sparse.csr_matrix:
        """Unit vectors (groups, n-grams) of other groups."""
        return self._weigh(self._count(groups, is_text=False))

    def _count(self, groups: list[Group], is_text: bool) -> scipy.sparse.csr_matrix:
        rows, columns, values = [], [], []
        for row, group in enumerate(groups):
            for ngram, count in Counter(ngram for words in group for ngram in ngrams(words, self.size)).items():
                if is_text or ngram in self.places:
                    rows.append(row)
                    columns.append(self.places.setdefault(ngram, len(self.places)))
                    values.append(count)
        return scipy.sparse.csr_matrix((np.array(values, np.float32), (rows, columns)), (len(groups), len(self.places)))

    def _weigh(self, counts: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        weighted = counts @ self.weights
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        return scipy.sparse.diags(1 / np.maximum(norms, 1e-6)) @ weighted


def likenesses(photos: list[Group], groups: list[Group]) -> np.ndarray:
    """Cosines (photos, groups), the mean of those of all sizes of n-grams; -1 for groups that are one of the photos."""
    likeness = np.zeros((len(photos), len(groups)), np.float32)
    for size in tqdm(range(1, LONGEST + 1), desc="n-grams"):
        text = Ngrams(groups, size)
        others = text.of(photos)
        for first in range(0, len(photos), CHUNK):
            likeness[first : first + CHUNK] += (others[first : first + CHUNK] @ text.vectors.T).toarray() / LONGEST
    own = {tuple(words) for photo in photos for words in photo}
    likeness[:, [sum(tuple(words) in own for words in group) > 1 for group in groups]] = -1
    return likeness


def main() -> None:
    options = parse_arguments()
    photos = read_photos(options.data, "train")
    lines = options.text.read_text(encoding="utf-8").splitlines()
    scenes = [lines[first : first + options.group] for first in range(0, len(lines) - options.group + 1, options.group)]
    if not scenes:
        raise SystemExit(f"{options.text} has {len(lines)} lines: a scene is {options.group} (--group)")
    likeness = likenesses(
        [list(map(split_words, photo.captions)) for photo in photos], [list(map(split_words, scene)) for scene in scenes]
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("w", encoding="utf-8") as output:
        for photo, row in zip(photos, likeness):
            likest = [place for place in np.argsort(-row)[: options.scenes] if row[place] > 0]
            found = [{"likeness": round(float(row[place]), 4), "captions": scenes[place]} for place in likest]
            output.write(json.dumps({"file": photo.path.name, "scenes": found}) + "\n")
    print(f"{options.output}: scenes for {len(photos)} photos out of {len(scenes)}")


if __name__ == "__main__":
    main()
