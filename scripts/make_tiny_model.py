# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "onnx", "onnxruntime", "matplotlib", "numba", "pillow", "tqdm"]
# ///
"""Make the tiny model of the tests: 32 x 32 pixels, coloured shapes, the same graphs in small.

It trains for about a minute on drawn shapes ("a red square on a blue background"), always from the same seed,
and writes float graphs, int8 graphs and the JSON files.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from calibration import choose_ranges, observe, open_session
from efficientnet_lite import bottleneck, convolution
from graphs import build_decoder, build_encoder
from model import Decoder, DecoderShape
from model_folder import END, FLOAT_GRAPHS, INT8_GRAPHS, PAD, SPECIAL_WORDS, START
from model_folder import write_checksums, write_settings
from quantization import quantize

SIZE, CELLS = 32, 16
COLOURS = {
    "red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 70, 210), "yellow": (235, 220, 50),
    "white": (240, 240, 240), "black": (20, 20, 20), "orange": (240, 140, 30), "gray": (128, 128, 128),
}
SHAPES = ("square", "circle", "stripe", "cross")
PLACES = {"left": (-8, 0), "right": (8, 0), "top": (0, -8), "bottom": (0, 8)}
OTHER_WORDS = tuple("a an on background at the of large small with nothing plain it no and in is dog man".split())
WORDS = [*SPECIAL_WORDS, *sorted({*COLOURS, *SHAPES, *PLACES, *OTHER_WORDS})]
MAX_NEW_TOKENS = 12


class TinyEncoder(nn.Module):
    """Pixels (N, 3, 32, 32) to a grid (N, 32, 4, 4)."""

    def __init__(self):
        super().__init__()
        self.stem = convolution("stem", 3, 8, 32, 3, 2)
        self.blocks = nn.Sequential(
            bottleneck(0, 3, 1, 2, 8, 8, 16),
            bottleneck(1, 3, 2, 2, 8, 16, 16),
            bottleneck(2, 3, 1, 2, 16, 16, 8),
        )
        self.head = convolution("head", 16, 32, 8, 3, 2)
        self.cells = 16

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(pixels)))


def draw_picture(chooser: np.random.Generator) -> tuple[np.ndarray, str]:
    """One picture (32, 32, 3) of bytes and its caption."""
    back, front = chooser.choice(list(COLOURS), 2, replace=False)
    picture = np.empty((SIZE, SIZE, 3))
    picture[:] = COLOURS[back]
    if chooser.random() < 0.1:
        caption = f"a plain {back} background with nothing on it"
    else:
        shape, place = chooser.choice(SHAPES), chooser.choice([*PLACES, ""])
        is_large = chooser.random() < 0.5
        picture[shape_mask(shape, PLACES.get(place, (0, 0)), 7.5 if is_large else 4.5)] = COLOURS[front]
        if place:
            caption = f"{with_article(front)} {shape} at the {place} of {with_article(back)} background"
        else:
            caption = f"a {'large' if is_large else 'small'} {front} {shape} on {with_article(back)} background"
    picture = picture * chooser.uniform(0.85, 1.15) + chooser.normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), caption


def with_article(colour: str) -> str:
    """The colour after `a` or `an`."""
    return f"an {colour}" if colour == "orange" else f"a {colour}"


def shape_mask(shape: str, offset: tuple[int, int], radius: float) -> np.ndarray:
    """Where the shape is, (32, 32) booleans."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    x, y = x - 15.5 - offset[0], y - 15.5 - offset[1]
    distance, widest = np.hypot(x, y), np.maximum(abs(x), abs(y))
    return {
        "square": widest < radius,
        "circle": distance < radius,
        "cross": (np.minimum(abs(x), abs(y)) < radius / 3) & (widest < radius),
        "stripe": abs(y) < radius / 2.5,
    }[shape]


