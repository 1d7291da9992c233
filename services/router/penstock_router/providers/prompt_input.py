"""A prompt as our inference reads it, and as its answers echo it."""

import math
from collections.abc import Iterator

from penstock.inference.v1 import generation_pb2
from penstock.router.v1 import chat_completion_pb2, embedding_pb2

from penstock_router.providers import Delta, GenerationCall, Prompt

TokenLogprob = chat_completion_pb2.TokenLogprob


def prompt_input(prompt: Prompt) -> generation_pb2.GenerationInput:
    """Write what is continued: the very tokens that were sent, if they were."""
    if prompt.token_ids:
        return generation_pb2.GenerationInput(tokens=embedding_pb2.TokenIds(ids=prompt.token_ids))
    return generation_pb2.GenerationInput(prompt=prompt.text)


def echoes(call: GenerationCall, started: generation_pb2.GenerationStarted) -> Iterator[Delta]:
    """Give the prompt as the beginning of each answer, if that is wanted, with log probabilities if those are."""
    for prompt in call.prompts:
        scores: list[TokenLogprob] = []
        if prompt.echo and call.parameters.logprobs:
            utf8 = started.first_token_utf8
            first = TokenLogprob(token=utf8.decode(errors="replace"), logprob=math.nan, utf8=utf8)
            scores = [first, *started.prompt_logprobs]
        if prompt.echo:
            for index in range(call.answers):
                yield Delta(index, prompt.text, 0, scores)
