"""Static quantization of a float graph into QDQ form.

Weights become int8 constants behind DequantizeLinear, symmetric, one scale an output channel. Activations become
uint8 with one scale a tensor: a QuantizeLinear and a DequantizeLinear after each tensor that a convolution, a
product with a constant matrix or a residual sum reads, after each that a convolution or residual sum writes, and around
the sigmoid of squeeze and excitation.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

READERS = ("Conv", "MatMul", "Add", "Mul", "ReduceMean", "Reshape", "Sigmoid")
CLIPS = ("Clip", "Relu")
Range = tuple[float, float]


def quantizable_tensors(model: onnx.ModelProto) -> list[str]:
    """Names of the activations that need a range, in graph order."""
    constants = {constant.name for constant in model.graph.initializer}
    clips = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type in CLIPS}
    names: dict[str, None] = {}
    for node in model.graph.node:
        if is_product(node, constants):
            names[node.input[0]] = None
        if is_excitation(node):
            names.update(dict.fromkeys([*node.input, *node.output]))
        if is_residual(node):
            names.update(dict.fromkeys(node.input))
        if node.op_type == "Conv" or is_residual(node):
            names[clips.get(node.output[0], node.output[0])] = None
    return list(names)


def is_product(node: onnx.NodeProto, constants: Iterable[str]) -> bool:
    """A convolution or a product with a constant matrix."""
    return node.op_type in ("Conv", "MatMul") and node.input[1] in constants


def is_residual(node: onnx.NodeProto) -> bool:
    """A sum of two branches of the encoder, told from other sums by its name."""
    return node.op_type == "Add" and node.output[0].endswith("_sum")


def is_excitation(node: onnx.NodeProto) -> bool:
    """The sigmoid that weighs the channels of a map, told from those of the decoder by its name."""
    return node.op_type == "Sigmoid" and node.output[0].endswith("_squeeze_weights")


def quantize(model: onnx.ModelProto, ranges: dict[str, Range]) -> onnx.ModelProto:
    """The QDQ form of a float graph, for activation ranges by tensor name."""
    return Quantizer(model, ranges).run()


class Quantizer:
    """Rewrites one graph; `scales` holds the step of each activation quantized so far."""

    def __init__(self, model: onnx.ModelProto, ranges: dict[str, Range]):
        self.model = model
        self.ranges = ranges
        self.floats = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
        self.scales: dict[str, np.float32] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> onnx.ModelProto:
        """The rewritten, checked model."""
        for value in self.model.graph.input:
            self._quantize_activation(value.name)
        for node in fuse_clips(self.model.graph.node):
            self._rewrite(node)
        graph = self.model.graph
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        rewritten = helper.make_graph(self.nodes, graph.name, graph.input, graph.output, constants)
        model = helper.make_model(rewritten, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _rewrite(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Gather" and node.input[0] in self.floats:
            return self._rewrite_table(node)
        inputs = list(node.input)
        if node.op_type in READERS:
            inputs = [name + "_dequantized" if name in self.scales else name for name in inputs]
        if is_product(node, self.floats):
            inputs[1] = self._add_weight(node)
        if node.op_type == "Conv":
            inputs[2] = self._add_bias(node)
        for name in inputs:
            if name in self.floats:
                self.constants[name] = self.floats[name]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(inputs)
        self.nodes.append(copy)
        for name in node.output:
            self._quantize_activation(name)

    def _quantize_activation(self, name: str) -> None:
        if name not in self.ranges:
            return
        low, high = self.ranges[name]
        scale = np.float32((high - low) / 255)
        self.scales[name] = scale
        self.constants[name + "_scale"] = scale
        self.constants[name + "_zero_point"] = np.uint8(np.clip(round(-low / scale), 0, 255))
        grid = [name + "_scale", name + "_zero_point"]
        self._add("QuantizeLinear", [name, *grid], name + "_quantized")
        self._add("DequantizeLinear", [name + "_quantized", *grid], name + "_dequantized")

    def _add_weight(self, node: onnx.NodeProto) -> str:
        """int8 weight with one scale an output channel; the channel is axis 0 of Conv, axis 1 of MatMul."""
        name, axis = node.input[1], 0 if node.op_type == "Conv" else 1
        weight = self.floats[name]
        others = tuple(index for index in range(weight.ndim) if index != axis)
        scale = (np.abs(weight).max(axis=others) / 127).clip(1e-10).astype(np.float32)
        self._add_constant(name, round_to(weight, np.expand_dims(scale, others), np.int8), scale, axis)
        return name + "_dequantized"

    def _add_bias(self, node: onnx.NodeProto) -> str:
        """int32 bias on the grid of the products' accumulator."""
        name = node.input[2]
        scale = self.scales[node.input[0]] * self.constants[node.input[1] + "_scale"]
        self._add_constant(name, round_to(self.floats[name], scale, np.int32), scale, 0)
        return name + "_dequantized"

    def _add_constant(self, name: str, quantized: np.ndarray, scale: np.ndarray, axis: int) -> None:
        self.constants[name + "_quantized"] = quantized
        self.constants[name + "_scale"] = scale
        self.constants[name + "_zero_point"] = np.zeros(scale.shape, quantized.dtype)
        inputs = [name + suffix for suffix in ("_quantized", "_scale", "_zero_point")]
        self._add("DequantizeLinear", inputs, name + "_dequantized", axis=axis)

    def _rewrite_table(self, node: onnx.NodeProto) -> None:
        """Rows are taken from the int8 table and scaled after, so the table never becomes float."""
        table, output = node.input[0], node.output[0]
        scale = np.float32(np.abs(self.floats[table]).max() / 127)
        self.constants[table + "_quantized"] = round_to(self.floats[table], scale, np.int8)
        self.constants[table + "_scale"] = scale
        self.constants[table + "_zero_point"] = np.int8(0)
        self._add("Gather", [table + "_quantized", node.input[1]], output + "_quantized", axis=0)
        self._add("DequantizeLinear", [output + "_quantized", table + "_scale", table + "_zero_point"], output)

    def _add(self, kind: str, inputs: list[str], output: str, **attributes) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))


