# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnxruntime", "pillow"]
# ///
"""Caption photos with ONNX Runtime and Pillow: what one would write in Python, to compare scenescribe with.

Greedy, one thread unless told otherwise. Prints `path<TAB>caption` a line, as `scenescribe caption` does.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

PHOTO_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}


class Captioner:
    """A model folder's int8 graphs."""

    def __init__(self, folder: Path, threads: int):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.encoder = onnxruntime.InferenceSession(str(folder / "encoder_model_quantized.onnx"), options)
        self.decoder = onnxruntime.InferenceSession(str(folder / "decoder_model_quantized.onnx"), options)
        self.features = [output.name for output in self.encoder.get_outputs()]
        self.step_outputs = [output.name for output in self.decoder.get_outputs()]
        self.step_inputs = {value.name for value in self.decoder.get_inputs()}
        self.preprocessor = json.loads((folder / "preprocessor_config.json").read_text())
        self.generation = json.loads((folder / "generation_config.json").read_text())
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        self.words = {token: word for word, token in vocabulary.items()}

    def pixels(self, photo: Path) -> np.ndarray:
        """Network input, (1, 3, height, width)."""
        size = self.preprocessor["size"]
        image = Image.open(photo).convert("RGB").resize((size["width"], size["height"]), Image.Resampling.BILINEAR)
        values = np.asarray(image, np.float32) * np.float32(self.preprocessor["rescale_factor"])
        mean = np.array(self.preprocessor["image_mean"], np.float32)
        deviation = np.array(self.preprocessor["image_std"], np.float32)
        return ((values - mean) / deviation).transpose(2, 0, 1)[None]

    def caption(self, photo: Path) -> str:
        """The greedy caption of a photo file."""
        features = dict(zip(self.features, self.encoder.run(None, {"pixel_values": self.pixels(photo)})))
        feed = {name: value for name, value in features.items() if name in self.step_inputs}
        token, words = self.generation["decoder_start_token_id"], []
        for _ in range(self.generation["max_new_tokens"]):
            feed["input_ids"] = np.array([[token]])
            outputs = dict(zip(self.step_outputs, self.decoder.run(None, feed)))
            logits = outputs.pop("logits")[0]
            logits[self.generation["suppress_tokens"]] = -np.inf
            token = int(logits.argmax())
            if token == self.generation["eos_token_id"]:
                break
            words.append(self.words[token])
            feed |= {name.replace("present", "past", 1): value for name, value in outputs.items()}
        return " ".join(words)


def photos(paths: list[Path]) -> list[Path]:
    """Files as they are, folders as the photos below them."""
    found = []
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [photo for photo in below if photo.suffix.lower() in PHOTO_ENDINGS or photo == path]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+", help="photos or folders of photos")
    parser.add_argument("--model", type=Path, default=Path("models/default"), help="model folder")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime")
    args = parser.parse_args()
    captioner = Captioner(args.model, args.threads)
    for photo in photos(args.photos):
        print(f"{photo}\t{captioner.caption(photo)}", flush=True)


if __name__ == "__main__":
    main()
