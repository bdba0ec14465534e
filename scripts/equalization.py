"""Channels of an activation brought to like ranges, before they have to share one uint8 scale.

Where nothing but a ReLU lies between two layers, a channel may be made larger by the first and smaller by the second:
the function stays, the steps of small channels become finer (Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction"). A depthwise convolution takes that for nothing, having one weight scale a channel; what
sums over channels pays with the range of its weights, so there channels go half of the way (Xiao et al. 2023, "SmoothQuant").
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

from calibration import channels_of

HALF_WAY = 0.5
KEEP_CHANNELS = ("ReduceMean", "Mul")  # of squeeze and excitation: a factor of a channel stays its factor


def equalize(model: onnx.ModelProto, feeds: Iterable[dict]) -> onnx.ModelProto:
    """A float graph of the same function, its channels as like as they can be on these inputs."""
    return Equalizer(model, feeds).run()


class Equalizer:
    """Rescales the constants around every ReLU after a convolution whose readers can all undo it."""

    def __init__(self, model: onnx.ModelProto, feeds: Iterable[dict]):
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        nodes = self.model.graph.node
        self.floats = {constant.name: numpy_helper.to_array(constant).copy() for constant in self.model.graph.initializer}
        self.makers = {name: node for node in nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.scaled = [node.output[0] for node in nodes if self._is_scalable(node)]
        highest = (rows.max(axis=0) for rows in channels_of(model, self.scaled, feeds, np.max))
        self.highest = dict(zip(self.scaled, highest))

    def run(self) -> onnx.ModelProto:
        """The rescaled graph."""
        for name in self.scaled:
            self._scale(name)
        for constant in self.model.graph.initializer:
            constant.CopyFrom(numpy_helper.from_array(self.floats[constant.name], constant.name))
        return self.model

    def _is_scalable(self, node: onnx.NodeProto) -> bool:
        """A ReLU between a convolution and constants that can undo a factor for each channel."""
        is_after_convolution = node.op_type == "Relu" and self.makers[node.input[0]].op_type == "Conv"
        return is_after_convolution and self._weights(node.output[0]) is not None

    def _weights(self, name: str) -> list[tuple[str, int]] | None:
        """Every constant that reads a tensor, straight or through squeeze and excitation, and the axis of its channels."""
        found = []
        for reader in self.readers.get(name, []):
            if reader.input[0] != name:
                return None
            if reader.op_type == "Conv":
                found.append((reader.input[1], 0 if self._is_depthwise(reader) else 1))
            elif reader.op_type == "MatMul" and reader.input[1] in self.floats:
                found.append((reader.input[1], 0))
            elif reader.op_type in KEEP_CHANNELS and (behind := self._weights(reader.output[0])):
                found += behind
            else:
                return None
        return found or None

    def _is_depthwise(self, node: onnx.NodeProto) -> bool:
        outputs, inputs = self.floats[node.input[1]].shape[:2]
        return inputs == 1 and outputs > 1

    def _scale(self, name: str) -> None:
        weights, highest = self._weights(name), self.highest[name].clip(1e-6)
        if all(axis == 0 and self.floats[weight].ndim == 4 for weight, axis in weights):
            factors = (highest.max() / highest).clip(1, 50)
        else:
            factors = ((np.percentile(highest, 99) / highest) ** HALF_WAY).clip(0.2, 20)
        maker = self.makers[self.makers[name].input[0]]
        for constant in maker.input[1:]:
            self._multiply(constant, 0, factors)
        for constant, axis in weights:
            self._multiply(constant, axis, 1 / factors)

    def _multiply(self, name: str, axis: int, factors: np.ndarray) -> None:
        others = [index for index in range(self.floats[name].ndim) if index != axis]
        self.floats[name] *= np.expand_dims(factors, others).astype(np.float32)
