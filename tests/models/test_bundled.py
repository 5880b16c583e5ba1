"""The bundled model files keep the contract, with ONNX Runtime alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="running a model needs onnxruntime")

FOLDER = Path(__file__).parents[2] / "models"
FILES = sorted(FOLDER.glob("*.onnx"))
KEYS = ("format", "name", "family", "sample_rate", "window", "labels", "licence", "source", "description", "training")


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def session(path: Path) -> Any:
    """One thread, CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def facts(session: Any) -> dict[str, str]:
    return dict(session.get_modelmeta().custom_metadata_map)


def answer(session: Any, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and embedding of windows [batch, samples]."""
    probabilities, embedding = session.run(["probabilities", "embedding"], {"waveform": waveform})
    return probabilities, embedding


def windows(session: Any, count: int) -> np.ndarray:
    """Noise at different levels, [count, samples]."""
    rng = np.random.default_rng(4)
    samples = int(facts(session)["window"])
    return np.asarray(rng.standard_normal((count, samples)) * np.geomspace(0.001, 0.3, count)[:, None], np.float32)


def test_there_is_a_bundled_model() -> None:
    assert FILES


def test_the_file_explains_itself(session: Any) -> None:
    metadata = facts(session)
    assert all(metadata.get(key) for key in KEYS)
    assert metadata["format"] == "1"
    labels = json.loads(metadata["labels"])
    assert len(labels) == len(set(labels)) == session.get_outputs()[0].shape[1]
    assert {"Smoke detector, smoke alarm", "Siren", "Knock", "Doorbell", "Glass", "Silence"} <= set(labels)
    training = json.loads(metadata["training"])
    assert {"teacher", "data_sha256", "audio_seconds", "seed", "steps", "packages", "figures"} <= set(training)


def test_inputs_and_outputs_are_as_agreed(session: Any) -> None:
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type) == ("waveform", "tensor(float)")
    assert taken.shape[1] == int(facts(session)["window"])
    assert isinstance(taken.shape[0], str)
    assert [output.name for output in session.get_outputs()] == ["probabilities", "embedding"]


def test_a_row_does_not_depend_on_its_neighbours(session: Any) -> None:
    batch = windows(session, 5)
    together = answer(session, batch)
    for row in range(len(batch)):
        alone = answer(session, batch[row : row + 1])
        for both, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(both[row : row + 1], one, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-7, 1.0])
def test_silence_and_full_scale_give_finite_probabilities(session: Any, level: float) -> None:
    waveform = np.full((1, int(facts(session)["window"])), level, np.float32)
    waveform[:, ::2] *= -1
    probabilities, embedding = answer(session, waveform)
    assert np.isfinite(embedding).all()
    assert (probabilities >= 0).all()
    assert (probabilities <= 1).all()


def test_digital_silence_is_called_silence(session: Any) -> None:
    labels = json.loads(facts(session)["labels"])
    probabilities, _ = answer(session, np.zeros((1, int(facts(session)["window"])), np.float32))
    loud = {labels[i] for i in np.flatnonzero(probabilities[0] > 0.3)}
    assert loud == {"Silence"}


def test_a_smoke_alarm_beep_is_heard(session: Any) -> None:
    labels = json.loads(facts(session)["labels"])
    time = np.arange(int(facts(session)["window"])) / int(facts(session)["sample_rate"])
    beep = np.where(np.mod(time, 1.0) < 0.5, 0.5 * np.sin(2 * np.pi * 3_100 * time), 0.0)
    probabilities, _ = answer(session, beep.astype(np.float32)[None])
    assert probabilities[0, labels.index("Smoke detector, smoke alarm")] > 0.5
    assert probabilities[0, labels.index("Siren")] < 0.5


def test_the_card_stands_beside_the_model_and_warns(path: Path) -> None:
    card = path.with_name(path.stem.removesuffix("-int8") + ".md").read_text(encoding="utf-8")
    assert "not a life-safety device" in " ".join(card.lower().split())
