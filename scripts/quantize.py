# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm"]
# ///
"""Quantize a float model folder to int8.

Photos of the train split give the activations' ranges: the encoder sees the photos, the decoder the captions that
the float model makes for them. Of several ways to choose a range the one is taken whose next-word probabilities,
on other photos, stay closest to the float model's. The encoder's channels are brought to like ranges before
(`equalization.py`), and the biases of its convolutions are corrected after (`bias_correction.py`).
"""

import argparse
import random
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from bias_correction import correct_biases
from calibration import METHODS, Samples, choose_ranges, observe
from equalization import equalize
from model_folder import FLOAT_GRAPHS, INT8_GRAPHS, SETTINGS, write_checksums
from onnx_captioner import OnnxCaptioner
from photos import read_photos
from quantization import quantize

BIAS_PHOTOS = 32  # of those that give the ranges


class Trace(NamedTuple):
    """A photo and what the float model says of it."""

    pixels: np.ndarray
    tokens: list[int]
    feeds: list[dict]
    log_probabilities: np.ndarray


class Agreement(NamedTuple):
    """How close a quantized model stays: mean KL divergence in nats, and share of steps with the same best word."""

    divergence: float
    same_word: float


def follow(captioner: OnnxCaptioner, path: Path) -> Trace:
    """The greedy caption of a photo, and every step on its way."""
    pixels = captioner.read_photo(path)
    tokens = captioner.caption(pixels).tokens
    feeds, log_probabilities = captioner.force(captioner.encode(pixels), tokens)
    return Trace(pixels, tokens, feeds, log_probabilities)


def compare(captioner: OnnxCaptioner, traces: list[Trace]) -> Agreement:
    """Agreement along the float model's captions."""
    divergences, same = [], []
    for trace in traces:
        _, actual = captioner.force(captioner.encode(trace.pixels), trace.tokens)
        expected = trace.log_probabilities
        divergences += (np.exp(expected) * (expected - actual)).sum(axis=-1).tolist()
        same += (expected.argmax(axis=-1) == actual.argmax(axis=-1)).tolist()
    return Agreement(float(np.mean(divergences)), float(np.mean(same)))


class Search:
    """Tries every method for one graph while the other graph stays float."""

    def __init__(self, folder: Path, graphs: list[onnx.ModelProto], traces: list[Trace], shown: list[dict]):
        self.folder = folder
        self.graphs = graphs
        self.traces = traces
        self.shown = shown

    def best(self, place: int, samples: Samples, methods: list[str]) -> onnx.ModelProto:
        """The quantized graph at `place` (0 encoder, 1 decoder) that agrees best."""
        candidates = {}
        for method in methods:
            graphs = list(self.graphs)
            quantized = quantize(self.graphs[place], choose_ranges(samples, method))
            graphs[place] = quantized if place else correct_biases(quantized, self.graphs[0], self.shown)
            agreement = compare(OnnxCaptioner(self.folder, *graphs), self.traces)
            print(f"{FLOAT_GRAPHS[place]}, {method}: divergence {agreement.divergence:.4f}, "
                  f"same word {100 * agreement.same_word:.1f} %", flush=True)
            candidates[method] = agreement.divergence, graphs[place]
        return min(candidates.values(), key=lambda candidate: candidate[0])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder with float graphs")
    parser.add_argument("output", type=Path, help="model folder to write; gets the int8 graphs and the JSON files")
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned photos; the train split is used")
    parser.add_argument("--photos", type=int, default=300, help="photos that give the ranges")
    parser.add_argument("--check-photos", type=int, default=100, help="other photos that choose the method")
    parser.add_argument("--method", choices=METHODS, help="use this one (default: the best of all)")
    options = parser.parse_args()
    paths = [photo.path for photo in read_photos(options.data, "train")]
    paths = random.Random(0).sample(paths, options.photos + options.check_photos)
    graphs = [onnx.load(options.model / name) for name in FLOAT_GRAPHS]
    captioner = OnnxCaptioner(options.model, *graphs)
    traces = [follow(captioner, path) for path in tqdm(paths, desc="float captions")]
    seen, checks = traces[: options.photos], traces[options.photos :]
    shown = [{"pixel_values": trace.pixels} for trace in seen]
    graphs[0] = equalize(graphs[0], tqdm(shown, desc="encoder channels"))
    samples = (
        observe(graphs[0], tqdm(shown, desc="encoder ranges")),
        observe(graphs[1], (feed for trace in tqdm(seen, desc="decoder ranges") for feed in trace.feeds)),
    )
    search = Search(options.model, graphs, checks, shown[:BIAS_PHOTOS])
    methods = [options.method] if options.method else list(METHODS)
    quantized = [search.best(place, samples[place], methods) for place in (0, 1)]
    agreement = compare(OnnxCaptioner(options.model, *quantized), checks)
    print(f"both int8: divergence {agreement.divergence:.4f}, same word {100 * agreement.same_word:.1f} %")
    write_folder(options.model, options.output, quantized)


def write_folder(source: Path, output: Path, quantized: list[onnx.ModelProto]) -> None:
    """The int8 graphs, the source's JSON files and the checksums."""
    output.mkdir(parents=True, exist_ok=True)
    for name, graph in zip(INT8_GRAPHS, quantized):
        onnx.save(graph, output / name)
        print(f"{name}: {(output / name).stat().st_size / 1e6:.2f} MB")
    for name in SETTINGS:
        if source.resolve() != output.resolve():
            shutil.copyfile(source / name, output / name)
    write_checksums(output)


if __name__ == "__main__":
    main()
