"""Text to tokens and back, in schemes that can write any bytes: GPT-2's, and SentencePiece's with byte pieces."""

from collections.abc import Callable, Iterable

from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import decoders, models, normalizers

from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.sentencepiece_bpe import BYTE_PIECES, SPACE


class Tokenizer:
    """A model's tokenizer. Thread-safe."""

    def __init__(self, tokenizer_json: str) -> None:
        self._parsing = _open(tokenizer_json)
        self._plain = _open(tokenizer_json)  # a second one: the switch is the tokenizer's, not a call's
        self._plain.encode_special_tokens = True
        self._piece_bytes = _bytes_of_pieces(self._parsing)
        self._within = self._plain
        if not isinstance(self._plain.decoder, decoders.ByteLevel):
            self._within = _open(tokenizer_json)
            self._within.encode_special_tokens = True
            self._within.normalizer = normalizers.Replace(" ", SPACE)
        added = self._parsing.get_added_tokens_decoder()
        self._added_bytes = {i: b"" if t.special else t.content.encode() for i, t in added.items()}
        self.special_tokens: dict[str, int] = {t.content: i for i, t in added.items() if t.special}
        self._special_bytes = {i: content.encode() for content, i in self.special_tokens.items()}
        self.vocabulary_tokens: int = (
            max(self._parsing.get_vocab().values(), default=-1) + 1
        )  # ids may have gaps

    def require_known(self, model_tokens: int) -> None:
        """Raise UnsupportedModelError if it has tokens that a model of so many does not know."""
        if self.vocabulary_tokens > model_tokens:
            raise UnsupportedModelError(
                f"the tokenizer has {self.vocabulary_tokens} tokens, the model {model_tokens}"
            )

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """Turn text into token ids, nothing added.

        With `parse_special`, "<|im_end|>" is the token that ends a turn. Without, as for what users write, it
        is ten characters like any others.
        """
        return _encode(self._parsing if parse_special else self._plain, text)

    def encode_within(self, text: str) -> list[int]:
        """Turn a text that goes on into token ids: as a user's, but no space is thought to be before it."""
        return _encode(self._within, text)

    def decode(self, ids: Iterable[int]) -> str:
        """Turn token ids into text; special tokens have none, and bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def token_bytes(self, token: int) -> bytes:
        """Give the bytes that a token stands for: perhaps a part of a character, none for a special token."""
        if token in self._added_bytes:
            return self._added_bytes[token]
        written: str | None = self._parsing.id_to_token(token)
        # A model may have more rows than its tokenizer has tokens: padding, which means nothing.
        return b"" if written is None else self._piece_bytes(written)

    def written_bytes(self, token: int) -> bytes:
        """Give the bytes that a token is written as in a prompt: a special token's are its name."""
        return self._special_bytes.get(token) or self.token_bytes(token)


def _open(tokenizer_json: str) -> HuggingFaceTokenizer:
    try:
        tokenizer = HuggingFaceTokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises nothing narrower
        raise UnsupportedModelError(f"the tokenizer cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _encode(tokenizer: HuggingFaceTokenizer, text: str) -> list[int]:
    # Of the ways to encode, only this one lets other threads run meanwhile.
    (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def _bytes_of_pieces(tokenizer: HuggingFaceTokenizer) -> Callable[[str], bytes]:
    """Say how a tokenizer writes bytes as pieces. Raises UnsupportedModelError if it cannot write all."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    if unknown is not None and tokenizer.token_to_id(unknown) is None:
        raise UnsupportedModelError(
            f"the tokenizer has no token {unknown!r}, which it writes for unknown ones"
        )
    if isinstance(tokenizer.decoder, decoders.ByteLevel):
        return _byte_level
    # One that cuts words first adds spaces before some parts of a text only.
    if (
        isinstance(tokenizer.model, models.BPE)
        and tokenizer.model.byte_fallback
        and not tokenizer.pre_tokenizer
    ):
        return lambda piece: _BYTES_BY_PIECE.get(piece) or piece.replace(SPACE, " ").encode()
    raise UnsupportedModelError("only byte-level and SentencePiece tokenizers with all bytes are supported")


def _byte_level(piece: str) -> bytes:
    try:
        return bytes(map(_BYTES_BY_SYMBOL.__getitem__, piece))
    except KeyError as error:
        raise UnsupportedModelError(f"the token {piece!r} is not written in GPT-2's alphabet") from error


def _byte_symbols() -> dict[str, int]:
    """Map GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = sorted(set(range(0x100)) - printable)
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTES_BY_SYMBOL = _byte_symbols()
_BYTES_BY_PIECE = {piece: bytes([byte]) for byte, piece in enumerate(BYTE_PIECES)}
