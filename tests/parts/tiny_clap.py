"""A prompted model of 2 kB that distinguishes clicks up and down, built without training."""

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper, save_model

RATE = 16_000
WINDOW = 8_000
WORDS = ("up", "down")
"""The known words; all other words mean "anything else"."""
QUIET = 0.05
"""Clicks with a peak below this match "anything else"."""


def write_tiny_clap(path: Path, **metadata_overrides: str | None) -> Path:
    """Write the model to `path` and its text tower beside it; return the path.

    A window's embedding is the direction of [highest sample, negated lowest sample, QUIET]; a description's is the
    mean of those of its words: "up" the first axis, "down" the second, any other word the third. `metadata_overrides`
    replaces entries of the metadata; None removes one.
    """
    text, tokenizer = (path.with_name(f"{path.stem}.{end}") for end in ("text", "tokenizer.json"))
    save_model(_text_graph(), str(text))
    tokenizer.write_text(json.dumps(_tokenizer()))
    metadata: dict[str, str | None] = {
        "format": "1",
        "name": path.stem,
        "family": "clap",
        "sample_rate": str(RATE),
        "window": str(WINDOW),
        "licence": "CC0-1.0",
        "source": "the tests",
        "prompts": "required",
        "scale": "20",
        "text": path.stem,
        "text_sha256": hashlib.sha256(text.read_bytes()).hexdigest(),
        "tokenizer_sha256": hashlib.sha256(tokenizer.read_bytes()).hexdigest(),
    }
    model = _audio_graph()
    filled = {key: value for key, value in (metadata | metadata_overrides).items() if value is not None}
    helper.set_model_props(model, filled)
    save_model(model, str(path))
    return path


def _audio_graph() -> ModelProto:
    nodes = [
        helper.make_node("ReduceMax", ["waveform", "samples"], ["highest"]),
        helper.make_node("ReduceMin", ["waveform", "samples"], ["lowest"]),
        helper.make_node("Neg", ["lowest"], ["turned"]),
        helper.make_node("Mul", ["highest", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "quiet"], ["rest"]),
        helper.make_node("Concat", ["highest", "turned", "rest"], ["parts"], axis=1),
        helper.make_node("LpNormalization", ["parts"], ["embedding"], axis=1, p=2),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "samples": np.array([1], np.int64),
        "zero": np.array(0, np.float32),
        "quiet": np.array(QUIET, np.float32),
    }
    return _model(
        nodes,
        constants,
        helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", WINDOW]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]),
    )


def _text_graph() -> ModelProto:
    nodes = [
        helper.make_node("Gather", ["words", "tokens"], ["found"]),
        helper.make_node("ReduceMean", ["found", "length"], ["mean"], keepdims=0),
        helper.make_node("LpNormalization", ["mean"], ["vector"], axis=1, p=2),
    ]
    words = np.eye(3, dtype=np.float32)[[2, 0, 1]]
    model = _model(
        nodes,
        {"words": words, "length": np.array([1], np.int64)},
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "length"]),
        helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, 3]),
    )
    helper.set_model_props(model, {"tokens": "16"})
    return model


def _model(
    nodes: list[NodeProto], constants: dict[str, NDArray[np.generic]], given: ValueInfoProto, answer: ValueInfoProto
) -> ModelProto:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "clicks", [given], [answer], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def _tokenizer() -> dict[str, object]:
    """A tokenizer with one token per word, in the format of the package tokenizers."""
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {"<unk>": 0, **{word: token for token, word in enumerate(WORDS, 1)}},
            "unk_token": "<unk>",
        },
    }
