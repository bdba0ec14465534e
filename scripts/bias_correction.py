"""Biases of a quantized graph moved so that every convolution gives, on average, what the float one gives.

Rounded weights shift the mean of what they give, and each layer passes that on. Layer by layer, the shift of each output
channel on real inputs is taken from its bias (Nagel et al. 2019, "Data-free quantization through weight equalization and
bias correction", here with inputs).
"""

import numpy as np
import onnx
from onnx import numpy_helper

from calibration import channels_of


def correct_biases(quantized: onnx.ModelProto, model: onnx.ModelProto, feeds: list[dict]) -> onnx.ModelProto:
    """The quantized form of a float graph, its convolutions' int32 biases corrected on these inputs."""
    corrected = onnx.ModelProto()
    corrected.CopyFrom(quantized)
    stored = {constant.name: constant for constant in corrected.graph.initializer}
    convolutions = {node.input[2]: node.output[0] for node in model.graph.node if node.op_type == "Conv"}
    wanted = dict(zip(convolutions, channel_means(model, list(convolutions.values()), feeds)))
    for node in corrected.graph.node:
        if node.op_type == "Conv":
            bias = node.input[2].removesuffix("_dequantized")
            [given] = channel_means(corrected, [node.output[0]], feeds)
            move(stored[bias + "_quantized"], numpy_helper.to_array(stored[bias + "_scale"]), wanted[bias] - given)
    return corrected


def channel_means(model: onnx.ModelProto, names: list[str], feeds: list[dict]) -> list[np.ndarray]:
    """Mean of each channel of maps (1, C, H, W), for each of the tensors."""
    return [rows.mean(axis=0) for rows in channels_of(model, names, feeds, np.mean)]


def move(bias: onnx.TensorProto, scale: np.ndarray, shift: np.ndarray) -> None:
    """Add a shift to a stored int32 bias (C,) of steps `scale` (C,); a channel without weights has none to correct."""
    steps = np.where(scale > scale.max() * 1e-6, shift / scale, 0.0)
    limit = np.iinfo(np.int32).max
    moved = np.clip(numpy_helper.to_array(bias).astype(np.float64) + np.rint(steps), -limit, limit)
    bias.CopyFrom(numpy_helper.from_array(moved.astype(np.int32), bias.name))
