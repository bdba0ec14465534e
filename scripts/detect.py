# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnxruntime", "pillow", "tqdm"]
# ///
"""Find the objects of COCO's 80 classes in photos, with the detector PicoDet.

Writes one JSON object a line: `file` and `objects`, a list of [class, best score, count over 0.4], best first, from a
score of 0.1 up. The detector comes with the PyPI package paddlelabel-ml 1.0.0 (Apache-2.0): unpack its wheel and
convert `model/PicoDet/ckpt` with `paddle2onnx --model_filename model.pdmodel --params_filename model.pdiparams`.
A run that was stopped goes on when it is run again.

    detect.py PicoDet.onnx photos/ runs/objects.jsonl
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from tqdm import tqdm

from objects import CLASSES

SIZE = 416
LEAST_SCORE = 0.1
COUNTED = 0.4
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def detector_input(image: Image.Image) -> dict[str, np.ndarray]:
    """What PicoDet's graph reads of an RGB picture."""
    large = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pixels = (np.asarray(large, np.float32) / 255 - MEAN) / DEVIATION
    return {"image": pixels.transpose(2, 0, 1)[None], "scale_factor": np.ones((1, 2), np.float32)}


class Detector:
    """PicoDet with its boxes already thinned out in the graph."""

    def __init__(self, path: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options)
        self.names = list(CLASSES)

    def objects(self, photo: Path) -> list[tuple[str, float, int]]:
        """Classes seen, the best score of each and how many of it, best first."""
        boxes = self.session.run(None, detector_input(Image.open(photo).convert("RGB")))[0]
        scores: dict[str, list[float]] = {}
        for label, score in boxes[:, :2].tolist():
            if label >= 0 and score >= LEAST_SCORE:
                scores.setdefault(self.names[int(label)], []).append(score)
        seen = [(name, round(max(found), 3), sum(score > COUNTED for score in found)) for name, found in scores.items()]
        return sorted(seen, key=lambda item: -item[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path, help="PicoDet as ONNX, 416 x 416")
    parser.add_argument("photos", type=Path, help="folder of JPEG photos")
    parser.add_argument("output", type=Path, help="JSON lines to write or to go on with")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    lines = options.output.read_text().splitlines() if options.output.exists() else []
    done = {json.loads(line)["file"] for line in lines}
    photos = [path for path in sorted(options.photos.glob("*.jpg")) if path.name not in done]
    detector = Detector(options.detector, options.threads)
    with options.output.open("a", buffering=1) as output:
        for path in tqdm(photos, desc="objects"):
            output.write(json.dumps({"file": path.name, "objects": detector.objects(path)}) + "\n")


if __name__ == "__main__":
    main()
