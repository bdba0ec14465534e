# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime"]
# ///
"""Compare scenescribe's engine with ONNX Runtime, plain tract and rten on the same int8 graphs, side by side.

Each round runs every engine in turn, so that a machine that gets slower slows all of them; a figure is the median of
the rounds' medians, and what to quote are the ratios. One beam row, one thread unless told otherwise.

ONNX Runtime has other forms of the same network: with `--float DIR`, a folder of its float graphs, these are measured
as they are and with their weights quantized dynamically.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import quantize_dynamic

GRAPHS = ("encoder_model_quantized.onnx", "decoder_model_quantized.onnx")
RTEN = Path(__file__).parent / "compare_rten"
ROUNDS = 7
FRAMES = 20


class OnnxRuntime:
    """Two graphs under ONNX Runtime with its default optimizations."""

    def __init__(self, encoder: Path, decoder: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.encoder, self.decoder = (onnxruntime.InferenceSession(str(graph), options) for graph in (encoder, decoder))
        shape = self.encoder.get_inputs()[0].shape
        self.pixels = {"pixel_values": np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)}
        features = dict(zip((output.name for output in self.encoder.get_outputs()), self.encoder.run(None, self.pixels)))
        names = {value.name for value in self.decoder.get_inputs()}
        self.step = {name: value for name, value in features.items() if name in names}
        self.step["input_ids"] = np.array([[4]])

    def measure(self) -> dict[str, float]:
        """Milliseconds of an encoder run and of a decoder step."""
        encoder = median_ms(lambda: self.encoder.run(None, self.pixels))
        return {"encoder": encoder, "decoder step": median_ms(lambda: self.decoder.run(None, self.step))}


class Program:
    """`scenescribe bench`, in a process of its own for each round."""

    def __init__(self, binary: Path, model: Path, threads: int, kernels: str | None):
        self.command = [binary, "bench", "--json", "--beam", "1", "--frames", str(FRAMES), "--model", model]
        self.command += ["--threads", str(threads)]
        self.environment = {**os.environ, **({"SCENESCRIBE_KERNELS": kernels} if kernels else {})}

    def measure(self) -> dict[str, float]:
        """Milliseconds of an encoder run and of a decoder step."""
        result = subprocess.run(self.command, env=self.environment, capture_output=True, text=True, check=True)
        report = json.loads(result.stdout)
        median = {stage["stage"]: stage["p50_ms"] for stage in report["stages"]}
        return {"encoder": median["encode"], "decoder step": median["decode"] / (report["tokens"] + 1)}


class Rten:
    """The graphs under rten, in a process of their own for each round."""

    def __init__(self, model: Path, threads: int):
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=RTEN, check=True)
        self.graphs = [model / name for name in GRAPHS]
        self.environment = {**os.environ, "RTEN_NUM_THREADS": str(threads)}

    def measure(self) -> dict[str, float]:
        """Milliseconds of an encoder run and of a decoder step."""
        commands = [[RTEN / "target/release/compare_rten", graph, str(FRAMES)] for graph in self.graphs]
        results = [subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True) for command in commands]
        return dict(zip(("encoder", "decoder step"), (float(result.stdout) for result in results)))


def median_ms(call: Callable[[], object]) -> float:
    """The median over `FRAMES` calls after a warm-up of three."""
    times = []
    for _ in range(FRAMES + 3):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def quantize_dynamically(folder: Path, graph: Path) -> Path:
    """Writes `graph` with int8 matrices and activations quantized as they come."""
    output = folder / graph.name
    quantize_dynamic(graph, output, per_channel=True)
    return output


def other_forms(folder: Path, scratch: Path, threads: int) -> dict[str, OnnxRuntime]:
    """ONNX Runtime on the float graphs of a folder; convolutions have no fast dynamic form, so that encoder stays float."""
    encoder, decoder = folder / "encoder_model.onnx", folder / "decoder_model.onnx"
    return {
        "ONNX Runtime float": OnnxRuntime(encoder, decoder, threads),
        "ONNX Runtime dynamic": OnnxRuntime(encoder, quantize_dynamically(scratch, decoder), threads),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=Path("target/release/scenescribe"))
    parser.add_argument("--model", type=Path, default=Path("models/default"), help="model folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float", type=Path, dest="float_model", help="folder of the same network's float graphs")
    args = parser.parse_args()
    engines = {
        "scenescribe": Program(args.binary, args.model, args.threads, None),
        "ONNX Runtime int8": OnnxRuntime(*(args.model / name for name in GRAPHS), args.threads),
        "plain tract": Program(args.binary, args.model, args.threads, "tract"),
        "rten": Rten(args.model, args.threads),
    }
    with tempfile.TemporaryDirectory() as scratch:
        if args.float_model:
            engines |= other_forms(args.float_model, Path(scratch), args.threads)
        rounds = [{name: engine.measure() for name, engine in engines.items()} for _ in range(ROUNDS)]
    print_table(rounds)


def print_table(rounds: list[dict[str, dict[str, float]]]) -> None:
    """Medians, and scenescribe's share of each engine's time."""
    print(f"{'median of ' + str(ROUNDS) + ' rounds':<24}{'encoder ms':>12}{'ours is':>9}{'step ms':>12}{'ours is':>9}")
    for name in rounds[0]:
        row = f"{name:<24}"
        for part in ("encoder", "decoder step"):
            ratio = statistics.median(measured["scenescribe"][part] / measured[name][part] for measured in rounds)
            row += f"{statistics.median(measured[name][part] for measured in rounds):>12.3f}{ratio:>9.3f}"
        print(row)


if __name__ == "__main__":
    main()
