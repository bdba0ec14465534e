# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime==1.32.0"]
# ///
"""Write tests/fixtures/kernels/onnx_runtime_cases.bin: small quantized operators with arbitrary numbers and what ONNX Runtime makes of them.

A case is a name and nine arrays; an array is its length in bytes (u32) and the bytes, little-endian:
name, shape (i32), scales (f32), zero points (u8), weight scales (f32), input (u8 or f32), second input, weights (i8),
bias (i32 or f32), output (u8 or f32). Images are NHWC. Safe to run twice: the seed is fixed.
"""
import argparse
import struct
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto as T
from onnx import helper as H
from onnx import numpy_helper as N

RNG = np.random.default_rng(20261123)
NOTHING = np.zeros(0, np.uint8)


def run(nodes, inputs, constants, output_type):
    types = {np.dtype(np.uint8): T.UINT8, np.dtype(np.float32): T.FLOAT}
    graph = H.make_graph(
        nodes, "case",
        [H.make_tensor_value_info(n, types[a.dtype], a.shape) for n, a in inputs.items()],
        [H.make_tensor_value_info("y", output_type, None)],
        [N.from_array(a, n) for n, a in constants.items()])
    opsets = [H.make_opsetid("", 17), H.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = H.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(["y"], inputs)[0]


def scale(low=0.005, high=0.05):
    return np.float32(RNG.uniform(low, high))


def steps(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def convolution(name, height, width, inputs, outputs, kernel, stride, pads, groups):
    x, w = steps(1, inputs, height, width), RNG.integers(-127, 128, (outputs, inputs // groups, kernel, kernel), dtype=np.int8)
    sx, sy = scale(), scale(0.02, 0.1) * np.float32(kernel * np.sqrt(inputs / groups))
    zx, zy = RNG.integers(0, 256, 2, dtype=np.uint8)
    sw, bias = RNG.uniform(0.002, 0.02, outputs).astype(np.float32), RNG.integers(-3000, 3000, outputs, dtype=np.int32)
    node = H.make_node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["y"], kernel_shape=[kernel] * 2,
                       strides=[stride] * 2, pads=pads, group=groups)
    constants = dict(sx=sx, zx=zx, w=w, sw=sw, zw=np.zeros(outputs, np.int8), sy=sy, zy=zy, b=bias)
    y = run([node], {"x": x}, {k: np.asarray(v) for k, v in constants.items()}, T.UINT8)
    shape = np.array([height, width, inputs, outputs, kernel, stride, *pads], np.int32)
    return [name, shape, np.array([sx, sy]), np.array([zx, zy]), sw, x.transpose(0, 2, 3, 1), NOTHING, w, bias, y.transpose(0, 2, 3, 1)]


def addition():
    a, b = steps(4000), steps(4000)
    sa, sb, sy = scale(), scale(), scale(0.02, 0.08)
    za, zb, zy = RNG.integers(0, 256, 3, dtype=np.uint8)
    nodes = [H.make_node("DequantizeLinear", ["a", "sa", "za"], ["fa"]), H.make_node("DequantizeLinear", ["b", "sb", "zb"], ["fb"]),
             H.make_node("Add", ["fa", "fb"], ["f"]), H.make_node("QuantizeLinear", ["f", "sy", "zy"], ["y"])]
    constants = dict(sa=sa, za=za, sb=sb, zb=zb, sy=sy, zy=zy)
    y = run(nodes, {"a": a, "b": b}, {k: np.asarray(v) for k, v in constants.items()}, T.UINT8)
    return ["add", np.array([4000], np.int32), np.array([sa, sb, sy]), np.array([za, zb, zy]), NOTHING, a, b, NOTHING, NOTHING, y]


def average_pool():
    x = steps(1, 70, 7, 7)
    sx = scale()
    sy, zx, zy = sx / np.float32(4.1), np.uint8(121), np.uint8(99)
    node = H.make_node("QLinearGlobalAveragePool", ["x", "sx", "zx", "sy", "zy"], ["y"], domain="com.microsoft", channels_last=0)
    y = run([node], {"x": x}, {k: np.asarray(v) for k, v in dict(sx=sx, zx=zx, sy=sy, zy=zy).items()}, T.UINT8)
    return ["average pool", np.array([49, 70], np.int32), np.array([sx, sy]), np.array([zx, zy]), NOTHING, x.transpose(0, 2, 3, 1), NOTHING, NOTHING, NOTHING, y]


def linear():
    x, w = RNG.normal(size=(3, 75)).astype(np.float32), RNG.integers(-127, 128, (75, 50), dtype=np.int8)
    sw, bias = RNG.uniform(0.002, 0.02, 50).astype(np.float32), RNG.normal(size=50).astype(np.float32)
    nodes = [H.make_node("DynamicQuantizeLinear", ["x"], ["q", "sx", "zx"]),
             H.make_node("MatMulIntegerToFloat", ["q", "w", "sx", "sw", "zx", "zw", "bias"], ["y"], domain="com.microsoft")]
    y = run(nodes, {"x": x}, dict(w=w, sw=sw, zw=np.zeros(50, np.int8), bias=bias), T.FLOAT)
    return ["linear", np.array([3, 75, 50], np.int32), NOTHING, NOTHING, sw, x, NOTHING, w, bias, y]


def quantize():
    x = (RNG.normal(size=4000) * 3).astype(np.float32)
    s, z = scale(), np.uint8(RNG.integers(0, 256))
    x[:1000] = (np.arange(1000, dtype=np.float32) / 2 - 250) * s  # ties
    y = run([H.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], {"x": x}, dict(s=np.asarray(s), z=np.asarray(z)), T.UINT8)
    return ["quantize", np.array([4000], np.int32), np.array([s]), np.array([z]), NOTHING, x, NOTHING, NOTHING, NOTHING, y]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?", default=Path("tests/fixtures/kernels/onnx_runtime_cases.bin"))
    args = parser.parse_args()
    cases = [
        convolution("pointwise", 7, 7, 24, 40, 1, 1, [0, 0, 0, 0], 1),
        convolution("pointwise", 3, 5, 67, 130, 1, 1, [0, 0, 0, 0], 1),
        convolution("depthwise", 9, 8, 144, 144, 3, 2, [0, 0, 1, 1], 144),
        convolution("depthwise", 8, 9, 80, 80, 3, 1, [1, 1, 1, 1], 80),
        convolution("depthwise", 7, 7, 72, 72, 5, 1, [2, 2, 2, 2], 72),
        convolution("depthwise", 9, 8, 33, 33, 5, 2, [1, 2, 2, 1], 33),
        convolution("convolution", 16, 15, 3, 32, 3, 2, [0, 0, 1, 1], 1),
        convolution("convolution", 8, 8, 5, 12, 5, 1, [2, 2, 2, 2], 1),
        addition(), addition(), average_pool(), linear(), quantize(),
    ]
    with args.output.open("wb") as file:
        for name, *arrays in cases:
            for content in [name.encode(), *(np.ascontiguousarray(a).tobytes() for a in arrays)]:
                file.write(struct.pack("<I", len(content)) + content)


if __name__ == "__main__":
    main()
