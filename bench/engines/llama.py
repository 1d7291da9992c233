"""llama.cpp through its batch API, in process, which is the upper bound of its server. Runs on the peer's own Python.

Best settings known: KV in f16, a stream of its own for each sequence, weights not mapped (so that they are repacked
for the CPU). Flash attention is on or off by the turn. Tokens are chosen greedily from the logits, which costs it next
to nothing.
"""

import ctypes
import hashlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import llama_cpp as lib
import numpy as np
import numpy.typing as npt
from harness.turns import serve

from engines.timing import tokens_per_second

_SEQUENCES = 32
_SCRATCH = _SEQUENCES  # one more sequence, for prompts and windows
_ORIGINAL = _SEQUENCES + 1  # and one that the others are copied from
_ROWS = 768
_CONTEXT_MAX = 384
_WARM_UP_TOKENS = 64

Tokens = npt.NDArray[np.int32]


class Llama:
    """A loaded model with memory for its sequences, once with flash attention and once without."""

    def __init__(self, gguf: Path, text: str, threads: int) -> None:
        lib.llama_backend_init()
        model = lib.llama_model_default_params()
        model.load_mode = lib.LLAMA_LOAD_MODE_NONE
        self._model = lib.llama_model_load_from_file(str(gguf).encode(), model)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._vocabulary_tokens = lib.llama_vocab_n_tokens(self._vocab)
        self._batch = lib.llama_batch_init(512, 0, 1)
        self._text = self._tokenize(text)
        self._contexts = {
            flash: lib.llama_init_from_model(self._model, _context_parameters(threads, flash=flash))
            for flash in (False, True)
        }
        for flash in self._contexts:
            self._choose(flash=flash)
            self._read(self._text[:_CONTEXT_MAX], _ORIGINAL, 1)

    def about(self) -> dict[str, Any]:
        """Say which version this is and what it makes of the text."""
        return {
            "version": lib.__version__,
            "text": hashlib.sha256(self._text.astype("<i4").tobytes()).hexdigest(),
        }

    def decode(self, concurrent: int, context: int, seconds: float, *, flash: bool) -> dict[str, Any]:
        """Continue this many sequences from `context` tokens on, or from as many as there are: fewer cost less."""
        self._choose(flash=flash)
        context = min(context, _CONTEXT_MAX)
        sequences = np.arange(concurrent)
        for sequence in range(concurrent):
            lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
            lib.llama_memory_seq_cp(self._memory, _ORIGINAL, sequence, -1, -1)
            lib.llama_memory_seq_rm(self._memory, sequence, context, -1)
        past = context
        tokens = np.full(concurrent, self._text[context])

        def step() -> int:
            nonlocal past, tokens
            logits = self._decode(tokens, np.full(concurrent, past), sequences, concurrent)
            tokens = logits.argmax(axis=1)
            past += 1
            return concurrent

        return {"tokens_per_s": tokens_per_second(step, step, seconds), "context": (context + past) / 2}

    def prefill(self, tokens: int, offset: int, seconds: float, *, flash: bool) -> dict[str, Any]:
        """Read prompts of this length, over and over."""
        self._choose(flash=flash)
        prompt = self._text[offset : offset + tokens]

        def read(length: int) -> int:
            self._read(prompt[:length], _SCRATCH, 1)
            return length

        rate = tokens_per_second(partial(read, _WARM_UP_TOKENS), partial(read, tokens), seconds)
        return {"tokens_per_s": rate}

    def perplexity(self, windows: int, tokens: int) -> dict[str, Any]:
        """Score the second half of each window, given what is before (as llama-perplexity does)."""
        self._choose(flash=True)
        half, total = tokens // 2, 0.0
        for window in self._text[: windows * tokens].reshape(windows, tokens):
            logits = self._read(window[:-1], _SCRATCH, tokens - half)
            total += _negative_log_likelihood(logits, window[half:])
        return {"nats_per_token": total / windows / (tokens - half)}

    def _choose(self, *, flash: bool) -> None:
        self._context = self._contexts[flash]
        self._memory = lib.llama_get_memory(self._context)

    def _read(self, tokens: Tokens, sequence: int, scored: int) -> npt.NDArray[np.float32]:
        """Let a sequence be these tokens, and return the logits of the last."""
        lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return self._decode(tokens, np.arange(len(tokens)), np.full(len(tokens), sequence), scored)

    def _decode(
        self, tokens: npt.NDArray[Any], positions: npt.NDArray[Any], sequences: npt.NDArray[Any], scored: int
    ) -> npt.NDArray[np.float32]:
        """Run one batch and return the logits of its last rows `[scored, vocabulary]`."""
        batch, rows = self._batch, len(tokens)
        batch.n_tokens = rows
        _array(batch.token, rows)[:] = tokens
        _array(batch.pos, rows)[:] = positions
        for row in range(rows):
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = int(sequences[row])
        flags = np.ctypeslib.as_array(batch.logits, (rows,))
        flags[:] = 0
        flags[rows - scored :] = 1
        if lib.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        return np.ctypeslib.as_array(lib.llama_get_logits(self._context), (scored, self._vocabulary_tokens))

    def _tokenize(self, text: str) -> Tokens:
        raw = text.encode()
        tokens = (ctypes.c_int32 * len(raw))()
        count = lib.llama_tokenize(self._vocab, raw, len(raw), tokens, len(raw), False, False)
        return np.array(tokens[:count], np.int32)


def _negative_log_likelihood(logits: npt.NDArray[np.float32], targets: Tokens) -> float:
    """Sum -log softmax at the targets, in nats."""
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    chosen = exact[np.arange(len(targets)), targets]
    return float((np.log(np.exp(exact).sum(axis=1)) - chosen).sum())


def _array(pointer: Any, length: int) -> npt.NDArray[np.int32]:
    array: npt.NDArray[np.int32] = np.ctypeslib.as_array(pointer, (length,))
    return array


def _context_parameters(threads: int, *, flash: bool) -> Any:
    parameters = lib.llama_context_default_params()
    parameters.flash_attn_type = (
        lib.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    parameters.n_ctx = (_ORIGINAL + 1) * _ROWS
    parameters.n_seq_max = _ORIGINAL + 1
    parameters.n_batch = parameters.n_ubatch = 512
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.kv_unified = False
    return parameters


def main(gguf: str, text: str, threads: str) -> None:
    """Take turns until the input ends."""
    llama = Llama(Path(gguf), Path(text).read_text(), int(threads))
    serve({name: getattr(llama, name) for name in ("about", "decode", "prefill", "perplexity")})


if __name__ == "__main__":
    main(*sys.argv[1:])
