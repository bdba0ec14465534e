# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime"]
# ///
"""Make the small quantized graphs of the engine's tests, each with what ONNX Runtime makes of one input.

`NAME.onnx` has one input `x`; `NAME.f32` holds the elements of all outputs, one after the other, as little-endian
f32 (u8 outputs as their numbers). The input is the same formula here and in the tests. Seeded, so that a second run
writes the same files.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
SCALE, ZERO_POINT = 8 / 255, 128  # activations are near -4..4
RELU_SCALE = 4 / 255


class Net:
    """A graph in the making; activations are near unit variance."""

    def __init__(self, shape: list[int]):
        self.random = np.random.default_rng(7)
        self.nodes, self.constants, self.outputs = [], [], []
        self.shape = shape
        self.dtype = np.uint8

    def constant(self, value) -> str:
        """A constant of this value."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes) -> str:
        """A node with one output."""
        output = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, domain=domain, **attributes))
        return output

    def parameters(self, scale: float = SCALE, zero_point: int = ZERO_POINT) -> tuple[str, str]:
        """Scale and zero point of an activation; the zero point is given for u8."""
        shift = 128 if self.dtype == np.int8 else 0
        return self.constant(np.float32(scale)), self.constant(self.dtype(zero_point - shift))

    def quantize(self, x: str, scale: float = SCALE, zero_point: int = ZERO_POINT) -> str:
        """QuantizeLinear, DequantizeLinear."""
        parameters = self.parameters(scale, zero_point)
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *parameters), *parameters)

    def weight(self, shape: list[int], axis: int, depth: int, scales=None, zero_point: int = 0) -> tuple[str, np.ndarray]:
        """A dequantized int8 weight and its scales; `depth` products are summed."""
        values = self.random.integers(-127, 128, shape).astype(np.int8)
        if scales is None:
            scales = self.random.uniform(0.5, 1.5, shape[axis]) / (73 * depth**0.5)
        scales = np.asarray(scales, np.float32)
        zero_points = np.full(scales.shape, zero_point, np.int8)
        inputs = [self.constant(each) for each in (values, scales, zero_points)]
        return self.node("DequantizeLinear", *inputs, axis=axis), scales

    def bias(self, count: int, scales: np.ndarray) -> str:
        """A dequantized i32 bias."""
        steps = np.round(self.random.normal(0, 0.3, count) / scales).astype(np.int32)
        return self.node("DequantizeLinear", self.constant(steps), self.constant(scales.astype(np.float32)), axis=0)

    def conv(self, x: str, channels: list[int], kernel: int, group: int = 1, real_bias: bool = False, **attributes) -> str:
        """Convolution of a dequantized input of scale SCALE; `channels` are output and input."""
        depth = channels[1] // group
        scales = attributes.pop("scales", None)
        zero_point = attributes.pop("weight_zero_point", 0)
        shape = [channels[0], depth, kernel, kernel]
        weight, scales = self.weight(shape, 0, depth * kernel**2, scales, zero_point)
        in_scale = np.float32(attributes.pop("input_scale", SCALE))
        real = self.random.normal(0, 0.3, channels[0]).astype(np.float32)
        bias = self.constant(real) if real_bias else self.bias(channels[0], in_scale * np.broadcast_to(scales, channels[0]))
        return self.node("Conv", x, weight, bias, group=group, kernel_shape=[kernel] * 2, **attributes)

    def clip(self, x: str, low: float, high: float) -> str:
        """Clip with constant bounds."""
        return self.node("Clip", x, self.constant(np.float32(low)), self.constant(np.float32(high)))

    def finish(self, *outputs: str, element: int = TensorProto.FLOAT) -> onnx.ModelProto:
        """The model."""
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "fixture",
            [info("x", TensorProto.FLOAT, self.shape)],
            [info(output, element, None) for output in outputs],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=OPSETS, ir_version=8)


def network(net: Net) -> onnx.ModelProto:
    """A little of everything: stem, depthwise, residual, pool, product."""
    x = net.quantize("x")
    x = net.quantize(net.clip(net.conv(x, [16, 3], 3, strides=[2, 2], pads=[0, 0, 1, 1]), 0, 3), RELU_SCALE, 0)
    x = net.conv(x, [16, 16], 3, 16, input_scale=RELU_SCALE, pads=[1] * 4)
    x = net.quantize(net.node("Relu", x), RELU_SCALE, 0)
    start = net.quantize(net.conv(x, [20, 16], 1, input_scale=RELU_SCALE))
    x = net.quantize(net.conv(start, [24, 20], 1))
    x = net.quantize(net.conv(x, [24, 24], 5, 24, strides=[2, 2], pads=[2, 2, 2, 2], auto_pad="NOTSET"))
    small = net.quantize(net.conv(start, [24, 20], 1, strides=[2, 2]))
    x = net.quantize(net.conv(x, [24, 24], 1, real_bias=True))
    grid = net.quantize(net.node("Add", x, small))
    pooled = net.quantize(net.node("ReduceMean", grid, axes=[2, 3], keepdims=0), 1 / 255)
    weight, _ = net.weight([24, 10], 1, 1)
    product = net.node("MatMul", pooled, weight)
    return net.finish(net.node("Add", product, net.constant(net.random.normal(0, 1, 10).astype(np.float32))), grid)


