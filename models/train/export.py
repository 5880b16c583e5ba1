"""Write a trained student as one self-describing ONNX file, and prove that it answers as the network does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from .frontend import SAMPLE_RATE, WINDOW
from .network import Listener, Student

FORMAT = "1"
OPSET = 20
PARITY = 1e-5
"""Largest difference allowed between the network's answer and the file's; the embedding's, of its largest value."""


def export_student(student: Student, path: Path, metadata: Mapping[str, str]) -> float:
    """Write `student` behind its front end to `path`; the largest difference from the network is returned.

    Nothing is left under `path` unless the file answers within `PARITY`.
    """
    listener = Listener(student).eval()
    example = torch.zeros(2, WINDOW)
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.onnx.export(
        listener,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["waveform"],
        output_names=["probabilities", "embedding"],
        dynamic_shapes={"waveform": {0: batch}},
        verbose=False,
    )
    if program is None:
        raise RuntimeError("the exporter gave no program")
    model = program.model_proto
    del model.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    part = path.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(part))
    difference = largest_difference(listener, part)
    if difference > PARITY:
        part.unlink()
        raise RuntimeError(f"{path}: ONNX differs from the network by {difference:.1e}, more than {PARITY:.0e}")
    part.replace(path)
    return difference


def strip_traces(model: onnx.ModelProto) -> None:
    """Drop source lines and shapes that the exporter notes on every node: they carry local paths and serve nobody."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for initializer in model.graph.initializer:
        del initializer.metadata_props[:]
        initializer.doc_string = ""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]


def metadata_for(labels: Sequence[str], training: Mapping[str, object], texts: Mapping[str, str]) -> dict[str, str]:
    """The metadata that a model file must carry; `texts` holds name, family, licence, source and description."""
    return {
        "format": FORMAT,
        **texts,
        "sample_rate": str(SAMPLE_RATE),
        "window": str(WINDOW),
        "labels": json.dumps(list(labels)),
        "training": json.dumps(training),
    }


def largest_difference(listener: Listener, path: Path) -> float:
    """Largest difference over noise, a tone, silence and full scale; the embedding's relative to its largest value.

    The tone has a microphone's noise beneath it: between the lines of a mathematically pure one only rounding is left,
    and the logarithm would make two correct roundings look different.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(0).standard_normal((4, WINDOW))
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(WINDOW) / SAMPLE_RATE)
    rows = [0.1 * noise[0], tone + 0.001 * noise[1], np.zeros(WINDOW), np.sign(noise[3])]
    waveform = np.stack(rows).astype(np.float32)
    answers = session.run(["probabilities", "embedding"], {"waveform": waveform})
    with torch.no_grad():
        probabilities, embedding = (wanted.numpy() for wanted in listener(torch.from_numpy(waveform)))
    scale = max(1.0, float(np.abs(embedding).max()))
    return max(float(np.abs(answers[0] - probabilities).max()), float(np.abs(answers[1] - embedding).max()) / scale)
