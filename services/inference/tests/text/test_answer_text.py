"""What may leave of an answer, and when: text and log probabilities together."""

from hypothesis import given
from hypothesis import strategies as st
from penstock_inference.answer_text import AnswerText
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json
from penstock_inference.logprobs import TokenLogprob
from penstock_inference.tokenizer import Tokenizer

WORDS = ["<|end|>", "a", "b", "c", "ab", "bc", "abc", "Ã", "©", "Ã©"]
TOKENIZER = Tokenizer(
    byte_level_tokenizer_json(
        ByteLevelVocabulary(WORDS, [], control_ids=[0], user_defined_ids=[], pre_tokenizer="gpt-2")
    )
)
TOKENS = st.lists(st.integers(1, len(WORDS) - 1), max_size=12)


def feed(tokens: list[int], stops: tuple[str, ...]) -> tuple[str, list[int], bool]:
    """Give all that leaves: text, the tokens whose log probabilities leave, and whether a stop text was found."""
    answer, text, measured = AnswerText(TOKENIZER, stops), "", []
    for token in tokens:
        released = answer.feed(token, TokenLogprob(token, -1.0), may_stop=True)
        text += released.text
        measured += [logprob.token for logprob in released.logprobs]
        # Nothing is measured before its text has left, to the last byte.
        assert text.encode().startswith(TOKENIZER.decode(measured).encode())
        if released.stopped:
            return text, measured, True
    released = answer.finish()
    return text + released.text, measured + [logprob.token for logprob in released.logprobs], False


@given(TOKENS, st.sampled_from([(), ("abc",), ("bca", "c"), ("é",), ("aé", "bb")]))
def test_log_probabilities_leave_with_the_text_of_their_tokens_and_never_a_stop_text(
    tokens: list[int], stops: tuple[str, ...]
) -> None:
    text, measured, stopped = feed(tokens, stops)
    assert measured == tokens[: len(measured)]
    if stopped:
        assert not any(stop in TOKENIZER.decode(measured) for stop in stops)
        following = TOKENIZER.decode(tokens[: len(measured) + 1])
        assert len(following) > len(text)
    else:
        assert measured == tokens
        assert text == TOKENIZER.decode(tokens)


def test_a_token_that_reaches_into_the_stop_text_is_not_measured() -> None:
    assert feed([1, 4, 5], ("bb",)) == ("aa", [1], True)


def test_a_part_of_a_character_of_the_stop_text_is_not_measured() -> None:
    assert feed([1, 7, 8], ("é",)) == ("a", [1], True)