def signed_network(net: Net) -> onnx.ModelProto:
    """The same on signed activations."""
    net.dtype = np.int8
    return network(net)


def unsupported_middle(net: Net) -> onnx.ModelProto:
    """A MaxPool, which no kernel knows, between quantized layers, and around it a second way."""
    x = net.quantize("x")
    x = net.quantize(net.conv(x, [16, 3], 3, pads=[1] * 4))
    pooled = net.quantize(net.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4))
    pooled = net.quantize(net.conv(pooled, [16, 16], 1))
    straight = net.quantize(net.conv(x, [16, 16], 1))
    return net.finish(net.quantize(net.node("Add", pooled, straight)))


def shared_float(net: Net) -> onnx.ModelProto:
    """A convolution whose unquantized output is read too, and a quantized tensor that leaves as it is."""
    x = net.quantize("x")
    raw = net.conv(x, [8, 3], 3, pads=[1] * 4)
    parameters = net.parameters()
    steps = net.node("QuantizeLinear", raw, *parameters)
    y = net.quantize(net.conv(net.node("DequantizeLinear", steps, *parameters), [8, 8], 1))
    return net.finish(net.node("Mul", raw, raw), net.node("Cast", steps, to=TensorProto.FLOAT), y)


def functions(net: Net) -> onnx.ModelProto:
    """Functions of single elements between quantized layers, and a change of scale."""
    x = net.quantize("x")
    x = net.quantize(net.conv(x, [8, 3], 1))
    x = net.quantize(net.node("Sigmoid", x), 1 / 255, 0)
    x = net.quantize(net.node("Mul", x, net.constant(np.float32(3))))
    x = net.quantize(net.conv(x, [8, 8], 1))
    return net.finish(net.quantize(x, 0.1, 100))


def excitation(net: Net) -> onnx.ModelProto:
    """Squeeze and excitation: the channels of an image weighed by what all of them are on average."""
    x = net.quantize("x")
    image = net.quantize(net.node("Relu", net.conv(x, [20, 3], 3, pads=[1] * 4)), RELU_SCALE, 0)
    mean = net.quantize(net.node("ReduceMean", image, axes=[2, 3], keepdims=0), RELU_SCALE, 0)
    narrow = net.quantize(net.node("Relu", net.node("MatMul", mean, net.weight([20, 6], 1, 1)[0])), RELU_SCALE, 0)
    wide = net.quantize(net.node("MatMul", narrow, net.weight([6, 20], 1, 1)[0]))
    weights = net.quantize(net.node("Sigmoid", wide), 1 / 255, 0)
    column = net.node("Reshape", weights, net.constant(np.array([1, -1, 1, 1])))
    weighed = net.quantize(net.node("Mul", image, column), RELU_SCALE, 0)
    return net.finish(net.quantize(net.conv(weighed, [8, 20], 1, input_scale=RELU_SCALE)))


def products(net: Net) -> onnx.ModelProto:
    """Gemm with transposed weights and bias, and MatMul of three axes, to u8 and to f32."""
    x = net.quantize("x")
    first = net.quantize(net.node("MatMul", x, net.weight([20, 12], 1, 20)[0]))
    rows = net.node("Reshape", first, net.constant(np.array([6, 12])))
    weight, _ = net.weight([7, 12], 0, 12)
    gemm = net.node("Gemm", rows, weight, net.constant(net.random.normal(0, 1, 7).astype(np.float32)), transB=1)
    return net.finish(first, gemm)


def broadcast(net: Net) -> onnx.ModelProto:
    """A sum of two tensors of different shapes."""
    x = net.quantize("x")
    rows = net.quantize(net.node("MatMul", x, net.weight([4, 4], 1, 4)[0]))
    columns = net.quantize(net.node("Reshape", rows, net.constant(np.array([1, 3, 4]))))
    return net.finish(net.quantize(net.node("Add", rows, columns)))


