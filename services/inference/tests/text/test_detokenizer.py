import itertools

import pytest
from penstock_inference.detokenizer import Detokenizer
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json
from penstock_inference.tokenizer import Tokenizer

ALPHABET = sorted(
    {chr(byte) for byte in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))}
    | {chr(0x100 + place) for place in range(68)}
)
TEXT = "aé€𝄞 ok\n"


@pytest.fixture(scope="module")
def bytes_only() -> Tokenizer:
    """A tokenizer whose every token is one byte, so that each character is split wherever it can be."""
    vocabulary = ByteLevelVocabulary(
        tokens=["<|end|>", *ALPHABET], merges=[], control_ids=[0], user_defined_ids=[], pre_tokenizer="gpt-2"
    )
    return Tokenizer(byte_level_tokenizer_json(vocabulary))


def test_a_character_comes_out_once_its_last_byte_is_in(bytes_only):
    detokenizer = Detokenizer(bytes_only)

    pieces = [detokenizer.feed(token) for token in bytes_only.encode("é€𝄞", parse_special=False)]

    assert pieces == ["", "é", "", "", "€", "", "", "", "𝄞"]
    assert detokenizer.flush() == ""


def test_the_pieces_joined_are_the_text_after_every_number_of_tokens(bytes_only):
    ids = bytes_only.encode(TEXT, parse_special=False)

    for count in range(len(ids) + 1):
        detokenizer = Detokenizer(bytes_only)
        pieces = [detokenizer.feed(token) for token in ids[:count]]

        assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
        assert "".join([*pieces, detokenizer.flush()]) == bytes_only.decode(ids[:count])


def test_a_character_that_never_ends_is_replaced_at_the_flush(bytes_only):
    detokenizer = Detokenizer(bytes_only)
    for token in bytes_only.encode("€", parse_special=False)[:2]:
        assert detokenizer.feed(token) == ""

    assert detokenizer.flush() == "\N{REPLACEMENT CHARACTER}"


def test_bytes_that_are_no_utf8_are_replaced_as_soon_as_that_is_certain(bytes_only):
    ids_of = {bytes_only.token_bytes(token): token for token in range(bytes_only.vocabulary_tokens)}
    for raw in itertools.product([b"\x80", b"\xe2", b"\x82", b"\xff", b"a"], repeat=4):
        detokenizer = Detokenizer(bytes_only)
        text = "".join(detokenizer.feed(ids_of[byte]) for byte in raw) + detokenizer.flush()

        assert text == b"".join(raw).decode("utf-8", errors="replace")


def test_special_tokens_have_no_text(bytes_only):
    detokenizer = Detokenizer(bytes_only)
    end = bytes_only.special_tokens["<|end|>"]

    assert detokenizer.feed(end) + detokenizer.flush() == ""
    assert bytes_only.decode([end]) == ""


def test_a_real_model_s_tokens_give_the_text_that_they_were_made_from(smollm2):
    text = "Привет, 世界! 👩‍👩‍👧‍👦 naïve café — 12,345 ½\tdone\r\n"
    detokenizer = Detokenizer(smollm2.tokenizer)

    pieces = [detokenizer.feed(token) for token in smollm2.tokenizer.encode(text, parse_special=False)]

    assert "".join(pieces) == text
    assert detokenizer.flush() == ""
