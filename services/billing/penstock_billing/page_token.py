"""Page tokens (AIP-158): where the next page begins, tied to the question it continues."""

import base64
import hashlib
import json
from binascii import Error as Base64Error
from collections.abc import Sequence

from servicekit.errors import InvalidArgument, ServiceError

PAGE_SIZE_DEFAULT = 100
INTEGER_MAX = 2**63

Position = list[int | str]


def page_size(asked: int) -> int:
    """Give the size of a page; 0 asks for the default."""
    return asked or PAGE_SIZE_DEFAULT


def write_token(position: Position, question: Sequence[object]) -> str:
    """Write where the next page of a question begins."""
    body = json.dumps([_digest(question), *position], separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode()


def read_token(token: str, question: Sequence[object], types: Sequence[type]) -> Position | None:
    """Read where the page begins; None for the first one.

    Args:
        token: as a caller sent it.
        question: all that a page depends on but its size.
        types: of the position's parts.

    Raises:
        InvalidArgument: it is not a token, or one of another question (INVALID_ARGUMENT).
    """
    if not token:
        return None
    try:
        body = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (Base64Error, ValueError) as error:
        raise _bad_token() from error
    if not isinstance(body, list) or [type(part) for part in body] != [str, *types]:
        raise _bad_token()
    digest, *position = body
    if digest != _digest(question) or not all(_is_storable(part) for part in position):
        raise _bad_token()
    return position


def _is_storable(part: int | str) -> bool:
    return isinstance(part, str) or abs(part) < INTEGER_MAX


def _digest(question: Sequence[object]) -> str:
    return hashlib.blake2b(repr(list(question)).encode(), digest_size=6).hexdigest()


def _bad_token() -> ServiceError:
    return InvalidArgument(
        "INVALID_ARGUMENT",
        "The page token is not one of this request's.",
        metadata={"field": "page_token"},
    )