def dynamic(net: Net) -> onnx.ModelProto:
    """A product whose input is quantized as it comes, as ONNX Runtime's dynamic quantizer writes it."""
    quantized = ["quantized", "scale", "zero_point"]
    net.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], quantized, "dynamic"))
    outputs = []
    for scale in (np.float32(0.003), net.random.uniform(0.002, 0.004, 12).astype(np.float32)):
        weight = net.constant(net.random.integers(-127, 128, [20, 12]).astype(np.int8))
        product = net.node("MatMulInteger", "quantized", weight, "zero_point", net.constant(np.int8(0)))
        factor = net.node("Mul", "scale", net.constant(scale))
        real = net.node("Mul", net.node("Cast", product, to=TensorProto.FLOAT), factor)
        outputs.append(net.node("Add", net.constant(net.random.normal(0, 1, 12).astype(np.float32)), real))
    return net.finish(*outputs)


def embedding(net: Net) -> onnx.ModelProto:
    """Rows of a quantized table."""
    table, _ = net.weight([30, 5], 0, 1, scales=np.float32(0.01))
    token = net.node("Cast", net.node("Abs", "x"), to=TensorProto.INT64)
    return net.finish(net.node("Gather", table, token, axis=0))


def odd_weights(net: Net) -> onnx.ModelProto:
    """Weights that the kernels do not take: a zero point, a scale of zero, an infinite one; each before a good layer."""
    x = net.quantize("x")
    x = net.quantize(net.conv(x, [8, 3], 1, weight_zero_point=3))
    x = net.quantize(net.conv(x, [8, 8], 1))
    scales = np.full(8, 0.005, np.float32)
    scales[3] = 0
    x = net.quantize(net.conv(x, [8, 8], 1, scales=scales, real_bias=True))
    return net.finish(net.quantize(net.conv(x, [8, 8], 1, group=2)))


def operators(net: Net) -> onnx.ModelProto:
    """QLinearConv, QLinearAdd, QLinearGlobalAveragePool, QGemm and QLinearMatMul."""
    parameters = net.parameters()
    x = net.node("QuantizeLinear", "x", *parameters)

    def weight(shape: list[int], depth: int, axis: int) -> list[str]:
        scales = (net.random.uniform(0.5, 1.5, shape[axis]) / (73 * depth**0.5)).astype(np.float32)
        values = net.random.integers(-127, 128, shape).astype(np.int8)
        return [net.constant(each) for each in (values, scales, np.zeros(shape[axis], np.int8))]

    def bias(count: int) -> str:
        return net.constant(net.random.integers(-2000, 2000, count).astype(np.int32))

    x = net.node("QLinearConv", x, *parameters, *weight([16, 3, 3, 3], 27, 0), *parameters, bias(16), pads=[1] * 4)
    y = net.node("QLinearConv", x, *parameters, *weight([16, 16, 1, 1], 16, 0), *parameters)
    x = net.node("QLinearAdd", x, *parameters, y, *parameters, *parameters, domain="com.microsoft")
    narrow = net.parameters(1 / 255)
    x = net.node("QLinearGlobalAveragePool", x, *parameters, *narrow, channels_last=0, domain="com.microsoft")
    x = net.node("Reshape", x, net.constant(np.array([1, 16])))
    x = net.node("QGemm", x, *narrow, *weight([16, 16], 1, 0), bias(16), *parameters, transB=1, domain="com.microsoft")
    matrix = weight([16, 4], 16, 1)
    x = net.node("QLinearMatMul", x, *parameters, *matrix, *parameters)
    return net.finish(net.node("DequantizeLinear", x, *parameters))


FIXTURES = {
    "network": (network, [1, 3, 16, 16]),
    "signed_network": (signed_network, [1, 3, 16, 16]),
    "unsupported_middle": (unsupported_middle, [1, 3, 9, 7]),
    "shared_float": (shared_float, [1, 3, 6, 5]),
    "functions": (functions, [1, 3, 6, 5]),
    "excitation": (excitation, [1, 3, 6, 5]),
    "products": (products, [2, 3, 20]),
    "broadcast": (broadcast, [3, 1, 4]),
    "dynamic": (dynamic, [2, 3, 20]),
    "embedding": (embedding, [3, 1]),
    "odd_weights": (odd_weights, [1, 3, 5, 5]),
    "operators": (operators, [1, 3, 8, 8]),
}


def first_input(shape: list[int]) -> np.ndarray:
    """The input of every fixture, -4..4."""
    steps = np.arange(np.prod(shape)) * 7919 % 255 - 127
    return (steps.astype(np.float32) / np.float32(32)).reshape(shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("tests/fixtures/int8"))
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, (make, shape) in FIXTURES.items():
        model = make(Net(shape))
        onnx.save(model, folder / f"{name}.onnx")
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs = session.run(None, {"x": first_input(shape)})
        np.concatenate([output.ravel() for output in outputs]).astype("<f4").tofile(folder / f"{name}.f32")
        print(f"{name}: {(folder / f'{name}.onnx').stat().st_size} bytes, outputs {[output.shape for output in outputs]}")


if __name__ == "__main__":
    main()
