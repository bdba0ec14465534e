#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["pillow"]
# ///
"""Make the inputs that fuzzing starts from, `tests/fuzz/seeds`: small drawn pictures in every format that is read, streams
of them, frames of the serial line, the settings of the tiny model, records, and pictures that carry captions.

The same files come out each time with the same version of Pillow.
"""

import argparse
import io
import json
import struct
from functools import reduce
from operator import xor
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SIZE = (12, 9)

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Grandma</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>
"""
OURS = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:scenescribe="urn:scenescribe:xmp:1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" scenescribe:Caption="a cat"
 scenescribe:ModelHash="old"><dc:description><rdf:Alt><rdf:li xml:lang="x-default">a cat</rdf:li></rdf:Alt>
</dc:description></rdf:Description></rdf:RDF>"""


def drawn(mode: str, shift: int = 0) -> Image.Image:
    """A picture whose values follow from their place."""
    picture = Image.new("RGBA", SIZE)
    pixels = [(x * 21 + shift, y * 28, (x + y) * 12, 255 - 20 * (x % 4)) for y in range(SIZE[1]) for x in range(SIZE[0])]
    picture.putdata([tuple(value % 256 for value in pixel) for pixel in pixels])
    return picture.convert("I;16") if mode == "I;16" else picture.convert("RGB").convert(mode) if mode != "RGBA" else picture


def coded(mode: str, form: str, **options) -> bytes:
    """The drawn picture as a file."""
    file = io.BytesIO()
    picture = Image.new("I;16", SIZE, 40_000) if mode == "I;16" else drawn(mode)
    picture.save(file, form, **options)
    return file.getvalue()


def tiff(description: bytes, is_big: bool = False) -> bytes:
    """EXIF's structure with a description and an orientation."""
    order = ">" if is_big else "<"
    text = description + b"\0"
    head = b"MM\0*" if is_big else b"II*\0"
    entries = struct.pack(order + "HHII", 0x010E, 2, len(text), 8 + 2 + 2 * 12 + 4)
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
    return head + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0) + text


def data_set(record: int, number: int, content: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(content)) + content


