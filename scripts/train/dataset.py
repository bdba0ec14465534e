"""Training input: images as tensors, augmented, and captions as token rows."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from photos import Photo
from vocabulary import END, START, Vocabulary

IMAGE_MEAN = 127.0
IMAGE_SCALE = 128.0
MAX_WORDS = 19


def load_image(path: Path, size: int) -> np.ndarray:
    """A photo squashed to the square, (S, S, 3) bytes."""
    image = Image.open(path).convert("RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def load_images(paths: list[Path], size: int) -> torch.Tensor:
    """Photos as bytes, (N, S, S, 3)."""
    images = torch.empty((len(paths), size, size, 3), dtype=torch.uint8)

    def load(index: int) -> None:
        images[index] = torch.from_numpy(load_image(paths[index], size).copy())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(load, range(len(paths))))
    return images


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Bytes (N, S, S, 3) to network input (N, 3, S, S), channels last in memory."""
    return ((images.float() - IMAGE_MEAN) / IMAGE_SCALE).permute(0, 3, 1, 2)


def augment(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Flip, crop (at least 56 % of the area), brightness, contrast and saturation, each photo its own."""
    count = len(pixels)

    def uniform(low: float, high: float) -> torch.Tensor:
        return (low + (high - low) * torch.rand(count, generator=generator)).to(pixels.device)

    scale_x, scale_y = uniform(0.75, 1.0), uniform(0.75, 1.0)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    transform = torch.zeros(count, 2, 3, device=pixels.device)
    transform[:, 0, 0] = scale_x * mirror
    transform[:, 1, 1] = scale_y
    transform[:, 0, 2] = uniform(-1, 1) * (1 - scale_x)
    transform[:, 1, 2] = uniform(-1, 1) * (1 - scale_y)
    grid = torch.nn.functional.affine_grid(transform, list(pixels.shape), align_corners=False)
    pixels = torch.nn.functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return light(pixels, generator)


def light(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast and saturation of pixels (N, 3, S, S), each photo its own."""

    def uniform(low: float, high: float) -> torch.Tensor:
        drawn = low + (high - low) * torch.rand(len(pixels), generator=generator)
        return drawn.to(pixels.device)[:, None, None, None]

    gray = pixels.mean(dim=1, keepdim=True)
    saturation, contrast, brightness = (uniform(*limits) for limits in ((0.6, 1.4), (0.7, 1.3), (-0.2, 0.2)))
    pixels = gray + (pixels - gray) * saturation
    level = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (pixels - level) * contrast + level + brightness
    return pixels.clamp(-1, 1).contiguous(memory_format=torch.channels_last)


def endless_batches(count: int, batch: int, seed: int) -> Iterator[list[int]]:
    """Indices of `batch` out of `count` photos for each step, epoch after epoch, the same in every run of a seed."""
    if count < batch:
        raise SystemExit(f"{count} photos do not make a batch of {batch}: give a smaller --batch")
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        for start in range(0, count - batch + 1, batch):
            yield order[start : start + batch]


class CaptionTokens:
    """Captions of each photo as padded token rows, five a photo (drawn again where there are fewer or more)."""

    per_photo = 5

    def __init__(self, photos: list[Photo], vocabulary: Vocabulary):
        self.rows = [[vocabulary.encode(caption)[:MAX_WORDS] for caption in photo.captions] for photo in photos]

    def batch(self, indices: list[int], chooser: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets, each (P, 5, T) with pad 0: start + words, and words + end."""
        rows = [row for index in indices for row in self._choose(self.rows[index], chooser)]
        inputs, targets = self.pad(rows)
        shape = (len(indices), self.per_photo, inputs.shape[-1])
        return inputs.view(shape), targets.view(shape)

    @staticmethod
    def pad(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (N, T) of token rows."""
        length = max(map(len, rows)) + 1
        inputs = torch.zeros(len(rows), length, dtype=torch.long)
        targets = torch.zeros(len(rows), length, dtype=torch.long)
        for line, row in enumerate(rows):
            inputs[line, : len(row) + 1] = torch.tensor([START, *row])
            targets[line, : len(row) + 1] = torch.tensor([*row, END])
        return inputs, targets

    def _choose(self, rows: list[list[int]], chooser: random.Random) -> list[list[int]]:
        if len(rows) == self.per_photo:
            return rows
        if len(rows) > self.per_photo:
            return chooser.sample(rows, self.per_photo)
        return rows + chooser.choices(rows, k=self.per_photo - len(rows))
