"""ONNX graphs of a captioner, node by node, so that they hold nothing but the arithmetic.

Encoder: `pixel_values` -> `attention_keys`, `attention_values`, `past.hidden`, `past.cell`.
Decoder: one step for `batch` captions of one picture.
"""

import sys
from math import inf
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from encoder import Squeeze

OPSET = 17
IR_VERSION = 8


class GraphBuilder:
    """Collects nodes and constants; a node's name is its first output's name."""

    def __init__(self, name: str):
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        """A named constant, stored once."""
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """A constant list of integers, for shapes and axes."""
        return self.constant("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        """A node with one output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def split(self, source: str, sizes: list[int], outputs: list[str]) -> list[str]:
        """Parts of the last axis."""
        inputs = [source, self.integers(*sizes)]
        self.nodes.append(helper.make_node("Split", inputs, outputs, outputs[0] + "_split", axis=-1))
        return outputs

    def linear(self, source: str, weight: torch.Tensor, bias: torch.Tensor | None, output: str, limit: float | None = None) -> str:
        """source @ weight.T + bias, clipped to 0..limit if a limit is given, which may be infinite."""
        result = output if limit is None else output + "_unclipped"
        product = result if bias is None else output + "_product"
        self.node("MatMul", [source, self.constant(output + "_weight", array(weight.T))], product)
        if bias is not None:
            self.node("Add", [product, self.constant(output + "_bias", array(bias))], result)
        return self.clip(result, output, limit)

    def clip(self, source: str, output: str, limit: float | None) -> str:
        """The source clipped to 0..limit, under the name of the output; without a limit the source itself."""
        if limit is None:
            return source
        if limit == inf:
            return self.node("Relu", [source], output)
        low, high = self.constant("zero", np.float32(0)), self.constant(f"limit_{limit:g}", np.float32(limit))
        return self.node("Clip", [source, low, high], output)

    def convolve(self, source: str, weight, bias, output: str, limit: float | None, **attributes) -> str:
        """Convolution, clipped to 0..limit if a limit is given, which may be infinite."""
        inputs = [source, self.constant(output + "_weight", array(weight)), self.constant(output + "_bias", array(bias))]
        result = self.node("Conv", inputs, output if limit is None else output + "_unclipped", **attributes)
        return self.clip(result, output, limit)

    def finish(self, inputs: list, outputs: list) -> onnx.ModelProto:
        """The checked model; inputs and outputs are (name, type, shape)."""
        values = [[helper.make_tensor_value_info(*each) for each in side] for side in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, self.name, *values, list(self.constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def array(tensor: torch.Tensor) -> np.ndarray:
    """Float values of a parameter."""
    return tensor.detach().float().contiguous().numpy()


def build_encoder(encoder: torch.nn.Module, decoder: torch.nn.Module, size: int) -> onnx.ModelProto:
    """Everything that is computed once a picture; `encoder` has `stem`, `blocks` and `head`."""
    graph = GraphBuilder("encoder")
    grid = add_convolution(graph, encoder.stem, "pixel_values")
    for index, block in enumerate(encoder.blocks):
        grid = add_block(graph, block, grid, f"block{index}")
    if encoder.head:
        grid = add_convolution(graph, encoder.head, grid)
    shape = decoder.shape
    key_shape, value_shape = memory_shapes(shape, encoder.cells)
    keys, values = add_memory(graph, decoder, grid)
    graph.node("Reshape", [keys, graph.integers(*key_shape)], "attention_keys")
    graph.node("Reshape", [values, graph.integers(*value_shape)], "attention_values")
    add_first_state(graph, decoder, values)
    return graph.finish(
        [("pixel_values", TensorProto.FLOAT, [1, 3, size, size])],
        [
            ("attention_keys", TensorProto.FLOAT, key_shape),
            ("attention_values", TensorProto.FLOAT, value_shape),
            ("past.hidden", TensorProto.FLOAT, [1, shape.hidden]),
            ("past.cell", TensorProto.FLOAT, [1, shape.hidden]),
        ],
    )


def memory_shapes(shape, cells: int) -> tuple[list[int], list[int]]:
    """Shapes of attention keys and values: the cells come last in both, so no step transposes."""
    return [1, shape.heads, shape.key, cells], [1, shape.heads, shape.value, cells]


def add_convolution(graph: GraphBuilder, module: torch.nn.Module, source: str) -> str:
    """One convolution of the encoder."""
    shape, (before, after) = module.shape, (module.before, module.after)
    return graph.convolve(
        source,
        module.convolution.weight,
        module.convolution.bias,
        shape.name,
        shape.limit,
        kernel_shape=[shape.kernel] * 2,
        strides=[shape.stride] * 2,
        pads=[before, before, after, after],
        group=module.convolution.groups,
    )


def add_block(graph: GraphBuilder, block: torch.nn.Module, source: str, name: str) -> str:
    """One block: its convolutions, weighed channels where it has them, and the sum with what it reads."""
    result = source
    for module in block.convolutions:
        result = (add_squeeze if isinstance(module, Squeeze) else add_convolution)(graph, module, result)
    return graph.node("Add", [result, source], f"{name}_sum") if block.is_residual else result


def add_squeeze(graph: GraphBuilder, module: Squeeze, source: str) -> str:
    """Channels weighed by what all of them are on average."""
    name = module.name
    result = graph.node("ReduceMean", [source], name + "_mean", axes=[2, 3], keepdims=0)
    for layer in (module.reduce, module.expand):
        weight, bias = layer.convolution.weight[:, :, 0, 0], layer.convolution.bias
        result = graph.linear(result, weight, bias, layer.shape.name, layer.shape.limit)
    graph.node("Sigmoid", [result], name + "_weights")
    weights = graph.node("Reshape", [name + "_weights", graph.integers(1, -1, 1, 1)], name + "_column")
    return graph.node("Mul", [source, weights], name)


def add_memory(graph: GraphBuilder, decoder: torch.nn.Module, grid: str) -> tuple[str, str]:
    """Keys and values of the grid, as pointwise convolutions."""
    keys = decoder.shape.keys
    weight, bias = decoder.memory.weight[:, :, None, None], decoder.memory.bias
    point = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0] * 4, "group": 1}
    return (
        graph.convolve(grid, weight[:keys], bias[:keys], "keys", None, **point),
        graph.convolve(grid, weight[keys:], bias[keys:], "values", decoder.shape.value_limit, **point),
    )


def add_first_state(graph: GraphBuilder, decoder: torch.nn.Module, values: str) -> None:
    """The first hidden and cell state, from the mean of the values."""
    graph.node("ReduceMean", [values], "values_mean", axes=[2, 3], keepdims=0)
    layer = decoder.first_state
    mixed = graph.linear("values_mean", layer.weight, layer.bias, "first_state_mix")
    graph.node("Tanh", [mixed], "first_state")
    graph.split("first_state", [decoder.shape.hidden] * 2, ["past.hidden", "past.cell"])


def build_decoder(decoder: torch.nn.Module, cells: int) -> onnx.ModelProto:
    """One step for `batch` captions of one picture."""
    graph, shape = GraphBuilder("decoder"), decoder.shape
    add_word(graph, decoder)
    graph.node("Concat", ["word", "past.hidden"], "mix_input", axis=-1)
    graph.linear("mix_input", mix_weight(decoder), scale_query(decoder, decoder.word_mix.bias), "mix")
    graph.split("mix", [shape.keys, 3 * shape.hidden], ["query", "mix_gates"])
    add_attention(graph, shape, cells)
    add_cell(graph, decoder)
    graph.node("Concat", ["present.hidden", "context"], "output_input", axis=-1)
    graph.linear("output_input", decoder.output.weight, decoder.output.bias, "output_mix")
    graph.node("Tanh", ["output_mix"], "output")
    graph.linear("output", decoder.embedding.weight, decoder.score_bias, "logits")
    key_shape, value_shape = memory_shapes(shape, cells)
    state = ["batch", shape.hidden]
    return graph.finish(
        [
            ("input_ids", TensorProto.INT64, ["batch", 1]),
            ("attention_keys", TensorProto.FLOAT, key_shape),
            ("attention_values", TensorProto.FLOAT, value_shape),
            ("past.hidden", TensorProto.FLOAT, state),
            ("past.cell", TensorProto.FLOAT, state),
        ],
        [
            ("logits", TensorProto.FLOAT, ["batch", shape.vocabulary]),
            ("present.hidden", TensorProto.FLOAT, state),
            ("present.cell", TensorProto.FLOAT, state),
        ],
    )


def word_scale(decoder: torch.nn.Module) -> torch.Tensor:
    """Factor that brings the input words to -1..1, the range of the hidden state that they are joined with."""
    return 1 / decoder.embedding.weight.abs().max()


def add_word(graph: GraphBuilder, decoder: torch.nn.Module) -> None:
    """The scaled embedding of each input token, (batch, embedding)."""
    table = graph.constant("word_table", array(decoder.embedding.weight * word_scale(decoder)))
    graph.node("Squeeze", ["input_ids", graph.integers(1)], "token")
    graph.node("Gather", [table, "token"], "word", axis=0)


def mix_weight(decoder: torch.nn.Module) -> torch.Tensor:
    """Weights (keys + 3 H, embedding + H) from word and hidden state to query and gates."""
    words = decoder.word_mix.weight / word_scale(decoder)
    return scale_query(decoder, torch.cat([words, decoder.hidden_mix.weight], dim=1))


def scale_query(decoder: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Rows of the mix with the attention's 1/sqrt(key) folded into those of the query."""
    factors = torch.ones(len(rows))
    factors[: decoder.shape.keys] = decoder.shape.key**-0.5
    return rows * factors.view(-1, *[1] * (rows.dim() - 1))


def add_attention(graph: GraphBuilder, shape, cells: int) -> None:
    """Context (batch, values) that the query reads from the memory."""
    graph.node("Reshape", ["query", graph.integers(-1, shape.heads, 1, shape.key)], "query_heads")
    graph.node("MatMul", ["query_heads", "attention_keys"], "attention_scores")
    graph.node("Softmax", ["attention_scores"], "attention", axis=-1)
    graph.node("Reshape", ["attention", graph.integers(-1, shape.heads, cells, 1)], "attention_column")
    graph.node("MatMul", ["attention_values", "attention_column"], "context_heads")
    graph.node("Reshape", ["context_heads", graph.integers(-1, shape.values)], "context")


def add_cell(graph: GraphBuilder, decoder: torch.nn.Module) -> None:
    """cell = update + forget * (cell - update), hidden = emit * tanh(cell)."""
    graph.linear("context", decoder.context_mix.weight, None, "context_gates")
    graph.node("Add", ["mix_gates", "context_gates"], "gates")
    graph.split("gates", [decoder.shape.hidden] * 3, ["forget_mix", "update_mix", "emit_mix"])
    for name, kind in (("forget", "Sigmoid"), ("update", "Tanh"), ("emit", "Sigmoid")):
        graph.node(kind, [name + "_mix"], name)
    graph.node("Sub", ["past.cell", "update"], "cell_difference")
    graph.node("Mul", ["forget", "cell_difference"], "cell_kept")
    graph.node("Add", ["update", "cell_kept"], "present.cell")
    graph.node("Tanh", ["present.cell"], "cell_bounded")
    graph.node("Mul", ["emit", "cell_bounded"], "present.hidden")