def resource(number: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + b"\0" * (len(content) % 2)


def piece(kind: int, content: bytes) -> bytes:
    return struct.pack("<BH", kind, len(content)) + content


def pictures() -> dict[str, bytes]:
    frames = {"save_all": True, "append_images": [drawn("RGB", 90)], "duration": 100}
    seeds = {
        "baseline.jpg": coded("RGB", "JPEG", quality=80),
        "subsampled.jpg": coded("RGB", "JPEG", quality=50, subsampling=2, restart_marker_blocks=1),
        "progressive.jpg": coded("RGB", "JPEG", progressive=True),
        "gray.jpg": coded("L", "JPEG"),
        "cmyk.jpg": coded("CMYK", "JPEG"),
        "turned.jpg": coded("RGB", "JPEG", exif=b"Exif\0\0" + tiff(b"Grandma")),
        "rgb.png": coded("RGB", "PNG"),
        "rgba.png": coded("RGBA", "PNG"),
        "palette.png": coded("P", "PNG", transparency=3),
        "bits.png": coded("1", "PNG"),
        "sixteen.png": coded("I;16", "PNG"),
        "lossy.webp": coded("RGB", "WEBP", quality=50),
        "lossless.webp": coded("RGBA", "WEBP", lossless=True),
        "alpha.webp": coded("RGBA", "WEBP", quality=50),
        "animated.webp": coded("RGB", "WEBP", **frames),
        "still.gif": coded("P", "GIF", interlace=1),
        "animated.gif": coded("RGB", "GIF", **frames),
        "rgb.bmp": coded("RGB", "BMP"),
        "palette.bmp": coded("P", "BMP"),
        "bits.bmp": coded("1", "BMP"),
        "sixteen.tiff": coded("I;16", "TIFF"),
        "cmyk.tiff": coded("CMYK", "TIFF"),
    }
    methods = {"raw": "raw", "lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "packbits": "packbits", "jpeg": "jpeg"}
    seeds |= {f"{name}.tiff": coded("RGB", "TIFF", compression=method) for name, method in methods.items()}
    large = {"large_444": (0, "RGB"), "large_422": (1, "RGB"), "large_420": (2, "RGB"), "large_gray": (0, "L")}
    for name, (subsampling, mode) in large.items():
        file = io.BytesIO()
        picture = drawn("RGB").resize((60, 44)).convert(mode)
        picture.save(file, "JPEG", quality=40, subsampling=subsampling, restart_marker_blocks=3 * subsampling)
        seeds[f"{name}.jpg"] = file.getvalue()
    return seeds | {"fax.tiff": coded("1", "TIFF", compression="group4"), "rle.tiff": coded("1", "TIFF", compression="group3")}


def streams() -> dict[str, bytes]:
    frame = lambda length: b"FRAME\n" + bytes(range(length))
    jpeg = coded("RGB", "JPEG", quality=30)
    tables = jpeg.index(b"\xFF\xC4")
    bare = jpeg[:tables] + jpeg[jpeg.index(b"\xFF\xDA"):]
    head = lambda kind, drop=6, turn=0, size=0x34: bytes([kind, drop, turn, size])
    seeds = {
        "420.y4m": head(0) + b"YUV4MPEG2 W4 H3 F30:1 Ip A1:1\n" + 2 * frame(12 + 8),
        "mono.y4m": head(0, turn=1) + b"YUV4MPEG2 W3 H2 Cmono XCOLORRANGE=FULL\n" + 2 * frame(6),
        "444.y4m": head(0, turn=0x85) + b"YUV4MPEG2 W4 H4 C444\n" + 2 * frame(48),
        "422.y4m": head(0, turn=2) + b"YUV4MPEG2 W4 H2 C422 XCOLORRANGE=LIMITED\n" + frame(16),
        "two.mjpeg": head(64, 200) + jpeg + b"\0\xFF\xD9" + jpeg,
        "bare.mjpeg": head(64, 9, 3) + bare + jpeg[:90] + jpeg,
    }
    return seeds | {f"{kind}.raw": head(128 + 8 * (kind % 3) + kind, 5, kind) + bytes(range(120)) for kind in range(8)}


def serial() -> dict[str, bytes]:
    sentence = lambda body: f"${body}*{reduce(xor, body.encode()):02X}\r\n".encode()
    parts = sentence("SCAP,7:1/2,1700000000250,0.50,a man^2C ") + sentence("SCAP,7:2/2,1700000000250,0.50,a plan")
    packet = b"\1\7\xFA\xD1\x95\xFF\xBC1" + struct.pack("<f", 0.5) + b"\0\5a dog"
    stuffed = b"\0\x09\1\7\xFA\xD1\x95\xFF\xBC1\1\1\2\x3F\x0B\5a dog\xD8\xDE\xFE\xF8\0"
    line = {
        "sequence": 7, "time": "2023-11-14T22:13:20.250Z", "source": 'a"b', "caption": "a \U0001F415 dog", "confidence": 0.5,
        "unsure": False, "cut": False, "tokens": [1, 2], "latency_ms": {"total": 1.5},
    }
    text = json.dumps(line, separators=(",", ":")).encode()
    return {
        "line": b"\x10a dog\nunsure: a cat\r\n",
        "ascii": b"\x11" + sentence("SCAP,7,1700000000250,0.50?,a dog") + parts + sentence("GPGGA,1"),
        "json": b"\x0A" + text + b"\n",
        "cobs": b"\x13" + stuffed + stuffed,
        "line_framed": b"\x14" + piece(0, b"a dog") + piece(0, b"a cat"),
        "ascii_framed": b"\x15" + piece(0, b"7,8,0.5,a dog") + piece(0, b"7:1/2,8,0.5,a ") + piece(0, b"7:2/2,8,0.5,^C3^BC"),
        "json_framed": b"\x0E" + piece(0, text) + piece(0, b'{"caption":"\\u00fc"}'),
        "cobs_framed": b"\x17" + piece(0, packet) + piece(0, packet[:-1] + b"\xFF"),
    }


def config() -> dict[str, bytes]:
    tiny = ROOT / "tests/fixtures/tiny"
    names = ["preprocessor_config.json", "generation_config.json", "config.json", "tokenizer.json"]
    seeds = {name: bytes([i, 40]) + (tiny / name).read_bytes() for i, name in enumerate(names)}
    tokenizer = lambda kind, vocab, decoder: {"model": {"type": kind, "vocab": vocab}, "decoder": {"type": decoder}}
    vocabularies = {
        "wordpiece": tokenizer("WordPiece", {"a": 0, "sand": 1, "##y": 2}, "WordPiece"),
        "bytelevel": tokenizer("BPE", {"a": 0, "\u0120caf": 1, "\u00c3\u00a9": 2}, "ByteLevel"),
        "metaspace": tokenizer("Unigram", [["\u2581a", -1.0], ["y", -2.0]], "Metaspace"),
        "added": tokenizer("WordPiece", {"a": 0}, "WordPiece")
        | {"added_tokens": [{"id": 1, "content": "<s>", "special": True}, {"id": 7, "content": "b"}]},
    }
    seeds |= {f"{name}.json": b"\3\0" + json.dumps(value).encode() for name, value in vocabularies.items()}
    crop = {"size": {"shortest_edge": 9}, "do_center_crop": True, "crop_size": {"height": 8, "width": 4}, "resample": 3}
    return seeds | {"crop.json": b"\0\0" + json.dumps(crop).encode()}


def model() -> dict[str, bytes]:
    seeds = {f"whole_{flags}": bytes([flags]) for flags in range(4)}
    for kind in range(23):
        contents = [bytes([i, 0, i, 0, 7 * i % 128, 1, 5, 0, 3, 9]) for i in range(3)]
        seeds[f"edit_{kind}"] = b"\0" + b"".join(piece(kind | 0x80 * (i % 2), content) for i, content in enumerate(contents))
    seeds["external"] = b"\0" + piece(14, b"\0\0\0\0\x0B../../a.bin\5")
    seeds["filled"] = b"\0" + piece(15, b"\3\3\x0F\x0F\x0F\0\0\1\0\0\0")
    seeds["settings"] = b"\1" + piece(34, b"\2\0\0" + b'"num_beams": 3, ') + piece(35, b"\2\0\0" + b'"added_tokens": [], ')
    return seeds | {"torn": b"\1" + piece(36, b"\0\x20\xFF"), "flipped": b"\0" + piece(0x80 | 36, b"\x40\0\1\x55")}


def metadata() -> dict[str, bytes]:
    caption = b"a dog & a <cat>"
    head = lambda kind, flags: bytes([kind, flags, len(caption)]) + caption
    iptc = data_set(2, 0, b"\0\4") + data_set(2, 90, b"Oslo") + data_set(2, 120, b"Grandma")
    resources = resource(0x0404, iptc) + resource(0x0425, bytes(16)) + resource(0x03ED, b"abc")
    xmp, ours = XMP.encode(), OURS.encode()
    jpeg = piece(0, bytes(9)) + piece(1, tiff(b"Grandma")) + piece(2, xmp) + piece(3, resources) + piece(4, b"MM\0*1234")
    camera = piece(1, tiff(b"", True)) + piece(6, b"comment") + piece(5, iptc)
    png = piece(0, tiff(b"Grandma")) + piece(1, xmp) + piece(4, iptc) + piece(6, b"Grandma")
    return {
        "plain_jpeg": head(0, 0),
        "human_jpeg": head(0, 2) + jpeg,
        "camera_jpeg": head(0, 7) + camera,
        "ours_jpeg": head(0, 1) + piece(2, ours),
        "plain_png": head(1, 0),
        "human_png": head(1, 2) + png,
        "ours_png": head(1, 1) + piece(3, ours),
        "whole_png": head(2, 2) + coded("P", "PNG"),
        "whole_jpeg": head(3, 2) + coded("RGB", "JPEG", exif=b"Exif\0\0" + tiff(b"x", True), comment=b"c"),
        "human_sidecar": head(4, 2) + xmp,
        "ours_sidecar": head(4, 0) + ours,
        "empty_sidecar": head(4, 0),
        "human_text": head(5, 2) + b"Grandma\n",
        "empty_text": head(5, 0),
    }


def journals() -> dict[str, bytes]:
    record = {"path": "a.jpg", "size": 3, "mtime_ms": 4, "caption": "a dog", "confidence": 0.5, "model": "m", "model_hash": "abc", "time_ms": 1.5}
    failed = record | {"path": "b.jpg", "path_hex": "622e6a7067", "caption": None, "error": "broken", "xmp": "human", "txt": "ours"}
    lines = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in [record, failed])
    head = b"path,caption,confidence,cut,alternatives,similar_to,error,xmp,txt,embedded,size,mtime_ms,model,model_hash,time_ms,path_hex\n"
    rows = head + b'"a, ""b""\n.jpg",a dog,0.5,false,,,,human,,,7,-3,m,abc,1.5,\nc.jpg,,,false,,,broken,,,,,,m,abc,1,\n'
    return {
        "records.jsonl": b"\0" + lines,
        "torn.jsonl": b"\0" + lines[:-9],
        "zeros.jsonl": b"\0" + lines + bytes(20),
        "foreign.jsonl": b"\0" + lines + b"dear diary\n",
        "records.csv": b"\1" + rows,
        "torn.csv": b"\1" + rows[:-9],
        "header.csv": b"\1" + head[:20],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "tests/fuzz/seeds", metavar="DIR", help="[tests/fuzz/seeds]")
    folder = parser.parse_args().folder
    targets = {
        "picture": pictures, "stream": streams, "serial": serial, "config": config, "model": model, "metadata": metadata,
        "journal": journals,
    }
    for target, make in targets.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in make().items():
            (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
