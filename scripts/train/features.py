"""Encoder grids of photos, computed once and kept on disk, so that decoder stages need no encoder."""

from itertools import count, islice, takewhile
from pathlib import Path

import torch
from tqdm import tqdm

from checkpoint import save_atomically
from dataset import augment, load_images, normalise
from encoder import Encoder
from photos import Photo


@torch.inference_mode()
def encode_grids(encoder: Encoder, images: torch.Tensor, view: int = 0, chunk: int = 32, progress: bool = True) -> torch.Tensor:
    """Grids (N, cells, channels) in bfloat16 of a view of all images (N, S, S, 3) of a folder."""
    encoder.eval()
    device = encoder.device
    grids = torch.empty(len(images), encoder.cells, encoder.channels, dtype=torch.bfloat16)
    for first in tqdm(range(0, len(images), chunk), desc="features", leave=False, disable=not progress):
        pixels = normalise(images[first : first + chunk].to(device))
        if view:
            pixels = one_view(pixels, first, view).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            grid = encoder(pixels)
        grids[first : first + chunk] = grid.flatten(2).transpose(1, 2)
    return grids


def cached_grids(encoder: Encoder, photos: list[Photo], path: Path, view: int = 0) -> torch.Tensor:
    """Grids from `path`, computed and written first if the file is missing."""
    if not path.exists():
        grids = encode_grids(encoder, load_images([photo.path for photo in photos], encoder.image_size), view)
        save_atomically(grids, path)
    grids = torch.load(path, mmap=True, weights_only=True)
    if len(grids) != len(photos):
        raise SystemExit(f"{path} holds {len(grids)} photos, the split has {len(photos)}: remove it")
    return grids


def grids_name(place: int, view: int) -> str:
    """File of one view of the training photos of a folder, counted from 0."""
    return f"grids-train{place or ''}{('', '-mirrored')[view] if view < 2 else f'-view{view}'}.pt"


def view_of(pixels: torch.Tensor, index: int, view: int) -> torch.Tensor:
    """Pixels (3, S, S) of photo `index` of its folder: 0 as it is, 1 mirrored, others augmented, the same at every call."""
    if view < 2:
        return pixels.flip(2) if view else pixels
    return augment(pixels[None], torch.Generator().manual_seed(1_000_000 * view + index))[0]


def one_view(pixels: torch.Tensor, first: int, view: int) -> torch.Tensor:
    """The same view of photos (N, 3, S, S) in a row, of which `first` is the first one's place in its folder."""
    return torch.stack([view_of(photo, first + place, view) for place, photo in enumerate(pixels)])


class CachedViews:
    """Grids of the training photos of one folder or several: as they are, mirrored, and so many views in all, or what there are."""

    def __init__(self, encoder: Encoder, folders: list[list[Photo]], cache: Path, wanted: int = 2):
        self.views, self.places = [], []
        for place, photos in enumerate(folders):
            names = (cache / grids_name(place, view) for view in count())
            paths = [*islice(names, wanted if encoder.can_look else 1), *takewhile(Path.exists, names)]
            self.views.append([cached_grids(encoder, photos, path, view) for view, path in enumerate(paths)])
            self.places += [(place, index) for index in range(len(photos))]

    def draw(self, indices: list[int], generator: torch.Generator) -> list[int]:
        """A view for each of the photos."""
        shares = torch.rand(len(indices), generator=generator).tolist()
        return [int(share * len(self.views[self.places[index][0]])) for share, index in zip(shares, indices)]

    def pick(self, indices: list[int], views: list[int]) -> torch.Tensor:
        """Grids (P, cells, channels) of photos counted through all folders."""
        chosen = zip((self.places[index] for index in indices), views)
        return torch.stack([self.views[place][view][index] for (place, index), view in chosen])

    def show(self, images: torch.Tensor, indices: list[int], views: list[int]) -> torch.Tensor:
        """The pixels (P, 3, S, S) that the grids were made of, at the size of all `images` (N, S, S, 3)."""
        chosen = zip(normalise(images[indices]), (self.places[index][1] for index in indices), views)
        return torch.stack([view_of(*one) for one in chosen])


class FrozenInput:
    """Cached grids of the training photos, a view drawn at random."""

    def __init__(self, encoder: Encoder, folders: list[list[Photo]], cache: Path, wanted: int):
        self.views = CachedViews(encoder, folders, cache, wanted)

    def grid(self, indices: list[int], generator: torch.Generator) -> torch.Tensor:
        """Grids (P, cells, channels)."""
        return self.views.pick(indices, self.views.draw(indices, generator))

    maps = grid

    @staticmethod
    def read(_: Encoder, maps: torch.Tensor) -> torch.Tensor:
        """The grids as they were picked."""
        return maps
