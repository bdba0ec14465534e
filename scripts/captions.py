"""Captions of many photos, for the scripts that judge them."""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

PHOTOS_A_CALL = 100


def add_program_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which model the program runs, and how."""
    parser.add_argument("model", type=Path, help="model folder")
    parser.add_argument("--binary", type=Path, default=Path("target/release/scenescribe"))
    parser.add_argument("--precision", choices=("float", "int8"), default="int8")
    parser.add_argument("--beam", type=int, default=1, help="beams; 1 is greedy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The same, with the choice of ONNX Runtime instead of the program."""
    add_program_arguments(parser)
    parser.add_argument("--engine", choices=("binary", "onnxruntime"), default="binary")


def caption(options: argparse.Namespace, paths: list[Path]) -> Iterator[str]:
    """The caption of each photo, in order, by the chosen engine."""
    if options.engine == "onnxruntime":
        yield from caption_with_onnxruntime(options, paths)
    else:
        yield from (row["caption"] for row in rows_of_program(options, paths))


def rows_of_program(options: argparse.Namespace, paths: list[Path]) -> Iterator[dict]:
    """The program's JSON line of each photo, in order."""
    command = [options.binary.absolute(), "caption", "--json", "--model", options.model, "--beam", str(options.beam)]
    command += ["--precision", options.precision]
    for first in range(0, len(paths), PHOTOS_A_CALL):
        some = [str(path) for path in paths[first : first + PHOTOS_A_CALL]]
        result = subprocess.run([*command, *some], capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"{options.binary} failed on one of {some[0]} and what follows: {result.stderr.strip()}")
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        if [row["source"] for row in rows] != some:
            raise SystemExit(f"{options.binary} gave {len(rows)} captions for {len(some)} photos, or in another order")
        yield from rows


def caption_with_onnxruntime(options: argparse.Namespace, paths: list[Path]) -> Iterator[str]:
    """The caption of each photo from the graphs themselves."""
    from onnx_captioner import OnnxCaptioner

    captioner = OnnxCaptioner.open(options.model, options.precision)
    for path in paths:
        tokens = captioner.caption(captioner.read_photo(path), options.beam).tokens
        yield " ".join(captioner.words[token] for token in tokens)
