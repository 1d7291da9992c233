"""What a usage line adds to sums, as SQL: what folds lines and what reads those not folded yet count alike."""

from collections.abc import Callable, Iterator

from sqlalchemy import ColumnElement, FromClause, and_, case, exists, func, literal, literal_column

from penstock_billing.report_tables import TAG_CHARACTERS_MAX, usage_pending
from penstock_billing.tables import usage_lines
from penstock_billing.usage import NUMBERS, POSTING_LINES

# Of the column that says when lines were posted.
PostedWhen = Callable[[ColumnElement[int]], ColumnElement[bool]]


def _of_operation(lines: FromClause, other: FromClause) -> Iterator[ColumnElement[bool]]:
    """Find the lines of another row's operation by their key.

    What is appended to the organization is nothing. It keeps PostgreSQL, while it has no statistics, from the index by
    organization and time, which would find all lines that the organization has.
    """
    yield lines.c.operation_id == other.c.operation_id
    yield lines.c.organization + literal_column("''") == other.c.organization


_posting = usage_lines.c.attempt // POSTING_LINES
# A reversal counts backwards.
_one = case((_posting % 2 == 1, -1), else_=1)


def line_sums(is_posted: PostedWhen) -> tuple[ColumnElement[int], ...]:
    """Give what SUMS sums of a line.

    Args:
        is_posted: says of all lines that are read when they were posted, so that no other day is looked at.
    """
    later = usage_lines.alias("later")
    is_last_attempt = ~exists().where(
        *_of_operation(later, usage_lines),
        later.c.attempt > usage_lines.c.attempt,
        later.c.attempt // POSTING_LINES == _posting,
        # A posting has one time.
        later.c.post_us == usage_lines.c.post_us,
        is_posted(later.c.post_us),
    )
    return (
        case((is_last_attempt, _one), else_=0),
        _one,
        *(usage_lines.c[name] for name in NUMBERS),
    )


pending_lines = usage_lines.join(
    usage_pending,
    and_(
        *_of_operation(usage_lines, usage_pending),
        usage_pending.c.attempt == usage_lines.c.attempt,
        usage_pending.c.post_us == usage_lines.c.post_us,
    ),
)


def tag_of(tag_key: str) -> ColumnElement[str]:
    """Give the value of a label of a line; empty where it has none."""
    value = usage_lines.c.metadata[tag_key].as_string()
    return func.coalesce(func.substr(value, 1, TAG_CHARACTERS_MAX), "")


def start_of(column: ColumnElement[int], span_us: int) -> ColumnElement[int]:
    """Give the beginning of the hour or day of a time."""
    # Written out, because two parameters of equal value are not one expression to GROUP BY.
    return column - column % literal(span_us, column.type, literal_execute=True)
