# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "numba"]
# ///
"""Keep a captioner's commonest words alone: a smaller decoder, a shorter step, nothing trained.

The others are not said any more. A captioner says few of the words that it knows: see `evaluate.py`.

    trim.py runs/rewarded/best.pt runs/trimmed/best.pt --data DIR --words 1200
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checkpoint import load_model, save_model
from model import Captioner
from photos import read_training_photos
from vocabulary import SPECIAL_WORDS, Vocabulary, split_words


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="best.pt of a training stage")
    parser.add_argument("output", type=Path, help="checkpoint to write")
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form; its training captions count the words")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder to count in (any number)")
    parser.add_argument("--words", type=int, required=True, help="words to keep, besides the special ones")
    return parser.parse_args()


def commonest(vocabulary: Vocabulary, captions: list[str], count: int) -> list[int]:
    """Token ids of the special words and of so many others that occur in most captions, in their old order."""
    counts = Counter(word for caption in captions for word in set(split_words(caption)))
    others = range(len(SPECIAL_WORDS), len(vocabulary))
    kept = sorted(others, key=lambda token: -counts[vocabulary.words[token]])[:count]
    return [*range(len(SPECIAL_WORDS)), *sorted(kept)]


@torch.no_grad()
def keep_words(model: Captioner, vocabulary: Vocabulary, tokens: list[int]) -> tuple[Captioner, Vocabulary]:
    """The model with these tokens alone, in their order."""
    narrow = Captioner(replace(model.decoder.shape, vocabulary=len(tokens)), model.encoder.image_size)
    narrow.encoder.load_state_dict(model.encoder.state_dict())
    weights = model.decoder.state_dict()
    weights.update({name: weights[name][tokens] for name in ("embedding.weight", "score_bias")})
    narrow.decoder.load_state_dict(weights)
    return narrow.eval(), Vocabulary([vocabulary.words[token] for token in tokens])


def main() -> None:
    options = parse_arguments()
    model, vocabulary = load_model(options.checkpoint)
    folders = read_training_photos(options.data, options.more)
    captions = [caption for photos in folders for photo in photos for caption in photo.captions]
    model, words = keep_words(model, vocabulary, commonest(vocabulary, captions, options.words))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, words, options.output)
    print(f"{options.output}: {len(words)} of {len(vocabulary)} words")


if __name__ == "__main__":
    main()
