#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx"]
# ///
"""Make tests/fixtures/failing: an encoder for the tiny model's decoder that fails while running on pictures with white in them.

It looks up a number in a table of one row; the row is 1, and so out of range, where a pixel is brighter than 0.9.
"""
import argparse
from pathlib import Path

import onnx
from onnx import TensorProto, helper

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    tiny = onnx.load(FIXTURES / "tiny" / "encoder_model.onnx")
    nodes = [
        helper.make_node("ReduceMax", ["pixel_values"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "limit"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["number"]),
    ]
    tensors = [
        helper.make_tensor("limit", TensorProto.FLOAT, [], [0.9]),
        helper.make_tensor("table", TensorProto.FLOAT, [1], [0.1]),
    ]
    for output in tiny.graph.output:
        shape = [dimension.dim_value for dimension in output.type.tensor_type.shape.dim]
        tensors.append(helper.make_tensor(f"{output.name}_shape", TensorProto.INT64, [len(shape)], shape))
        nodes.append(helper.make_node("Expand", ["number", f"{output.name}_shape"], [output.name]))
    graph = helper.make_graph(nodes, "failing", tiny.graph.input, tiny.graph.output, tensors)
    model = helper.make_model(graph, opset_imports=tiny.opset_import, ir_version=tiny.ir_version)
    onnx.checker.check_model(model, full_check=True)
    folder = FIXTURES / "failing"
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "encoder_model.onnx")


if __name__ == "__main__":
    main()
