# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnxruntime"]
# ///
"""Measure a model's graphs under ONNX Runtime, one round for each line on standard input.

`scenescribe bench --compare onnxruntime` holds this script and takes turns with it. Standard output is JSON lines: the
version, then for each round the medians of an encoder run and of a decoder step in milliseconds.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

try:
    import numpy as np
    import onnxruntime
except ModuleNotFoundError as error:
    sys.exit(str(error))


class OnnxRuntime:
    """Two graphs under ONNX Runtime with its default optimizations."""

    def __init__(self, encoder: Path, decoder: Path, threads: int, rows: int, runs: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.encoder, self.decoder = (onnxruntime.InferenceSession(str(graph), options) for graph in (encoder, decoder))
        shape = self.encoder.get_inputs()[0].shape
        self.pixels = {"pixel_values": np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)}
        features = dict(zip((output.name for output in self.encoder.get_outputs()), self.encoder.run(None, self.pixels)))
        self.step = {value.name: first_value(value, features, rows) for value in self.decoder.get_inputs()}
        self.runs = runs

    def measure(self) -> dict[str, float]:
        """Median milliseconds of an encoder run and of a decoder step, of `runs` after a warm-up."""
        return {
            "encode_ms": median_ms(lambda: self.encoder.run(None, self.pixels), self.runs),
            "step_ms": median_ms(lambda: self.decoder.run(None, self.step), self.runs),
        }


def first_value(port: "onnxruntime.NodeArg", features: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """What an input of the decoder holds at the first step, for a beam of `rows`."""
    is_open = [not isinstance(length, int) for length in port.shape]
    feature = features.get(port.name)
    if feature is not None:
        return np.repeat(feature, rows, axis=0) if is_open[0] and len(feature) == 1 else feature
    if port.type == "tensor(int64)":
        return np.zeros((rows, 1), np.int64)
    open_length = [rows] + [0] * len(port.shape)
    return np.zeros([open_length[axis] if is_open[axis] else n for axis, n in enumerate(port.shape)], np.float32)


def median_ms(call: Callable[[], object], runs: int) -> float:
    """The median over `runs` calls after a warm-up of three."""
    times = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("decoder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1, help="width of the beam")
    parser.add_argument("--runs", type=int, default=20, help="of each graph, a round")
    args = parser.parse_args()
    graphs = OnnxRuntime(args.encoder, args.decoder, args.threads, args.rows, args.runs)
    print(json.dumps({"version": onnxruntime.__version__}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(graphs.measure()), flush=True)


if __name__ == "__main__":
    main()
