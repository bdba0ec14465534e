"""Several finished captioners as one teacher: the mean of their word probabilities (Hinton et al. 2015)."""

from pathlib import Path

import torch
from torch import nn

from checkpoint import load_model
from model import Captioner
from views import ViewInput
from vocabulary import Vocabulary


class Teachers:
    """What several captioners together think of the words that one of their kind draws.

    They read what the learner's frozen blocks leave, so these must be theirs as well.
    """

    def __init__(self, paths: list[Path], learner: Captioner, vocabulary: Vocabulary, view_input: ViewInput):
        self.view_input = view_input
        self.models = [self._open(path, learner, vocabulary) for path in paths]

    def _open(self, path: Path, learner: Captioner, vocabulary: Vocabulary) -> Captioner:
        model, words = load_model(path)
        if words.words != vocabulary.words:
            raise SystemExit(f"{path} has other words than the captioner to train")
        model.to(next(learner.parameters()).device).eval().requires_grad_(False)
        if not self._same_first_blocks(learner, model):
            raise SystemExit(f"the frozen blocks of {path} are not those of the captioner to train")
        return model

    @torch.no_grad()
    def _same_first_blocks(self, learner: Captioner, model: Captioner) -> bool:
        size, blocks = learner.encoder.image_size, self.view_input.blocks
        pixels = torch.randn(1, 3, size, size, device=next(learner.parameters()).device)
        return torch.equal(learner.encoder.first_blocks(pixels, blocks), model.encoder.first_blocks(pixels, blocks))

    @torch.no_grad()
    def probabilities(self, maps: torch.Tensor, inputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean probabilities (N, V) after the N words of inputs (P, C, T) that `wanted` marks, of photos given as maps (P, C, H, W)."""
        total = 0.0
        for model in self.models:
            grid = self.view_input.read(model.encoder, maps)
            total = total + model.decoder.score_wanted(grid, inputs, wanted).float().softmax(dim=-1)
        return total / len(self.models)

    def loss(self, maps: torch.Tensor, inputs: torch.Tensor, wanted: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Mean divergence of the learner's scores (N, V) from the teachers, in nats a word."""
        log_probabilities = scores.float().log_softmax(dim=-1)
        return nn.functional.kl_div(log_probabilities, self.probabilities(maps, inputs, wanted), reduction="batchmean")
