"""Why the batch loop does not answer."""

from datetime import timedelta

from servicekit.errors import DeadlineExceeded, Internal, InvalidArgument, ResourceExhausted, Unavailable

RETRY_SECONDS_MIN = 1.0
RETRY_SECONDS_MAX = 30.0


def check_context(prompt_tokens: int, context_tokens: int, *, counted: bool = True) -> None:
    """Refuse a prompt that leaves no room for an answer (CONTEXT_LENGTH_EXCEEDED).

    What is not counted to its end has at least so many tokens.
    """
    if prompt_tokens >= context_tokens:
        raise InvalidArgument(
            "CONTEXT_LENGTH_EXCEEDED",
            f"The prompt has {'' if counted else 'at least '}{prompt_tokens} tokens; "
            f"the context window holds {context_tokens}, the answer included.",
            metadata={"prompt_tokens": str(prompt_tokens), "context_tokens": str(context_tokens)},
        )


def overloaded(waiting_max: int, seconds: float) -> ResourceExhausted:
    """Say that the queue is full, and in how many seconds it may not be."""
    retry_after = timedelta(seconds=min(max(seconds, RETRY_SECONDS_MIN), RETRY_SECONDS_MAX))
    return ResourceExhausted(
        "OVERLOADED",
        "Too many requests wait for a slot.",
        metadata={"queue": "generate", "limit": str(waiting_max)},
        retry_after=retry_after,
    )


def expired() -> DeadlineExceeded:
    """Say that the caller waits no longer."""
    return DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passes before the answer is whole.")


def not_finite() -> Internal:
    """Say that the model has no next token: its weights, or its adapter's, lead to numbers that overflow."""
    return Internal(
        "INTERNAL", "The model computed numbers that are not finite, and no token follows from them."
    )


def draining() -> Unavailable:
    """Say that the process is stopping."""
    return Unavailable("DRAINING", "The process is stopping; another replica answers.")
