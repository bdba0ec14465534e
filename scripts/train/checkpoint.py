"""Checkpoints that survive a kill, the training curve, and the score that chooses between epochs."""

import json
import os
from pathlib import Path

import torch
from matplotlib.figure import Figure

from cider import CiderD
from encoder import IMAGE_SIZE
from model import Captioner, Decoder, DecoderShape
from photos import Photo
from vocabulary import Vocabulary, split_words

MAX_TOKENS = 20


def save_atomically(content: dict | torch.Tensor, path: Path) -> None:
    """Write beside the target and rename, so that a kill leaves the old file or the new one."""
    part = path.with_suffix(".part")
    torch.save(content, part)
    os.replace(part, path)


def save_model(model: Captioner, vocabulary: Vocabulary, path: Path) -> None:
    """Weights, sizes and words: all that a later stage or the export needs."""
    content = {"shape": model.describe(), "image_size": model.encoder.image_size, "words": vocabulary.words, "weights": model.state_dict()}
    save_atomically(content, path)


def load_model(path: Path, image_size: int | None = None) -> tuple[Captioner, Vocabulary]:
    """The captioner and the words of a file from `save_model`, for images of another size if one is given."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    model = Captioner(DecoderShape(**content["shape"]), image_size or content.get("image_size", IMAGE_SIZE))
    model.load_state_dict(content["weights"])
    return model, Vocabulary(content["words"])


class Curve:
    """Loss and score by epoch, kept as JSON and drawn as PNG."""

    def __init__(self, folder: Path, rows: list[dict], score: str = "cider", meaning: str = "val CIDEr, greedy, own tokens (orange)"):
        self.folder = folder
        self.rows = rows
        self.score = score
        self.meaning = meaning

    def add(self, **row: float) -> None:
        """Append an epoch and write both files."""
        self.rows.append(row)
        (self.folder / "curve.json").write_text(json.dumps(self.rows, indent=1) + "\n")
        self._draw()

    def _draw(self) -> None:
        figure = Figure(figsize=(7, 4))
        loss_axis = figure.subplots()
        score_axis = loss_axis.twinx()
        epochs = [row["epoch"] for row in self.rows]
        loss_axis.plot(epochs, [row["loss"] for row in self.rows], "C0.-")
        score_axis.plot(epochs, [row[self.score] for row in self.rows], "C1.-")
        loss_axis.set(xlabel="epoch", ylabel="training loss (blue)")
        score_axis.set(ylabel=self.meaning)
        figure.savefig(self.folder / "curve.png", dpi=100)


class Validation:
    """Greedy captions of the val photos and their CIDEr-D, times 100 as papers print it."""

    def __init__(self, photos: list[Photo], vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        references = [[split_words(caption) for caption in photo.captions] for photo in photos]
        self.cider = CiderD(references)

    def score(self, decoder: Decoder, grids: torch.Tensor, chunk: int = 100) -> tuple[float, list[str]]:
        """Mean score and the captions for grids (N, cells, channels)."""
        decoder.eval()
        device = next(decoder.parameters()).device
        captions = []
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            for part in grids.split(chunk):
                tokens = decoder.generate(part.to(device), MAX_TOKENS)
                captions += [self.vocabulary.decode(row) for row in tokens[:, 0].tolist()]
        scores = [self.cider.score(photo, caption.split()) for photo, caption in enumerate(captions)]
        return 100 * sum(scores) / len(scores), captions
