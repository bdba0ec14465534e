"""Augmented views of the training photos, as the frozen first blocks of the encoder leave them: kept on disk, or ever new.

Blocks that are not trained give the same again and again, and they are those with the largest maps.
"""

from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from checkpoint import save_atomically
from dataset import augment, load_images, normalise
from encoder import Encoder
from model import Captioner
from photos import Photo


@torch.no_grad()
def augmented_maps(encoder: Encoder, blocks: int, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A view of each of the images (N, S, S, 3): what block `blocks` reads of it, (N, C, H, W), channels last."""
    device = encoder.device
    pixels = augment(normalise(images.to(device)), generator)
    with torch.autocast(device.type, torch.bfloat16):
        return encoder.first_blocks(pixels, blocks)


def make_views(encoder: Encoder, blocks: int, photos: list[Photo], seed: int, chunk: int = 32) -> torch.Tensor:
    """One view of each photo, (N, C, H, W) in bfloat16, channels last: what block `blocks` reads."""
    generator = torch.Generator().manual_seed(seed)
    images = load_images([photo.path for photo in photos], encoder.image_size)
    views = None
    for first in tqdm(range(0, len(images), chunk), desc="views", leave=False):
        maps = augmented_maps(encoder, blocks, images[first : first + chunk], generator)
        if views is None:
            views = torch.empty((len(images), *maps.shape[1:]), dtype=torch.bfloat16, memory_format=torch.channels_last)
        views[first : first + chunk] = maps
    return views


class KeptViews:
    """Several views of each photo; a cache file a view."""

    def __init__(self, encoder: Encoder, blocks: int, photos: list[Photo], count: int, cache: Path):
        paths = [cache / f"views-{blocks}-{view}.pt" for view in range(count)]
        for view, path in enumerate(paths):
            if not path.exists():
                save_atomically(make_views(encoder, blocks, photos, seed=view), path)
        self.views = [torch.load(path, mmap=True, weights_only=True) for path in paths]
        if any(len(view) != len(photos) for view in self.views):
            raise SystemExit(f"the views in {cache} are of other photos: remove them")

    def draw(self, indices: list[int], generator: torch.Generator) -> torch.Tensor:
        """One view of each photo, drawn at random: (P, C, H, W), channels last."""
        chosen = torch.randint(len(self.views), (len(indices),), generator=generator).tolist()
        maps = torch.stack([self.views[view][index] for view, index in zip(chosen, indices)])
        return maps.contiguous(memory_format=torch.channels_last)


class FreshViews:
    """Views made as they are drawn, none twice; the frozen blocks are computed for each."""

    def __init__(self, encoder: Encoder, blocks: int, photos: list[Photo]):
        self.encoder, self.blocks = encoder, blocks
        self.images = load_images([photo.path for photo in photos], encoder.image_size)

    def draw(self, indices: list[int], generator: torch.Generator) -> torch.Tensor:
        """One view of each photo: (P, C, H, W), channels last."""
        return augmented_maps(self.encoder, self.blocks, self.images[indices], generator)


def cut_out(maps: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Maps (P, C, H, W) moved by up to a tenth of a side, a rectangle of each put to the mean (DeVries and Taylor 2017).

    To the mean of each channel, not to zero: averages of maps, which squeeze and excitation reads, stay what they are.
    """
    height, width = maps.shape[-2:]

    def draw(limit: int) -> list[int]:
        return torch.randint(limit, (len(maps),), generator=generator).tolist()

    reach = height // 10
    padded = nn.functional.pad(maps, (reach,) * 4, mode="replicate")
    moved = torch.empty_like(maps)
    moves = zip(draw(2 * reach + 1), draw(2 * reach + 1), draw(height), draw(width), draw(height // 2), draw(width // 2))
    for photo, (down, right, top, left, tall, wide) in enumerate(moves):
        moved[photo] = padded[photo, :, down : down + height, right : right + width]
        moved[photo, :, top : top + tall, left : left + wide] = maps[photo].mean(dim=(1, 2))[:, None, None]
    return moved


class ViewInput:
    """Views of the training photos, as the frozen blocks leave them, through the other blocks; `count` 0: ever new views."""

    def __init__(self, model: Captioner, photos: list[Photo], count: int, blocks: int, cache: Path):
        self.encoder = model.encoder
        self.blocks = blocks
        self.views = KeptViews(self.encoder, blocks, photos, count, cache) if count else FreshViews(self.encoder, blocks, photos)

    def maps(self, indices: list[int], generator: torch.Generator) -> torch.Tensor:
        """What the last blocks read, (P, C, H, W), channels last."""
        return cut_out(self.views.draw(indices, generator), generator).to(self.encoder.device)

    def read(self, encoder: Encoder, maps: torch.Tensor) -> torch.Tensor:
        """Grids (P, cells, channels) that an encoder with the same frozen blocks makes of maps, with gradient."""
        return encoder.last_blocks(maps, self.blocks).flatten(2).transpose(1, 2)

    def grid(self, indices: list[int], generator: torch.Generator) -> torch.Tensor:
        """Grids (P, cells, channels), with gradient."""
        return self.read(self.encoder, self.maps(indices, generator))