def to_input(pictures: np.ndarray) -> np.ndarray:
    """Bytes (N, 32, 32, 3) to network input (N, 3, 32, 32)."""
    return ((pictures.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)


def draw_batch(count: int, chooser: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Input (N, 3, 32, 32) and tokens (N, 1, 1 + T) from start to end, padded."""
    drawn = [draw_picture(chooser) for _ in range(count)]
    tokens = torch.full((count, 1, MAX_NEW_TOKENS + 1), PAD)
    for row, (_, caption) in enumerate(drawn):
        ids = [START, *map(WORDS.index, caption.split()), END]
        tokens[row, 0, : len(ids)] = torch.tensor(ids)
    return torch.from_numpy(to_input(np.stack([picture for picture, _ in drawn]))), tokens


@torch.no_grad()
def scale_convolutions(encoder: TinyEncoder, pixels: torch.Tensor) -> None:
    """Give every convolution's output unit deviation, so that none starts saturated."""
    outputs: list[torch.Tensor] = []
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            hook = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
            encoder(pixels)
            hook.remove()
            module.weight /= outputs[-1].std()


def train(steps: int) -> tuple[TinyEncoder, Decoder]:
    """The encoder and decoder after so many batches of 32."""
    torch.manual_seed(7)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    encoder = TinyEncoder()
    decoder = Decoder(DecoderShape(len(WORDS), 16, 32, heads=2, key=8, value=16, grid=32, value_limit=6.0), dropout=0.0)
    slow = [*encoder.parameters(), *decoder.memory.parameters(), *decoder.first_state.parameters()]
    fast = [weight for weight in decoder.parameters() if all(weight is not other for other in slow)]
    optimizer = torch.optim.AdamW([{"params": slow}, {"params": fast}], weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1e-3, 1e-2], total_steps=steps, pct_start=0.2)
    loss = nn.CrossEntropyLoss(ignore_index=PAD)
    chooser = np.random.default_rng(7)
    scale_convolutions(encoder, draw_batch(64, chooser)[0])
    for _ in range(steps):
        pixels, tokens = draw_batch(32, chooser)
        scores = decoder(encoder(pixels).flatten(2).transpose(1, 2), tokens[..., :-1])
        optimizer.zero_grad()
        error = loss(scores.flatten(0, 2), tokens[..., 1:].flatten())
        error.backward()
        nn.utils.clip_grad_norm_([*slow, *fast], 1.0)
        optimizer.step()
        schedule.step()
    print(f"training loss {error.item():.3f} after {steps} batches")
    return encoder.eval(), decoder.eval()


def write_int8_graphs(folder: Path, encoder: onnx.ModelProto, decoder: onnx.ModelProto) -> None:
    """Quantize both graphs by the ranges seen on drawn pictures."""
    pixels, tokens = draw_batch(64, np.random.default_rng(8))
    pictures = [{"pixel_values": row[None].numpy()} for row in pixels]
    samples = observe(encoder, pictures)
    onnx.save(quantize(encoder, choose_ranges(samples, "minmax")), folder / INT8_GRAPHS[0])
    samples = observe(decoder, step_inputs(encoder, decoder, pictures, tokens[:, 0].numpy()))
    onnx.save(quantize(decoder, choose_ranges(samples, "minmax")), folder / INT8_GRAPHS[1])


def step_inputs(encoder: onnx.ModelProto, decoder: onnx.ModelProto, pictures: list[dict], tokens: np.ndarray):
    """The decoder's inputs while it is fed the true captions."""
    encode, step = open_session(encoder), open_session(decoder)
    for picture, row in zip(pictures, tokens):
        feed = dict(zip([value.name for value in encode.get_outputs()], encode.run(None, picture)))
        for token in row[row != PAD][:-1]:
            feed["input_ids"] = np.array([[token]])
            yield feed
            _, hidden, cell = step.run(["logits", "present.hidden", "present.cell"], feed)
            feed = {**feed, "past.hidden": hidden, "past.cell": cell}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("tests/fixtures/tiny"))
    parser.add_argument("--steps", type=int, default=3000)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    encoder, decoder = train(options.steps)
    graphs = build_encoder(encoder, decoder, SIZE), build_decoder(decoder, CELLS)
    for name, graph in zip(FLOAT_GRAPHS, graphs):
        onnx.save(graph, options.output / name)
    write_int8_graphs(options.output, *graphs)
    write_settings(options.output, {"vocabulary_size": len(WORDS)}, SIZE, WORDS, MAX_NEW_TOKENS)
    write_checksums(options.output)


if __name__ == "__main__":
    main()
