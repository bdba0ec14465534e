# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm"]
# ///
"""Compare the scenescribe program with ONNX Runtime, token by token, on the same graphs.

Photos are decoded here and handed to both sides as PNG files of the network's size, so that neither decoding nor
resizing can differ. ONNX Runtime runs in three ways that agree up to rounding: as the file has it (every quantized node
in float between its scales), optimized (fused kernels, which round in other places), and with convolutions on integers
but all else as the file has it, which is the program's arithmetic. Where greedy captions differ,
the first step that differs is listed with how far ONNX Runtime's logit of its own word is above that of the program's
word: a small margin is rounding, a large one a bug.

    parity.py models/default --data DIR --binary target/release/scenescribe --photos 200
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import onnx
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from integer_graph import with_integer_convolutions
from model_folder import INT8_GRAPHS
from onnx_captioner import OnnxCaptioner
from photos import Photo, read_photos


class Difference(NamedTuple):
    """The first step at which two captions of a photo part."""

    photo: str
    step: int
    expected: str
    actual: str
    margin: float


def open_references(model: Path, precision: str) -> dict[str, OnnxCaptioner]:
    """ONNX Runtime in each of its ways to compute a quantized graph."""
    references = {"as in the file": OnnxCaptioner.open(model, precision, optimized=False)}
    references["optimized"] = OnnxCaptioner.open(model, precision)
    if precision == "int8":
        encoder, decoder = (onnx.load(model / name) for name in INT8_GRAPHS)
        integer = with_integer_convolutions(encoder)
        references["integer convolutions"] = OnnxCaptioner(model, integer, decoder, optimized=False)
    return references


def write_png(photos: list[Photo], folder: Path, size: tuple[int, int]) -> list[Path]:
    """The photos as the network sees them."""
    paths = []
    for photo in photos:
        image = Image.open(photo.path).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        paths.append(folder / f"{photo.path.stem}.png")
        image.save(paths[-1])
    return paths


def run_binary(binary: Path, model: Path, precision: str, paths: list[Path]) -> list[list[int]]:
    """Greedy tokens of each photo, from the program."""
    command = [binary, "caption", "--json", "--model", model, "--beam", "1", "--precision", precision, *paths]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{binary} failed: {result.stderr.strip()}")
    return [json.loads(line)["tokens"] for line in result.stdout.splitlines()]


def find_difference(captioner: OnnxCaptioner, path: Path, actual: list[int]) -> Difference | None:
    """Where the program's tokens leave ONNX Runtime's, if they do."""
    encoded = captioner.encode(captioner.read_photo(path))
    _, log_probabilities = captioner.force(encoded, actual)
    log_probabilities[:, captioner.generation["suppress_tokens"]] = -float("inf")
    limit = captioner.generation["max_new_tokens"]
    for step, token in enumerate([*actual, captioner.end][:limit]):
        best = int(log_probabilities[step].argmax())
        if best != token:
            margin = float(log_probabilities[step, best] - log_probabilities[step, token])
            return Difference(path.stem, step, captioner.words[best], captioner.words[token], margin)
    return None


def report(name: str, differences: list[Difference], count: int) -> None:
    """One line a difference, largest margin first, after a summary."""
    largest = max((difference.margin for difference in differences), default=0.0)
    print(f"{name}: {count - len(differences)} of {count} captions are the same, largest margin {largest:.4f}")
    for difference in sorted(differences, key=lambda each: -each.margin):
        print(f"  {difference.photo} step {difference.step}: {difference.expected!r} here, "
              f"{difference.actual!r} in the program, margin {difference.margin:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--split", default="val")
    parser.add_argument("--binary", type=Path, default=Path("target/release/scenescribe"))
    parser.add_argument("--precision", choices=("float", "int8"), default="int8")
    parser.add_argument("--photos", type=int, default=200)
    options = parser.parse_args()
    photos = read_photos(options.data, options.split)[: options.photos]
    references = open_references(options.model, options.precision)
    size = references["as in the file"].preprocessor["size"]
    with tempfile.TemporaryDirectory() as folder:
        paths = write_png(photos, Path(folder), (size["width"], size["height"]))
        tokens = run_binary(options.binary, options.model, options.precision, paths)
        for name, captioner in references.items():
            pairs = tqdm(list(zip(paths, tokens, strict=True)), desc=name, leave=False)
            found = [find_difference(captioner, path, actual) for path, actual in pairs]
            report(f"ONNX Runtime, {name}", [difference for difference in found if difference], len(paths))


if __name__ == "__main__":
    main()
