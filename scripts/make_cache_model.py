# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "onnx", "onnxruntime"]
# ///
"""Make tests/fixtures/cache: a decoder with a key/value cache that grows, over the tiny model's encoder and words.

One attention head over the tokens so far, weights from a seed, and in `golden.json` what ONNX Runtime decodes with it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from model_folder import read_json, read_words
from onnx_captioner import log_softmax

WIDTH = 8
STEPS = 10


def build_decoder(words: int, hidden: int) -> onnx.ModelProto:
    """Step: `input_ids` (batch, 1), `past.hidden` of the encoder and a cache (batch, 1, past, 8) to `logits` (batch, 1, words)."""
    random = np.random.default_rng(37)
    shapes = {"words": (words, WIDTH), "picture": (hidden, WIDTH), "query": (WIDTH, WIDTH), "key": (WIDTH, WIDTH)}
    shapes |= {"value": (WIDTH, WIDTH), "output": (WIDTH, words)}
    weights = [numpy_helper.from_array(random.normal(0, 1.2, shape).astype(np.float32), name) for name, shape in shapes.items()]
    weights.append(numpy_helper.from_array(np.array([1]), "heads"))
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("MatMul", ["picture_state", "picture"], ["seen_flat"]),
        helper.make_node("Unsqueeze", ["seen_flat", "heads"], ["seen"]),
        helper.make_node("Add", ["word", "seen"], ["x"]),
        *(node for name in ("query", "key", "value") for node in (
            helper.make_node("MatMul", ["x", name], [f"{name}_flat"]),
            helper.make_node("Unsqueeze", [f"{name}_flat", "heads"], [f"{name}_now"]),
        )),
        helper.make_node("Concat", ["past_key_values.0.key", "key_now"], ["present.0.key"], axis=2),
        helper.make_node("Concat", ["past_key_values.0.value", "value_now"], ["present.0.value"], axis=2),
        helper.make_node("Transpose", ["present.0.key"], ["keys"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["query_now", "keys"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "present.0.value"], ["attended"]),
        helper.make_node("Squeeze", ["attended", "heads"], ["context"]),
        helper.make_node("Sub", ["context", "x"], ["difference"]),
        helper.make_node("Tanh", ["difference"], ["y"]),
        helper.make_node("MatMul", ["y", "output"], ["logits"]),
    ]
    cache = {name: ["batch", 1, length, WIDTH] for name, length in (("past_key_values", "past"), ("present", "total"))}
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", 1]),
        helper.make_tensor_value_info("picture_state", TensorProto.FLOAT, ["batch", hidden]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1, words])]
    for part in ("key", "value"):
        inputs.append(helper.make_tensor_value_info(f"past_key_values.0.{part}", TensorProto.FLOAT, cache["past_key_values"]))
        outputs.append(helper.make_tensor_value_info(f"present.0.{part}", TensorProto.FLOAT, cache["present"]))
    graph = helper.make_graph(nodes, "decoder", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def rename_output(encoder: onnx.ModelProto, old: str, new: str) -> None:
    """Gives a graph output another name."""
    for node in encoder.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for output in encoder.graph.output:
        output.name = new if output.name == old else output.name


def decode(decoder: onnx.ModelProto, picture_state: np.ndarray, settings: dict) -> dict:
    """Greedy tokens and their summed log probability under ONNX Runtime."""
    session = onnxruntime.InferenceSession(decoder.SerializeToString())
    cache = {f"past_key_values.0.{part}": np.zeros((1, 1, 0, WIDTH), np.float32) for part in ("key", "value")}
    token, tokens, log_probability = settings["decoder_start_token_id"], [], 0.0
    for _ in range(STEPS):
        feed = {"input_ids": np.array([[token]]), "picture_state": picture_state, **cache}
        logits, key, value = session.run(None, feed)
        cache = {"past_key_values.0.key": key, "past_key_values.0.value": value}
        scores = log_softmax(logits[0, 0].astype(float))
        scores[settings["suppress_tokens"]] = -np.inf
        token = int(scores.argmax())
        tokens.append(token)
        log_probability += scores[token]
    return {"tokens": tokens, "log_probability": log_probability}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", type=Path, default=Path("tests/fixtures/tiny"), help="folder of the tiny model")
    parser.add_argument("--output", type=Path, default=Path("tests/fixtures/cache"), help="folder to write")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    encoder = onnx.load(args.tiny / "encoder_model.onnx")
    rename_output(encoder, "past.hidden", "picture_state")
    pixels = np.full((1, 3, 32, 32), 0.25, np.float32)
    encoder_session = onnxruntime.InferenceSession(encoder.SerializeToString())
    state = encoder_session.run(["picture_state"], {"pixel_values": pixels})[0]
    decoder = build_decoder(len(read_words(args.tiny)), state.shape[-1])
    settings = read_json(args.tiny / "generation_config.json")
    settings |= {"suppress_tokens": [*settings["suppress_tokens"], settings["eos_token_id"]], "max_new_tokens": STEPS}
    onnx.save(encoder, args.output / "encoder_model.onnx")
    onnx.save(decoder, args.output / "decoder_model.onnx")
    (args.output / "generation_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    for name in ("preprocessor_config.json", "tokenizer.json", "config.json"):
        (args.output / name).write_bytes((args.tiny / name).read_bytes())
    (args.output / "golden.json").write_text(json.dumps(decode(decoder, state, settings)) + "\n")


if __name__ == "__main__":
    main()
