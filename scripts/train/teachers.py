"""Several finished captioners as one teacher: the mean of their word probabilities (Hinton et al. 2015)."""

from pathlib import Path

import torch
from torch import nn

from checkpoint import load_model
from features import CachedViews
from model import Captioner
from photos import Photo
from vocabulary import Vocabulary


class Teachers:
    """What several captioners together think of the words of a learner with the same vocabulary.

    They may have other encoders than the learner. They read the photos as they are or mirrored, their grids computed
    once, while the learner reads augmented views.
    """

    def __init__(self, paths: list[Path], vocabulary: Vocabulary, folders: list[list[Photo]], cache: Path, device: str):
        self.models = [self._open(path, vocabulary).to(device) for path in paths]
        self.views = [self._encode(model, folders, cache / f"teacher{place}") for place, model in enumerate(self.models)]

    @staticmethod
    def _open(path: Path, vocabulary: Vocabulary) -> Captioner:
        model, words = load_model(path)
        if words.words != vocabulary.words:
            raise SystemExit(f"{path} has other words than the captioner to train")
        return model.eval().requires_grad_(False)

    @staticmethod
    def _encode(model: Captioner, folders: list[list[Photo]], cache: Path) -> CachedViews:
        cache.mkdir(parents=True, exist_ok=True)
        return CachedViews(model.encoder, folders, cache)

    @torch.no_grad()
    def probabilities(self, indices: list[int], inputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean probabilities (N, V) after the N words of inputs (P, C, T) that `wanted` marks."""
        total, mirrored = 0.0, torch.randint(2, (len(indices),)).tolist()
        for model, views in zip(self.models, self.views):
            grid = views.pick(indices, mirrored).to(inputs.device)
            total = total + model.decoder.score_wanted(grid, inputs, wanted).float().softmax(dim=-1)
        return total / len(self.models)

    def loss(self, indices: list[int], inputs: torch.Tensor, wanted: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mean divergence of the learner's scores (N, V) from the teachers, in nats a word."""
        log_probabilities = scores.float().log_softmax(dim=-1)
        return nn.functional.kl_div(log_probabilities, self.probabilities(indices, inputs, wanted), reduction="batchmean")
