"""Captions from a model folder through ONNX Runtime: the same rules as the program's, for cross-checks."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from PIL import Image

from calibration import open_session
from model_folder import FLOAT_GRAPHS, INT8_GRAPHS, read_json, read_words


class Caption(NamedTuple):
    """Tokens without start and end, and the sum of their log probabilities, the end's among them."""

    tokens: list[int]
    log_probability: float


@dataclass
class Beam:
    """A caption under way: its tokens after start."""

    tokens: list[int]
    log_probability: float


class OnnxCaptioner:
    """Encoder and decoder step of one folder, at one precision."""

    def __init__(self, folder: Path, encoder: onnx.ModelProto, decoder: onnx.ModelProto, optimized: bool = True):
        self.encoder = open_session(encoder, optimized)
        self.decoder = open_session(decoder, optimized)
        self.encoder_outputs = [value.name for value in self.encoder.get_outputs()]
        self.step_inputs = [value.name for value in self.decoder.get_inputs()]
        self.step_outputs = [value.name for value in self.decoder.get_outputs()]
        self.preprocessor = read_json(folder / "preprocessor_config.json")
        self.generation = read_json(folder / "generation_config.json")
        self.words = read_words(folder)

    @classmethod
    def open(cls, folder: Path, precision: str, optimized: bool = True) -> "OnnxCaptioner":
        """The folder's graphs of precision `float` or `int8`."""
        names = {"float": FLOAT_GRAPHS, "int8": INT8_GRAPHS}[precision]
        return cls(folder, *(onnx.load(folder / name) for name in names), optimized)

    def read_photo(self, path: Path) -> np.ndarray:
        """Network input (1, 3, H, W) of a photo file."""
        size = self.preprocessor["size"]
        image = Image.open(path).convert("RGB")
        if image.size != (size["width"], size["height"]):
            image = image.resize((size["width"], size["height"]), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32) * np.float32(self.preprocessor["rescale_factor"])
        mean, deviation = (np.array(self.preprocessor[name], np.float32) for name in ("image_mean", "image_std"))
        return np.ascontiguousarray(((pixels - mean) / deviation).transpose(2, 0, 1)[None])

    def encode(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Encoder outputs by name."""
        return dict(zip(self.encoder_outputs, self.encoder.run(None, {"pixel_values": pixels})))

    def step(self, encoded: dict, state: dict, tokens: list[int]) -> tuple[np.ndarray, dict]:
        """Logits (B, V) and the next state."""
        feed = {name: encoded[name] for name in self.step_inputs if name in encoded} | state
        feed["input_ids"] = np.array(tokens, np.int64)[:, None]
        outputs = dict(zip(self.step_outputs, self.decoder.run(None, feed)))
        state = {name.replace("present", "past", 1): value for name, value in outputs.items() if name != "logits"}
        return outputs["logits"], state

    def first_state(self, encoded: dict) -> dict[str, np.ndarray]:
        """The encoder outputs that are recurrent state."""
        return {name: value for name, value in encoded.items() if name.startswith("past.")}

    def force(self, encoded: dict, tokens: list[int]) -> tuple[list[dict], np.ndarray]:
        """Each step's inputs and log probabilities (T + 1, V) while the given caption is fed."""
        state, feeds, rows = self.first_state(encoded), [], []
        for token in [self.generation["decoder_start_token_id"], *tokens]:
            feeds.append({**encoded, **state, "input_ids": np.array([[token]])})
            logits, state = self.step(encoded, state, [token])
            rows.append(log_softmax(logits)[0])
        return feeds, np.stack(rows)

    def caption(self, pixels: np.ndarray, beams: int = 1) -> Caption:
        """The best caption of beam search; one beam is greedy."""
        encoded = self.encode(pixels)
        state = self.first_state(encoded)
        running, finished = [Beam([], 0.0)], []
        for _ in range(self.generation["max_new_tokens"]):
            last = [beam.tokens[-1] if beam.tokens else self.generation["decoder_start_token_id"] for beam in running]
            logits, state = self.step(encoded, state, last)
            parents, running = self._extend(running, log_softmax(logits), beams, finished)
            if not running or self._is_settled(running, finished, beams):
                break
            state = {name: value[parents] for name, value in state.items()}
        else:
            finished += running
        best = max(finished, key=self._rank)
        return Caption([token for token in best.tokens if token != self.end], best.log_probability)

    @property
    def end(self) -> int:
        """The end token's id."""
        return self.generation["eos_token_id"]

    def _extend(
        self, running: list[Beam], log_probabilities: np.ndarray, beams: int, finished: list[Beam]
    ) -> tuple[list[int], list[Beam]]:
        """Parents and beams of the next step; what ends among the first `beams` candidates joins `finished`."""
        totals = log_probabilities + np.array([[beam.log_probability] for beam in running])
        totals[:, self.generation["suppress_tokens"]] = -np.inf
        order = np.argsort(-totals, axis=None, kind="stable")[: 2 * beams]
        parents, extended = [], []
        for rank, place in enumerate(order):
            parent, token = divmod(int(place), totals.shape[1])
            beam = Beam([*running[parent].tokens, token], float(totals[parent, token]))
            if token == self.end:
                if rank < beams:
                    finished.append(beam)
            elif len(extended) < beams:
                parents.append(parent)
                extended.append(beam)
        finished.sort(key=self._rank, reverse=True)
        del finished[beams:]
        return parents, extended

    def _is_settled(self, running: list[Beam], finished: list[Beam], beams: int) -> bool:
        """Enough captions have ended, and the best one under way ranks no higher than the worst of them."""
        if beams == 1:
            return bool(finished)
        return len(finished) == beams and self._rank(running[0]) <= self._rank(finished[-1])

    def _rank(self, beam: Beam) -> float:
        return beam.log_probability / len(beam.tokens) ** self.generation["length_penalty"]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
