# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime", "pillow", "tqdm"]
# ///
"""Write one HTML page of 100 photos, drawn by a seed, with the model's captions and people's.

The page holds the photos themselves, so it can be passed on as one file. Under each photo a row of error classes
can be ticked; the counts stand on top and follow the ticks.

    gallery.py models/default --data DIR --output val.html
"""

import argparse
import base64
import html
import random
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent / "train"))

from captions import add_arguments, caption
from photos import Photo, read_photos

ERRORS = ("right", "wrong thing", "wrong action", "wrong place", "wrong person", "wrong count", "wrong colour", "wording")
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px/1.4 sans-serif; margin: 1em; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1em; }}
article {{ border: 1px solid #ccc; padding: .5em; }}
img {{ width: 100%; }}
b {{ display: block; margin: .3em 0; font-size: 16px; }}
li {{ color: #555; }}
label {{ margin-right: .6em; white-space: nowrap; }}
</style>
<h1>{title}</h1>
<p id="counts"></p>
<main>
{articles}
</main>
<script>
const names = {names};
const counts = document.getElementById("counts");
function count() {{
  counts.textContent = names.map(name =>
    name + ": " + document.querySelectorAll('input[value="' + name + '"]:checked').length).join(", ");
}}
addEventListener("change", count);
count();
</script>
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder in Flickr8k or COCO form")
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    parser.add_argument("--split", default="val")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def article(number: int, photo: Photo, caption: str) -> str:
    """One photo with its captions and tick boxes."""
    picture = base64.b64encode(photo.path.read_bytes()).decode()
    human = "".join(f"<li>{html.escape(text)}</li>" for text in photo.captions)
    boxes = "".join(f'<label><input type="checkbox" value="{name}">{name}</label>' for name in ERRORS)
    return (
        f'<article><small>{number}. {html.escape(photo.path.name)}</small><img src="data:image/jpeg;base64,{picture}" alt="">'
        f"<b>{html.escape(caption)}</b>{boxes}<ul>{human}</ul></article>"
    )


def main() -> None:
    options = parse_arguments()
    photos = read_photos(options.data, options.split)
    photos = random.Random(options.seed).sample(photos, min(options.count, len(photos)))
    captions = tqdm(caption(options, [photo.path for photo in photos]), total=len(photos), desc="captions")
    articles = [article(number, photo, text) for number, (photo, text) in enumerate(zip(photos, captions), 1)]
    title = f"{options.model}, {options.precision}, beam {options.beam}: {len(photos)} photos of {options.split}, seed {options.seed}"
    page = PAGE.format(title=html.escape(title), articles="\n".join(articles), names=list(ERRORS))
    options.output.write_text(page, encoding="utf-8")
    print(f"wrote {options.output}, {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
