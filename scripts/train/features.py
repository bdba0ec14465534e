"""Encoder grids of photos, computed once and kept on disk, so that decoder stages need no encoder."""

from pathlib import Path

import torch
from tqdm import tqdm

from checkpoint import save_atomically
from dataset import load_images, normalise
from encoder import Encoder
from photos import Photo


@torch.inference_mode()
def encode_grids(encoder: Encoder, images: torch.Tensor, mirrored: bool, chunk: int = 32, progress: bool = True) -> torch.Tensor:
    """Grids (N, cells, channels) in bfloat16 of images (N, S, S, 3)."""
    encoder.eval()
    device = encoder.device
    grids = torch.empty(len(images), encoder.cells, encoder.channels, dtype=torch.bfloat16)
    for first in tqdm(range(0, len(images), chunk), desc="features", leave=False, disable=not progress):
        pixels = normalise(images[first : first + chunk].to(device))
        if mirrored:
            pixels = pixels.flip(3).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            grid = encoder(pixels)
        grids[first : first + chunk] = grid.flatten(2).transpose(1, 2)
    return grids


def cached_grids(encoder: Encoder, photos: list[Photo], path: Path, mirrored: bool) -> torch.Tensor:
    """Grids from `path`, computed and written first if the file is missing."""
    if not path.exists():
        grids = encode_grids(encoder, load_images([photo.path for photo in photos], encoder.image_size), mirrored)
        save_atomically(grids, path)
    grids = torch.load(path, mmap=True, weights_only=True)
    if len(grids) != len(photos):
        raise SystemExit(f"{path} holds {len(grids)} photos, the split has {len(photos)}: remove it")
    return grids


class CachedViews:
    """Grids of the training photos of one folder or several, each as it is or mirrored."""

    def __init__(self, encoder: Encoder, folders: list[list[Photo]], cache: Path):
        self.views = [
            [cached_grids(encoder, photos, cache / f"grids-train{place or ''}{name}.pt", bool(name)) for name in ("", "-mirrored")]
            for place, photos in enumerate(folders)
        ]
        self.places = [(place, index) for place, photos in enumerate(folders) for index in range(len(photos))]

    def pick(self, indices: list[int], mirrored: torch.Tensor) -> torch.Tensor:
        """Grids (P, cells, channels) of photos counted through all folders."""
        chosen = zip((self.places[index] for index in indices), mirrored.tolist())
        return torch.stack([self.views[place][int(flip)][index] for (place, index), flip in chosen])


class FrozenInput:
    """Cached grids of the training photos, each as it is or mirrored at random."""

    def __init__(self, encoder: Encoder, folders: list[list[Photo]], cache: Path):
        self.views = CachedViews(encoder, folders, cache)

    def grid(self, indices: list[int], generator: torch.Generator) -> torch.Tensor:
        """Grids (P, cells, channels)."""
        return self.views.pick(indices, torch.rand(len(indices), generator=generator) < 0.5)

    maps = grid

    @staticmethod
    def read(_: Encoder, maps: torch.Tensor) -> torch.Tensor:
        """The grids as they were picked."""
        return maps
