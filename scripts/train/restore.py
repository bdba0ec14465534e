# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "onnx", "onnxruntime", "matplotlib", "pillow", "tqdm", "numba"]
# ///
"""Make a checkpoint to train on from a model folder, which holds int8 graphs alone: the start of fine-tuning.

Int8 weights become floats again and what the export rearranged is undone. Graphs built anew from the checkpoint are
compared with the folder's, constant by constant. With `--data`, captions of val photos are compared as well, the
checkpoint's against the program's.

Words that the model does not know become <unk> in training and are never said. With `--captions DIR` they are
counted in the captions of a folder's train split, and those seen at least `--minimum-count` times become words of
the model: they start out as <unk> does, and training tells them apart.

    restore.py models/default runs/own/start.pt --captions OWN --minimum-count 5
"""

import argparse
import sys
from collections import Counter
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import onnx
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from captions import rows_of_program
from checkpoint import MAX_TOKENS, save_model
from cider import CiderD
from graphs import build_decoder, build_encoder, scale_query
from model import Captioner, Decoder, DecoderShape
from model_folder import FLOAT_GRAPHS, INT8_GRAPHS, read_json, read_words
from onnx_captioner import OnnxCaptioner
from photos import Photo, read_photos
from quantization import dequantized_constants
from vocabulary import SPECIAL_WORDS, UNKNOWN, Vocabulary, split_words

TOLERANCE = 1e-4
NEW_WORD_NOISE = 0.1
Constants = dict[str, np.ndarray]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder as export.py and quantize.py write it")
    parser.add_argument("output", type=Path, help="checkpoint to write, for train.py --start")
    parser.add_argument("--captions", type=Path, help="folder of captioned photos whose words the model shall know")
    parser.add_argument("--minimum-count", type=int, default=5, help="rarer words stay <unk>")
    parser.add_argument("--data", type=Path, help="folder of captioned photos to compare captions on")
    parser.add_argument("--split", default="val")
    parser.add_argument("--photos", type=int, default=200, help="photos to compare, the first of the split")
    parser.add_argument("--binary", type=Path, default=Path("target/release/scenescribe"))
    return parser.parse_args()


class Folder:
    """Sizes, words and float constants of a model folder."""

    def __init__(self, path: Path):
        config = read_json(path / "config.json")
        if "decoder" not in config:
            raise SystemExit(f"{path}/config.json has no `decoder`: it was not written by export.py")
        self.path = path
        self.shape = DecoderShape(**config["decoder"])
        self.size = read_json(path / "preprocessor_config.json")["size"]["height"]
        self.vocabulary = Vocabulary(read_words(path))
        self.precision = "int8" if (path / INT8_GRAPHS[0]).exists() else "float"
        names = INT8_GRAPHS if self.precision == "int8" else FLOAT_GRAPHS
        self.encoder, self.decoder = (dequantized_constants(onnx.load(path / name)) for name in names)

    def captioner(self) -> Captioner:
        """The model with the folder's weights."""
        model = Captioner(self.shape, self.size)
        try:
            read_encoder(model, self.encoder)
            read_decoder(model.decoder, self.encoder, self.decoder)
        except (KeyError, RuntimeError) as error:
            raise SystemExit(f"{self.path} is not of the shape that export.py writes: {error}") from error
        return model.eval()


def tensor(values: np.ndarray) -> torch.Tensor:
    """A parameter's values."""
    return torch.tensor(values)


@torch.no_grad()
def read_encoder(model: Captioner, constants: Constants) -> None:
    """Weights of the convolutions; those of one cell are products with matrices in the graph."""
    for name, module in model.encoder.named_convolutions():
        weight = tensor(constants[name + "_weight"])
        module.convolution.weight.copy_(weight if weight.ndim == 4 else weight.T[:, :, None, None])
        module.convolution.bias.copy_(tensor(constants[name + "_bias"]))


def read_decoder(decoder: Decoder, encoder: Constants, step: Constants) -> None:
    """Weights of the decoder, part of which the encoder's graph holds; undoes `mix_weight` of graphs.py."""
    embedding = tensor(step["logits_weight"].T)
    scale = 1 / embedding.abs().max()
    unscale = 1 / scale_query(decoder, torch.ones(len(step["mix_bias"])))
    mix = tensor(step["mix_weight"].T) * unscale[:, None]
    decoder.load_state_dict({
        "memory.weight": tensor(np.concatenate([encoder["keys_weight"], encoder["values_weight"]])[:, :, 0, 0]),
        "memory.bias": tensor(np.concatenate([encoder["keys_bias"], encoder["values_bias"]])),
        "first_state.weight": tensor(encoder["first_state_mix_weight"].T),
        "first_state.bias": tensor(encoder["first_state_mix_bias"]),
        "embedding.weight": embedding,
        "word_mix.weight": mix[:, : decoder.shape.embedding] * scale,
        "word_mix.bias": tensor(step["mix_bias"]) * unscale,
        "hidden_mix.weight": mix[:, decoder.shape.embedding :],
        "context_mix.weight": tensor(step["context_gates_weight"].T),
        "output.weight": tensor(step["output_mix_weight"].T),
        "output.bias": tensor(step["output_mix_bias"]),
        "score_bias": tensor(step["logits_bias"]),
    })  # fmt: skip


