"""Directories whose tokenizer is SentencePiece's own file.

`pieces.model` was trained by SentencePiece on texts of ours; `sentencepiece_tokens.json` is how it cuts some others.
"""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.hugging_face import HuggingFaceWeights
from penstock_inference.formats.sentencepiece_model import AddedToken, read_sentencepiece
from penstock_inference.tokenizer import Tokenizer
from small_decoder import write_decoder

PIECES = Path(__file__).with_name("pieces.model")
COUNT = 700
WITHOUT_BOS = {"add_bos_token": False}


def write(directory: Path, **tokenizer_config: object) -> HuggingFaceWeights:
    model = directory / "model"
    if not model.exists():
        write_decoder(model)
        (model / "tokenizer.json").unlink()
    shutil.copy(PIECES, model / "tokenizer.model")
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return HuggingFaceWeights(model)


def test_texts_are_cut_as_sentencepiece_cuts_them(tmp_path):
    tokenizer = Tokenizer(write(tmp_path, **WITHOUT_BOS).tokenizer_json())
    for text, tokens in json.loads(PIECES.with_name("sentencepiece_tokens.json").read_text()):
        assert tokenizer.encode(text, parse_special=False) == tokens, text


def test_added_tokens_are_found_where_each_release_of_transformers_puts_them(tmp_path):
    decoder = {
        "1": {"content": "<s>", "special": True},
        str(COUNT): {"content": "<|end|>", "special": True},
    }
    weights = write(tmp_path, added_tokens_decoder=decoder, **WITHOUT_BOS)
    (tmp_path / "model" / "added_tokens.json").write_text(json.dumps({"<tool>": COUNT + 1}))
    tokenizer = Tokenizer(weights.tokenizer_json())
    assert tokenizer.encode("<|end|>", parse_special=True) == [COUNT]
    assert COUNT not in tokenizer.encode("<|end|>", parse_special=False)
    assert COUNT + 1 in tokenizer.encode("a<tool>", parse_special=True)
    assert tokenizer.special_tokens.keys() >= {"<s>", "</s>", "<unk>", "<|end|>"}


def test_a_tokenizer_json_beside_it_is_preferred(tmp_path):
    weights = write(tmp_path)
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    assert weights.tokenizer_json() == "{}"


def test_a_bos_token_is_the_chat_template_s_business(tmp_path):
    with pytest.raises(UnsupportedModelError, match="a BOS token before each text is not supported"):
        write(tmp_path).tokenizer_json()
    assert write(tmp_path, chat_template="{{ bos_token }}").tokenizer_json()


@pytest.mark.parametrize(
    ("behind", "complaint"),
    [
        (b"\x12\x02\x18\x01", "SentencePiece of type unigram is not supported"),  # trainer: model_type
        (b"\x1a\x05\x12\x03abc", "replacing characters before a text is cut"),  # normalizer: a map
        (b"\x1a\x02\x20\x01", "removing spaces before a text is cut"),  # normalizer: remove_extra_whitespaces
        (b"\x0a\x7f", "is damaged"),  # a piece that is longer than the file
        (b"\xff" * 11, "is damaged"),
        (b"\x0b", "is damaged"),  # a kind of value that there is not
        (b"\x0a\x03\x0a\x01\xff", "is damaged"),  # a piece that is not UTF-8
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, behind, complaint):
    (tmp_path / "pieces.model").write_bytes(PIECES.read_bytes() + behind)
    with pytest.raises(UnsupportedModelError, match=complaint):
        read_sentencepiece(tmp_path / "pieces.model", {})


@pytest.mark.parametrize("token", [0, COUNT + 1])
def test_an_added_token_in_another_s_place_or_behind_a_gap_is_refused(token):
    with pytest.raises(UnsupportedModelError, match=f"another token {token} than '<end>'"):
        read_sentencepiece(PIECES, {token: AddedToken("<end>", is_special=True)})


@settings(max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_file_does_worse_than_being_refused(tmp_path_factory, nonsense, length):
    path = tmp_path_factory.getbasetemp() / "nonsense.model"
    path.write_bytes(PIECES.read_bytes()[:length] + nonsense)
    with pytest.raises(UnsupportedModelError):
        read_sentencepiece(path, {})
