"""Convolutional encoders as a stem, blocks and a head; batch norm is folded into them, so fine-tuning keeps it frozen."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import torch
from torch import nn

from depthwise import Depthwise

IMAGE_SIZE = 224
CELL_SIZE = 32


@dataclass(frozen=True)
class ConvolutionShape:
    """One convolution of the net, named as its output is in the graph; `limit` is what it is clipped to from above."""

    name: str
    inputs: int
    outputs: int
    size: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    limit: float | None = inf
    symmetric: bool = True

    def padding(self) -> tuple[int, int]:
        """Pixels before and after; if not symmetric, as TensorFlow's SAME pads them."""
        if self.symmetric:
            return self.kernel // 2, self.kernel // 2
        total = max((-(-self.size // self.stride) - 1) * self.stride + self.kernel - self.size, 0)
        return total // 2, total - total // 2


class Convolution(nn.Module):
    """Convolution with bias, clipped to 0..limit unless it projects."""

    def __init__(self, shape: ConvolutionShape):
        super().__init__()
        self.shape = shape
        self.before, self.after = shape.padding()
        groups = shape.inputs if shape.depthwise else 1
        padding = self.before if self.before == self.after else 0
        self.convolution = nn.Conv2d(
            shape.inputs, shape.outputs, shape.kernel, shape.stride, padding, groups=groups
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        result = self._convolve(pixels)
        if self.shape.limit is None:
            return result
        return result.relu() if self.shape.limit == inf else nn.functional.hardtanh(result, 0, self.shape.limit)

    def _convolve(self, pixels: torch.Tensor) -> torch.Tensor:
        shape, layer = self.shape, self.convolution
        is_slow = shape.depthwise and (shape.kernel > 3 or shape.stride > 1) and pixels.device.type == "cpu"
        if is_slow and torch.is_grad_enabled() and layer.weight.requires_grad:
            pixels = nn.functional.pad(pixels, (self.before, self.after) * 2)
            return Depthwise.apply(pixels, layer.weight.to(pixels.dtype), layer.bias.to(pixels.dtype), shape.stride)
        if self.before != self.after:
            pixels = nn.functional.pad(pixels, (self.before, self.after) * 2)
        return layer(pixels)


class Squeeze(nn.Module):
    """Each channel weighed by what all of them are on average (squeeze and excitation, Hu et al. 2018)."""

    def __init__(self, name: str, channels: int, narrow: int):
        super().__init__()
        self.name = name
        self.reduce = Convolution(ConvolutionShape(name + "_reduce", channels, narrow, 1))
        self.expand = Convolution(ConvolutionShape(name + "_expand", narrow, channels, 1, limit=None))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        means = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.expand(self.reduce(means)))


class Block(nn.Module):
    """Convolutions in a row, and the input added to what they give where shapes agree."""

    def __init__(self, layers: list[nn.Module], is_residual: bool):
        super().__init__()
        self.convolutions = nn.Sequential(*layers)
        self.is_residual = is_residual
        self.drop_rate = 0.0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        result = self.convolutions(pixels)
        return self._dropped(result) + pixels if self.is_residual else result

    def _dropped(self, branch: torch.Tensor) -> torch.Tensor:
        """In training, a share of the photos goes past this block (stochastic depth, Huang et al. 2016)."""
        if not (self.training and self.drop_rate):
            return branch
        kept = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= self.drop_rate
        return branch * (kept.to(branch.dtype) / (1 - self.drop_rate))


class Encoder(nn.Module):
    """Pixels (N, 3, S, S) to a grid of features (N, channels, S / 32, S / 32)."""

    channels: int
    frozen_blocks: int
    can_look = True

    def __init__(self, image_size: int, stem: nn.Module, blocks: list[Block], head: Convolution | None):
        super().__init__()
        if image_size % (CELL_SIZE // 2):
            raise ValueError(f"an image of {image_size} pixels is no whole number of half cells of {CELL_SIZE // 2}")
        self.image_size = image_size
        self.cells = (-(-image_size // CELL_SIZE)) ** 2
        self.stem = stem
        self.blocks = nn.Sequential(*blocks)
        self.head = head

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.last_blocks(self.stem(pixels), 0)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def thaw(self, frozen_blocks: int | None) -> None:
        """Let all but the stem and the first blocks learn; None: let nothing learn."""
        self.requires_grad_(frozen_blocks is not None)
        self.stem.requires_grad_(False)
        self.blocks[:frozen_blocks].requires_grad_(False)

    def drop_paths(self, highest: float) -> None:
        """Let photos go past the residual blocks that learn, the deeper the more: a share of up to `highest`."""
        for index, block in enumerate(self.blocks):
            block.drop_rate = highest * index / len(self.blocks) if next(block.parameters()).requires_grad else 0.0

    def first_blocks(self, pixels: torch.Tensor, blocks: int) -> torch.Tensor:
        """What block `blocks` reads: the stem and the blocks before it."""
        return self.blocks[:blocks](self.stem(pixels))

    def last_blocks(self, maps: torch.Tensor, blocks: int) -> torch.Tensor:
        """The grid (N, channels, S / 32, S / 32) from what `first_blocks` gave."""
        maps = self.blocks[blocks:](maps)
        return self.head(maps) if self.head else maps

    def named_convolutions(self) -> Iterator[tuple[str, Convolution]]:
        """Every convolution with the name that its output has in the graph, in the order of the net."""
        return ((module.shape.name, module) for module in self.modules() if isinstance(module, Convolution))

    def load_pretrained(self) -> None:
        """Take the ImageNet weights of the network's package, batch norm folded in."""
        raise NotImplementedError


class CompositeEncoder(Encoder):
    """Stands for the frozen networks of `composite.py`, whose grids lie in a folder: it has no weights and cannot look."""

    channels = 5200
    frozen_blocks = 0
    can_look = False

    def __init__(self, image_size: int = IMAGE_SIZE):
        super().__init__(image_size, nn.Identity(), [], None)

    @property
    def device(self) -> torch.device:
        raise SystemExit("a composite encoder's grids come from composite.py: name their folder with --features, and --freeze-encoder")

    def load_pretrained(self) -> None:
        """Nothing to take."""


@torch.no_grad()
def fold_batch_norm(layer: nn.Conv2d, weight: torch.Tensor, norm: dict[str, torch.Tensor], epsilon: float) -> None:
    """Scale pretrained weights by their batch norm (`weight`, `bias`, `mean`, `variance`) and set the bias that it leaves."""
    scale = norm["weight"] / (norm["variance"] + epsilon).sqrt()
    layer.weight.copy_(weight * scale[:, None, None, None])
    layer.bias.copy_(norm["bias"] - norm["mean"] * scale)