def check_constants(model: Captioner, folder: Folder) -> float:
    """Largest difference of a constant in graphs built anew, as a part of the constant's largest value.

    The table of input words is left out: in int8 it is rounded otherwise than the scores' matrix, which has the same words
    and from which it is made again.
    """
    encoder = model.encoder
    graphs = build_encoder(encoder, model.decoder, encoder.image_size), build_decoder(model.decoder, encoder.cells)
    differences = []
    for graph, constants in zip(graphs, (folder.encoder, folder.decoder)):
        anew = dequantized_constants(graph)
        for name in constants.keys() & anew.keys() - {"word_table"}:
            largest = max(float(np.abs(constants[name]).max()), 1e-10)
            differences.append(float(np.abs(constants[name] - anew[name]).max()) / largest)
    return max(differences)


def unknown_words(folder: Path, vocabulary: Vocabulary) -> Counter[str]:
    """Words of a folder's training captions that the vocabulary lacks."""
    captions = [caption for photo in read_photos(folder, "train") for caption in photo.captions]
    counts = Counter(word for caption in captions for word in split_words(caption))
    return Counter({word: count for word, count in counts.items() if word not in vocabulary.ids})


@torch.no_grad()
def add_words(model: Captioner, vocabulary: Vocabulary, words: list[str]) -> tuple[Captioner, Vocabulary]:
    """The model with more words: each a share of <unk>, with noise that lets training tell them apart."""
    old = model.decoder
    wider = Captioner(replace(old.shape, vocabulary=old.shape.vocabulary + len(words)), model.encoder.image_size)
    wider.encoder.load_state_dict(model.encoder.state_dict())
    unknown = old.embedding.weight[UNKNOWN].expand(len(words), -1)
    noise = torch.randn(unknown.shape, generator=torch.Generator().manual_seed(1)) * NEW_WORD_NOISE * unknown.std()
    bias = (old.score_bias[UNKNOWN] - log(len(words) + 1)).expand(len(words))
    weights = old.state_dict()
    weights["embedding.weight"] = torch.cat([weights["embedding.weight"], unknown + noise])
    weights["score_bias"] = torch.cat([weights["score_bias"], bias])
    wider.decoder.load_state_dict(weights)
    return wider.eval(), Vocabulary([*vocabulary.words, *words])


@torch.inference_mode()
def compare_captions(model: Captioner, folder: Folder, photos: list[Photo], binary: Path) -> None:
    """Print how many greedy captions are the program's own, and the score of both."""
    reader = OnnxCaptioner.open(folder.path, folder.precision)
    ours = []
    for photo in tqdm(photos, desc="checkpoint"):
        grid = model.grid(torch.from_numpy(reader.read_photo(photo.path)))
        ours.append(folder.vocabulary.decode(model.decoder.generate(grid, MAX_TOKENS)[0, 0].tolist()))
    options = argparse.Namespace(model=folder.path, binary=binary, precision=folder.precision, beam=1)
    theirs = [row["caption"] for row in rows_of_program(options, [photo.path for photo in photos])]
    cider = CiderD([[split_words(caption) for caption in photo.captions] for photo in photos])
    scores = [100 * np.mean([cider.score(place, text.split()) for place, text in enumerate(texts)]) for texts in (ours, theirs)]
    same = sum(our == their for our, their in zip(ours, theirs))
    print(f"greedy captions equal on {same} of {len(photos)} photos; "
          f"CIDEr, own tokens: checkpoint {scores[0]:.1f}, program {scores[1]:.1f}")


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(1)
    folder = Folder(options.model)
    model, vocabulary = folder.captioner(), folder.vocabulary
    difference = check_constants(model, folder)
    if difference > TOLERANCE:
        raise SystemExit(f"graphs built from the checkpoint differ from {options.model} by {difference:.2g}: not written")
    print(f"{options.model}, {folder.precision}: graphs built anew agree within {difference:.1g} of each constant's largest value")
    if options.data:
        photos = read_photos(options.data, options.split)[: options.photos]
        compare_captions(model, folder, photos, options.binary)
    if options.captions:
        unknown = unknown_words(options.captions, vocabulary)
        words = sorted(word for word, count in unknown.items() if count >= options.minimum_count)
        print(f"{len(unknown)} words of {options.captions} are unknown to the model, {unknown.total()} in all; "
              f"added {len(words)}: {' '.join(words)}")
        model, vocabulary = add_words(model, vocabulary, words)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, vocabulary, options.output)
    print(f"wrote {options.output}: {len(vocabulary)} words, {len(SPECIAL_WORDS)} of them special")


if __name__ == "__main__":
    main()
