"""A QDQ graph with its convolutions spelled as QLinearConv, so that ONNX Runtime computes just these on integers."""

import onnx
from onnx import helper


def with_integer_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` in which each DequantizeLinear - Conv - QuantizeLinear is one QLinearConv."""
    makers = {output: node for node in model.graph.node for output in node.output}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    for node in model.graph.node:
        source = makers.get(node.input[0])
        if node.op_type == "QuantizeLinear" and source is not None and source.op_type == "Conv":
            node = integer_convolution(source, node, makers)
        if node.op_type != "Conv":
            copy.graph.node.append(node)
    return copy


def integer_convolution(convolution: onnx.NodeProto, quantizer: onnx.NodeProto, makers: dict) -> onnx.NodeProto:
    """The QLinearConv of a convolution of dequantized tensors and the QuantizeLinear after it."""
    pixels, weights, bias = (makers[name] for name in convolution.input)
    inputs = [*pixels.input, *weights.input, quantizer.input[1], quantizer.input[2], bias.input[0]]
    node = helper.make_node("QLinearConv", inputs, quantizer.output, convolution.name)
    node.attribute.extend(convolution.attribute)
    return node
