"""Doubt where there is nothing to see, so that confidence means something: its loss on empty pictures."""

import random

import torch

from dataset import normalise
from empty import draw_empty
from model import Captioner, as_read
from vocabulary import PAD

DOUBT = 4.0  # nats of entropy a word
CERTAINTY_WEIGHT = 0.1


def certainty_loss(model: Captioner, count: int, longest: int, generator: torch.Generator) -> torch.Tensor | float:
    """How far the entropy of the words of greedy captions of so many empty pictures stays behind DOUBT."""
    if not count:
        return 0.0
    device = model.encoder.device
    chooser = random.Random(int(torch.randint(2**31, (1,), generator=generator)))
    pixels = normalise(draw_empty(count, model.encoder.image_size, chooser).to(device))
    with torch.autocast(device.type, torch.bfloat16):
        grid = model.grid(pixels.contiguous(memory_format=torch.channels_last))
        tokens = model.decoder.generate(grid.detach(), longest)
        inputs = as_read(tokens)
        scores = model.decoder.score_wanted(grid, inputs, tokens != PAD)
    entropy = torch.distributions.Categorical(logits=scores.float()).entropy()
    return CERTAINTY_WEIGHT * (DOUBT - entropy).clamp(min=0).mean()
