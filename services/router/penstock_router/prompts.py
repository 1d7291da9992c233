"""Prompts of completions in the places of a conversation's messages, which are screened and redacted there. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from penstock.router.v1 import chat_completion_pb2, chat_message_pb2, completion_pb2

from penstock_router.providers import Prompt

MAX_TOKENS_DEFAULT = 16

# Fields that both messages have, under the same name and meaning.
_SHARED = (
    "temperature",
    "top_p",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "top_k",
    "min_p",
    "repetition_penalty",
    "min_tokens",
)


def as_chat(
    parameters: completion_pb2.CompletionParameters, prompts: Sequence[Prompt]
) -> chat_completion_pb2.ChatCompletionParameters:
    """Give the parameters as a chat's, with a turn for each prompt. The cache is neither read nor written."""
    chat = chat_completion_pb2.ChatCompletionParameters(
        model=parameters.model,
        messages=[
            chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_USER, text=prompt.text)
            for prompt in prompts
        ],
        max_completion_tokens=parameters.max_tokens
        if parameters.HasField("max_tokens")
        else MAX_TOKENS_DEFAULT,
        stop=parameters.stop,
        logit_bias=parameters.logit_bias,
        user=parameters.user,
        ignore_eos=parameters.ignore_eos,
        priority=parameters.priority,
        stream_options=parameters.stream_options,
        cache_control=chat_completion_pb2.CacheControl(no_cache=True, no_store=True),
    )
    for name in _SHARED:
        if parameters.HasField(name):
            setattr(chat, name, getattr(parameters, name))
    if parameters.HasField("response_format"):
        chat.response_format.CopyFrom(parameters.response_format)
    if parameters.HasField("logprobs"):
        chat.logprobs, chat.top_logprobs = True, parameters.logprobs
    return chat


def as_screened(
    prompts: Sequence[Prompt], messages: Sequence[chat_message_pb2.ChatMessage]
) -> tuple[Prompt, ...]:
    """Give prompts with the texts that screening left; tokens of a text that was changed say too much."""
    pairs = zip(prompts, messages, strict=False)  # without prompts the messages are a conversation
    return tuple(
        prompt if prompt.text == message.text else replace(prompt, text=message.text, token_ids=())
        for prompt, message in pairs
    )


def as_completion(
    said: "chat_completion_pb2.ChatCompletion | chat_completion_pb2.ChatCompletionChunk",
) -> completion_pb2.Completion:
    """Give a chat's answers, or what is new in them, as a completion's."""
    completion = completion_pb2.Completion(
        id=said.id,
        created=said.created,
        model=said.model,
        system_fingerprint=said.system_fingerprint,
        choices=[
            completion_pb2.CompletionChoice(
                index=choice.index,
                text=choice.message.text
                if isinstance(choice, chat_completion_pb2.ChatChoice)
                else choice.content,
                finish_reason=choice.finish_reason,
                logprobs=choice.logprobs,
            )
            for choice in said.choices
        ],
    )
    if said.HasField("usage"):
        completion.usage.CopyFrom(said.usage)
    if said.HasField("receipt"):
        completion.receipt.CopyFrom(said.receipt)
    if isinstance(said, chat_completion_pb2.ChatCompletionChunk):
        completion.rate_limits.extend(said.rate_limits)
    return completion
