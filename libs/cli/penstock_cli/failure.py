"""What a command says when it cannot do what it was asked."""

REQUEST_FAILED = 1
STACK_UNREACHABLE = 3


class Failure(Exception):  # noqa: N818 - it ends a command, and is no defect of it
    """Ends a command with one line, a hint what to do about it, and an exit code.

    Args:
        message: what failed.
        hint: what to do about it; may have several lines.
        exit_code: 1 the request failed, 3 the stack is not reached (2 is typer's, for wrong usage).
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = REQUEST_FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
