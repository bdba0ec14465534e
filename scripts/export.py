# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "onnx", "onnxruntime", "matplotlib", "pillow", "tqdm", "numba"]
# ///
"""Write a trained checkpoint as a model folder: float graphs and JSON files.

`--end-cost` takes so many nats off the end token's score, in the graph: captions become a little longer.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from calibration import open_session
from checkpoint import MAX_TOKENS, load_model
from encoder import CompositeEncoder
from graphs import build_decoder, build_encoder
from model import Captioner, State
from model_folder import FLOAT_GRAPHS, START, write_checksums, write_settings
from vocabulary import END

TOLERANCE = 1e-3


def check_graphs(model: Captioner, encoder: onnx.ModelProto, decoder: onnx.ModelProto) -> float:
    """Largest difference of a first step's scores between torch and ONNX Runtime, on random pixels."""
    size = model.encoder.image_size
    pixels = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        memory, state = model.decoder.read_grid(model.grid(pixels))
        words = model.decoder.mix_words(torch.tensor([[START]]))
        context, state = model.decoder.advance(words, memory, State(*state))
        expected = model.decoder.score(state.hidden, context)[0].numpy()
    session = open_session(encoder)
    names = [value.name for value in session.get_outputs()]
    feed = dict(zip(names, session.run(names, {"pixel_values": pixels.numpy()})))
    (actual,) = open_session(decoder).run(["logits"], {**feed, "input_ids": np.array([[START]])})
    return float(np.abs(actual - expected).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="best.pt of a training stage")
    parser.add_argument("output", type=Path, help="model folder to write")
    parser.add_argument("--end-cost", type=float, default=0.0, help="nats taken off the score of the end token")
    options = parser.parse_args()
    model, vocabulary = load_model(options.checkpoint)
    if isinstance(model.encoder, CompositeEncoder):
        raise SystemExit(f"{options.checkpoint} sees with several networks at once, too many for a model folder: distil.py teaches a small captioner")
    model.eval()
    with torch.no_grad():
        model.decoder.score_bias[END] -= options.end_cost
    encoder = build_encoder(model.encoder, model.decoder, model.encoder.image_size)
    decoder = build_decoder(model.decoder, model.encoder.cells)
    difference = check_graphs(model, encoder, decoder)
    if difference > TOLERANCE:
        raise SystemExit(f"graphs differ from the checkpoint by {difference:.2g} in a score: not written")
    options.output.mkdir(parents=True, exist_ok=True)
    for name, graph in zip(FLOAT_GRAPHS, (encoder, decoder)):
        onnx.save(graph, options.output / name)
    config = {"vocabulary_size": len(vocabulary), "decoder": model.describe()}
    write_settings(options.output, config, model.encoder.image_size, vocabulary.words, MAX_TOKENS)
    write_checksums(options.output)
    print(f"wrote {options.output}; scores agree with the checkpoint within {difference:.1g}")


if __name__ == "__main__":
    main()
