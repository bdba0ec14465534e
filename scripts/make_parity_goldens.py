# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow"]
# ///
"""Make what tests/integration/parity.rs compares with: Pillow's resized pictures and ONNX Runtime's outputs.

The picture is arithmetic, so that it needs no licence; the graphs are those of the tiny model.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from onnx_captioner import OnnxCaptioner

FILTERS = {1: Image.Resampling.LANCZOS, 2: Image.Resampling.BILINEAR, 3: Image.Resampling.BICUBIC}


def draw(width: int, height: int) -> Image.Image:
    """Ramps, edges and fine texture, (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    red = (x * 255 // width) ^ ((x // 7 + y // 5) % 2 * 60)
    green = (y * 255 // height + (x * y) % 17 * 3) % 256
    blue = np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2, 230, (x * 31 + y * 17) % 90)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def outputs(model: Path, precision: str, pixels: np.ndarray) -> dict:
    """What ONNX Runtime says, its graph optimizations off so that quantized pairs run as written."""
    captioner = OnnxCaptioner.open(model, precision, optimized=False)
    encoded = captioner.encode(pixels)
    captions = {str(beams): captioner.caption(pixels, beams) for beams in (1, 3)}
    return {
        "encoder": {name: value.ravel().astype(float).tolist() for name, value in encoded.items()},
        "captions": {beams: caption._asdict() for beams, caption in captions.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("tests/fixtures/tiny"), help="model folder")
    parser.add_argument("--output", type=Path, default=Path("tests/fixtures/parity"), help="folder to write")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    picture = draw(150, 97)
    picture.save(args.output / "picture.png", optimize=True)
    for number, resample in FILTERS.items():
        picture.resize((32, 32), resample).save(args.output / f"resized_{number}.png", optimize=True)
    captioner = OnnxCaptioner.open(args.model, "int8", optimized=False)
    pixels = captioner.read_photo(args.output / "picture.png")
    goldens = {precision: outputs(args.model, precision, pixels) for precision in ("int8", "float")}
    (args.output / "outputs.json").write_text(json.dumps(goldens) + "\n")


if __name__ == "__main__":
    main()
