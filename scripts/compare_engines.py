# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime"]
# ///
"""Compare scenescribe's engine with ONNX Runtime, plain tract and rten on the same int8 graphs, side by side.

Each round runs every engine in turn, so that a machine that gets slower slows all of them; a figure is the median of
the rounds' medians, and what to quote are the ratios. One beam row, one thread unless told otherwise.

`step` is one run of the decoder's graph again and again. `token` is what one takes of a caption's steps, with the encoder
run before each caption, so that the caches hold its weights: for the program it includes the search and the text, for
ONNX Runtime it is the graph alone, for rten the step again.

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
from pathlib import Path
from typing import NamedTuple

from onnxruntime.quantization import quantize_dynamic

from onnxruntime_rounds import OnnxRuntime

GRAPHS = ("encoder_model_quantized.onnx", "decoder_model_quantized.onnx")
RTEN = Path(__file__).parent / "compare_rten"
ROUNDS = 7
FRAMES = 20
STEPS = 9  # of a caption
PARTS = ("encode", "step", "token")


class Setting(NamedTuple):
    """What all engines are told."""

    threads: int
    rows: int


class Program:
    """`scenescribe bench`, in a process of its own for each round."""

    def __init__(self, binary: Path, model: Path, setting: Setting, kernels: str | None):
        self.command = [binary, "bench", "--json", "--frames", str(FRAMES), "--model", model]
        self.command += ["--threads", str(setting.threads), "--beam", str(setting.rows)]
        self.environment = {**os.environ, **({"SCENESCRIBE_KERNELS": kernels} if kernels else {})}

    def measure(self) -> dict[str, float]:
        """Milliseconds of each part."""
        result = subprocess.run(self.command, env=self.environment, capture_output=True, text=True, check=True)
        report = json.loads(result.stdout)
        median = {stage["stage"]: stage["p50_ms"] for stage in report["stages"]}
        return {part: median[part] for part in ("encode", "step")} | {"token": median["decode"] / (report["tokens"] + 1)}


class Library:
    """ONNX Runtime in this process."""

    def __init__(self, encoder: Path, decoder: Path, setting: Setting):
        self.graphs = OnnxRuntime(encoder, decoder, setting.threads, setting.rows, FRAMES)

    def measure(self) -> dict[str, float]:
        """Milliseconds of each part."""
        median = self.graphs.measure()
        return {"encode": median["encode_ms"], "step": median["step_ms"], "token": self.token_ms()}

    def token_ms(self) -> float:
        """Milliseconds of a step in a caption."""
        times = []
        for _ in range(FRAMES):
            self.graphs.encoder.run(None, self.graphs.pixels)
            start = time.perf_counter()
            for _ in range(STEPS):
                self.graphs.decoder.run(None, self.graphs.step)
            times.append(1e3 * (time.perf_counter() - start) / STEPS)
        return statistics.median(times)


class Rten:
    """The graphs under rten, in a process of their own for each round."""

    def __init__(self, model: Path, setting: Setting):
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=RTEN, check=True)
        program = RTEN / "target/release/compare_rten"
        self.commands = [[program, model / name, str(FRAMES), str(setting.rows)] for name in GRAPHS]
        self.environment = {**os.environ, "RTEN_NUM_THREADS": str(setting.threads)}

    def measure(self) -> dict[str, float]:
        """Milliseconds of each part."""
        results = [subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
                   for command in self.commands]
        encode, step = (float(result.stdout) for result in results)
        return {"encode": encode, "step": step, "token": step}


def quantize_dynamically(folder: Path, graph: Path) -> Path:
    """Writes `graph` with int8 matrices and activations quantized as they come."""
    output = folder / graph.name
    quantize_dynamic(graph, output, per_channel=True)
    return output


def other_forms(folder: Path, scratch: Path, setting: Setting) -> dict[str, Library]:
    """ONNX Runtime on the float graphs of a folder; convolutions have no fast dynamic form, so that encoder stays float."""
    encoder, decoder = folder / "encoder_model.onnx", folder / "decoder_model.onnx"
    return {
        "ONNX Runtime float": Library(encoder, decoder, setting),
        "ONNX Runtime dynamic": Library(encoder, quantize_dynamically(scratch, decoder), setting),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=Path("target/release/scenescribe"))
    parser.add_argument("--model", type=Path, default=Path("models/default"), help="model folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beam", type=int, default=1, help="rows of a step")
    parser.add_argument("--float", type=Path, dest="float_model", help="folder of the same network's float graphs")
    args = parser.parse_args()
    setting = Setting(args.threads, args.beam)
    engines = {
        "scenescribe": Program(args.binary, args.model, setting, None),
        "ONNX Runtime int8": Library(*(args.model / name for name in GRAPHS), setting),
        "plain tract": Program(args.binary, args.model, setting, "tract"),
        "rten": Rten(args.model, setting),
    }
    with tempfile.TemporaryDirectory() as scratch:
        if args.float_model:
            engines |= other_forms(args.float_model, Path(scratch), setting)
        rounds = [{name: engine.measure() for name, engine in engines.items()} for _ in range(ROUNDS)]
    print_table(rounds)


def print_table(rounds: list[dict[str, dict[str, float]]]) -> None:
    """Medians, and scenescribe's share of each engine's time."""
    print(f"{'ms, median of ' + str(ROUNDS) + ' rounds':<24}" + "".join(f"{part:>10}{'ours is':>9}" for part in PARTS))
    for name in rounds[0]:
        row = f"{name:<24}"
        for part in PARTS:
            ratio = statistics.median(measured["scenescribe"][part] / measured[name][part] for measured in rounds)
            row += f"{statistics.median(measured[name][part] for measured in rounds):>10.3f}{ratio:>9.3f}"
        print(row)


if __name__ == "__main__":
    main()