def dequantized_constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The float constants that `quantize` was given, as near as its int8 steps are; a float graph's as they are."""
    stored = {constant.name: numpy_helper.to_array(constant) for constant in model.graph.initializer}
    axes = {node.input[0]: axis_of(node) for node in model.graph.node if node.op_type == "DequantizeLinear"}
    floats = {name: value for name, value in stored.items() if value.dtype == np.float32 and not name.endswith("_scale")}
    for name, steps in stored.items():
        if name.endswith("_quantized"):
            base = name.removesuffix("_quantized")
            scale = stored[base + "_scale"]
            others = [index for index in range(steps.ndim) if index != axes.get(name, 0)]
            floats[base] = steps.astype(np.float32) * (np.expand_dims(scale, others) if scale.ndim else scale)
    return floats


def axis_of(node: onnx.NodeProto) -> int:
    """The axis whose channels have scales of their own."""
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)


def round_to(values: np.ndarray, scale: np.ndarray, kind: type) -> np.ndarray:
    """Values in steps of `scale`, saturated; int8 leaves out -128 to stay symmetric."""
    limit = np.iinfo(kind).max
    return np.clip(np.rint(values.astype(np.float64) / scale), -limit, limit).astype(kind)


def fuse_clips(nodes: Iterable[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Drop every Clip and Relu: the uint8 range of its output saturates at the same limits."""
    clips = {node.input[0]: node.output[0] for node in nodes if node.op_type in CLIPS}
    kept = []
    for node in nodes:
        if node.op_type in CLIPS:
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.output[0] = clips.get(node.output[0], node.output[0])
        kept.append(copy)
    return kept


def with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A copy of a graph whose outputs are also the named tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {value.name for value in (*copy.graph.output, *copy.graph.input)}
    extra = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in present]
    copy.graph.output.extend(extra)
    return copy
