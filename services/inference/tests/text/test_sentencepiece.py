"""Vocabularies of pieces with scores, as Llama 2 and Mistral have them."""

import dataclasses
import json
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from awkward_texts import AWKWARD, mixtures
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_inference.engines.conversion.calibration import TEXTS
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.sentencepiece_bpe import (
    BYTE_PIECES,
    SPACE,
    SentencePieceVocabulary,
    sentencepiece_tokenizer_json,
)
from penstock_inference.forms import Form, Notation
from penstock_inference.grammar import Grammars
from penstock_inference.sampler import Sampler, SamplingParameters, choose_tokens
from penstock_inference.tokenizer import Tokenizer
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, trainers

SPECIAL = ["<unk>", "<s>", "</s>"]


@pytest.fixture(scope="module")
def trained() -> Library:
    """A tokenizer that the library trained, with merges of its own."""
    tokenizer = Library(models.BPE(byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=[*SPECIAL, *BYTE_PIECES], show_progress=False
    )
    tokenizer.train([str(TEXTS)], trainer)
    return tokenizer


@pytest.fixture(scope="module")
def vocabulary(trained: Library) -> SentencePieceVocabulary:
    """The same pieces in the order of their merging, as SentencePiece writes them: letters last."""
    merged = ["".join(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    letters = set(trained.get_vocab()) - {*SPECIAL, *BYTE_PIECES, *merged}
    return make_vocabulary([*dict.fromkeys(merged), *sorted(letters)])


def make_vocabulary(pieces: list[str], *, has_space_prefix: bool = True) -> SentencePieceVocabulary:
    tokens = [*SPECIAL, *BYTE_PIECES, *pieces]
    first = len(tokens) - len(pieces)
    return SentencePieceVocabulary(
        tokens=tokens,
        scores=[0.0] * first + [-float(place) for place in range(len(pieces))],
        normal_ids=range(first, len(tokens)),
        special_ids=range(len(SPECIAL)),
        user_defined_ids=[],
        has_space_prefix=has_space_prefix,
    )


def merge_by_scores(vocabulary: SentencePieceVocabulary, text: str) -> list[int]:
    """Encode as SentencePiece is described: merge the best neighbours, of equals the leftmost, while there are any."""
    scores = {vocabulary.tokens[i]: vocabulary.scores[i] for i in vocabulary.normal_ids}
    ids = {token: place for place, token in enumerate(vocabulary.tokens)}
    prefix = SPACE if text and vocabulary.has_space_prefix else ""
    symbols = list(prefix + text.replace(" ", SPACE))
    while True:
        joined = [scores.get(left + right) for left, right in pairwise(symbols)]
        best = max((score for score in joined if score is not None), default=None)
        if best is None:
            break
        place = joined.index(best)
        symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
    return list(_with_bytes(symbols, ids))


def _with_bytes(symbols: list[str], ids: dict[str, int]) -> Iterator[int]:
    for symbol in symbols:
        yield from [ids[symbol]] if symbol in ids else [ids[BYTE_PIECES[byte]] for byte in symbol.encode()]


def encode(vocabulary: SentencePieceVocabulary, text: str) -> list[int]:
    return Tokenizer(sentencepiece_tokenizer_json(vocabulary)).encode(text, parse_special=False)


def test_text_is_cut_as_merging_by_scores_cuts_it(vocabulary):
    tokenizer = Tokenizer(sentencepiece_tokenizer_json(vocabulary))
    for text in [*AWKWARD, *mixtures(60), TEXTS.read_text(encoding="utf-8")[:1500]]:
        assert tokenizer.encode(text, parse_special=False) == merge_by_scores(vocabulary, text), text


def test_text_is_cut_as_the_library_cuts_it_by_merges_that_it_learned(vocabulary, trained):
    tokenizer = Tokenizer(sentencepiece_tokenizer_json(vocabulary))
    for line in TEXTS.read_text(encoding="utf-8").splitlines():
        if line and "  " not in line:  # the library keeps runs of spaces apart before it merges
            pieces = [vocabulary.tokens[i] for i in tokenizer.encode(line, parse_special=False)]
            assert pieces == trained.encode(line).tokens


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab", min_size=2, max_size=4), unique=True, max_size=12), st.text("ab ", max_size=40))
def test_few_letters_that_merge_in_many_ways_are_cut_so_too(pieces, text):
    vocabulary = make_vocabulary([*pieces, SPACE, "a", "b"])

    assert encode(vocabulary, text) == merge_by_scores(vocabulary, text)


def test_any_text_comes_back_behind_the_space_that_was_put_before_it(vocabulary):
    tokenizer = Tokenizer(sentencepiece_tokenizer_json(vocabulary))
    for text in filter(None, [*AWKWARD, *mixtures(60)]):
        assert tokenizer.decode(tokenizer.encode(text, parse_special=False)) == f" {text}"


def test_a_vocabulary_may_put_no_space_before_a_text():
    vocabulary = make_vocabulary(["ab", "a", "b"], has_space_prefix=False)

    assert encode(vocabulary, "ab") == [vocabulary.tokens.index("ab")]


def test_special_tokens_are_read_where_they_are_meant_and_written_as_nothing(vocabulary):
    tokenizer = Tokenizer(sentencepiece_tokenizer_json(vocabulary))

    first, *rest = tokenizer.encode("<s>the", parse_special=True)

    assert (first, tokenizer.decode([first, *rest])) == (1, " the")
    assert tokenizer.special_tokens == {name: place for place, name in enumerate(SPECIAL)}
    assert 1 not in tokenizer.encode("<s>", parse_special=False)
    assert tokenizer.decode(tokenizer.encode("<s>", parse_special=False)) == " <s>"


def test_answers_of_such_pieces_are_held_to_a_form(vocabulary):
    tokenizer = Tokenizer(sentencepiece_tokenizer_json(vocabulary))
    grammars, dice = Grammars(tokenizer, tokenizer.vocabulary_tokens, (2,)), np.random.default_rng(20261121)
    form = grammars.compile(Form(Notation.REGEX, r"(the|and) [a-z]{3,9} \d\d é"))

    for seed in range(5):
        sampler = Sampler(SamplingParameters(), [1], 40, (seed, 0), form.begin())
        tokens: list[int] = []
        while 2 not in tokens:
            tokens += choose_tokens(
                dice.standard_normal((1, tokenizer.vocabulary_tokens), np.float32), [sampler]
            )
        assert re.fullmatch(r"(the|and) [a-z]{3,9} \d\d é", tokenizer.decode(tokens))
    grammars.close()


def test_what_a_user_writes_like_a_byte_is_text(vocabulary):
    tokenizer = Tokenizer(sentencepiece_tokenizer_json(vocabulary))

    assert tokenizer.decode(tokenizer.encode("<0x41>", parse_special=False)) == " <0x41>"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"scores": [0.0]}, "damaged"),
        ({"scores": [float("nan")] * 262}, "damaged"),
        ({"tokens": [*SPECIAL, *BYTE_PIECES, "a", "b", "a"]}, "damaged"),
        ({"tokens": [*SPECIAL, *BYTE_PIECES[1:], "x", "a", "b", "c"]}, "piece for each byte"),
    ],
)
def test_a_damaged_vocabulary_is_refused(change, complaint):
    vocabulary = dataclasses.replace(make_vocabulary(["ab", "a", "b"]), **change)

    with pytest.raises(UnsupportedModelError, match=complaint):
        sentencepiece_tokenizer_json(vocabulary)
