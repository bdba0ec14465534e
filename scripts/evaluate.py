# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm", "pycocoevalcap"]
# ///
"""Score a model folder on captioned photos: BLEU-1 to 4, METEOR, ROUGE-L and CIDEr.

The captions come from the scenescribe program, or with `--engine onnxruntime` from ONNX Runtime under the same
decoding rules. Java is needed: the scores use the PTB tokenizer, as papers do.

    evaluate.py models/default --data DIR --binary target/release/scenescribe --beam 3
"""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from captions import add_arguments, caption
from photos import Photo, read_photos
from repetition import said_twice


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, help="score the first so many photos only")
    parser.add_argument("--json", type=Path, help="write scores and captions here")
    return parser.parse_args()


def tokenize(photos: list[Photo], captions: list[str]) -> tuple[dict, dict]:
    """Human captions and the model's by photo, as PTB tokens joined by spaces."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    human = {index: [{"caption": text} for text in photo.captions] for index, photo in enumerate(photos)}
    model = {index: [{"caption": text}] for index, text in enumerate(captions)}
    return tokenizer.tokenize(human), tokenizer.tokenize(model)


def score(photos: list[Photo], captions: list[str]) -> dict[str, float]:
    """Scores by name, times 100 as papers print them."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    with contextlib.redirect_stdout(open(os.devnull, "w")):
        references, results = tokenize(photos, captions)
        bleu, _ = Bleu(4).compute_score(references, results, verbose=0)
        scores = {f"BLEU-{size + 1}": value for size, value in enumerate(bleu)}
        for name, scorer in (("METEOR", Meteor()), ("ROUGE-L", Rouge()), ("CIDEr", Cider())):
            scores[name], _ = scorer.compute_score(references, results)
    return {name: round(100 * float(value), 2) for name, value in scores.items()}


def describe(captions: list[str]) -> dict[str, float]:
    """Signs of captions that score but do not read well."""
    words = [caption.split() for caption in captions]
    return {
        "different": len(set(captions)) / len(captions),
        "words": sum(map(len, words)) / len(words),
        "vocabulary": len({word for caption in words for word in caption}),
        "twice": sum(bool(said_twice(caption)) for caption in captions) / len(captions),
    }


def main() -> None:
    options = parse_arguments()
    photos = read_photos(options.data, options.split)[: options.limit]
    captions = list(tqdm(caption(options, [photo.path for photo in photos]), total=len(photos), desc="captions"))
    scores = score(photos, captions)
    print(f"{options.model}, {options.precision}, beam {options.beam}, {options.engine}, {len(photos)} photos of {options.split}")
    print(" ".join(f"{name:>8}" for name in scores))
    print(" ".join(f"{value:8.2f}" for value in scores.values()))
    text = describe(captions)
    print(f"{100 * text['different']:.0f} % different captions, {text['words']:.1f} words on average, "
          f"{text['vocabulary']} different words, {100 * text['twice']:.1f} % say a word twice")
    if options.json:
        rows = [{"file": photo.path.name, "caption": caption} for photo, caption in zip(photos, captions)]
        options.json.write_text(json.dumps({"scores": scores, **text, "captions": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
