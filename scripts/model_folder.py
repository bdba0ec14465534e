"""A model folder: its file names, JSON files and checksums."""

import hashlib
import json
from pathlib import Path

FLOAT_GRAPHS = ("encoder_model.onnx", "decoder_model.onnx")
INT8_GRAPHS = ("encoder_model_quantized.onnx", "decoder_model_quantized.onnx")
SETTINGS = ("config.json", "preprocessor_config.json", "generation_config.json", "tokenizer.json")
SPECIAL_WORDS = ("<pad>", "<start>", "<end>", "<unk>")
PAD, START, END, UNKNOWN = range(4)


def write_json(path: Path, content: dict) -> None:
    """Indented JSON with a final newline."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_settings(folder: Path, config: dict, size: int, words: list[str], max_new_tokens: int) -> None:
    """The four JSON files beside the graphs."""
    write_json(folder / "config.json", {"model_type": "scenescribe", **config, **special_tokens()})
    write_json(folder / "preprocessor_config.json", preprocessor(size))
    write_json(folder / "generation_config.json", generation(max_new_tokens))
    write_json(folder / "tokenizer.json", tokenizer(words))


def special_tokens() -> dict:
    """Token ids by the names Hugging Face gives them."""
    return {"decoder_start_token_id": START, "eos_token_id": END, "pad_token_id": PAD}


def preprocessor(size: int) -> dict:
    """Squash to the square, then (x - 127) / 128 on 0..255, written for values rescaled to 0..1."""
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [127 / 255] * 3,
        "image_std": [128 / 255] * 3,
    }


def generation(max_new_tokens: int) -> dict:
    """How captions are decoded unless the caller says otherwise."""
    return {
        **special_tokens(),
        "max_new_tokens": max_new_tokens,
        "num_beams": 3,
        "length_penalty": 1.0,
        "suppress_tokens": [PAD, START, UNKNOWN],
    }


def tokenizer(words: list[str]) -> dict:
    """A Hugging Face WordLevel tokenizer; a caption is its words joined by single spaces."""
    added = [
        {
            "id": index,
            "content": word,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for index, word in enumerate(SPECIAL_WORDS)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: index for index, word in enumerate(words)},
            "unk_token": SPECIAL_WORDS[UNKNOWN],
        },
    }


def read_words(folder: Path) -> list[str]:
    """Words by token id."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.get)


def read_json(path: Path) -> dict:
    """A JSON file's content."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_checksums(folder: Path) -> None:
    """SHA256SUMS over every graph and JSON file, as `sha256sum -c` reads it."""
    names = [name for name in (*FLOAT_GRAPHS, *INT8_GRAPHS, *SETTINGS) if (folder / name).exists()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)]
    (folder / "SHA256SUMS").write_text("".join(lines))
