"""Corrections of what an operation was charged: what stands is reversed, and what is right is posted.

Pure: what is needed was read before, and what is given is written after.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.billing.v1 import hold_pb2

from penstock_billing import ledger, refusals
from penstock_billing.commands import Settle
from penstock_billing.ledger import Entry, Hold
from penstock_billing.prices import PriceBook
from penstock_billing.usage import UsageLine, price_usage, total_nanos

# Each takes two postings of the 255 that an operation can have.
CORRECTIONS_MAX = 100
HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class CorrectionRequest:
    """What an operation truly used, in place of what it is charged. The attempts are wire messages, as of a Settle."""

    organization: str
    operation_id: str
    attempts: Sequence[hold_pb2.AttemptUsage]
    reason: str
    request_id: str
    actor: str

    @property
    def digest(self) -> bytes:
        """Tell requests apart, whoever makes them."""
        attempts = [attempt.SerializeToString(deterministic=True) for attempt in self.attempts]
        body = repr((self.operation_id, attempts, self.reason)).encode()
        return hashlib.blake2b(body, digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Correction:
    """What was done; its fields are the columns it is kept in."""

    organization: str
    request_id: str
    operation_id: str
    number: int
    reversed_nanos: int
    cost_nanos: int
    reason: str
    actor: str
    create_us: int

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"organizations/{self.organization}/usageCorrections/{self.request_id}"


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction, and what it posts."""

    correction: Correction
    hold: Hold
    entries: Sequence[Entry]
    lines: Sequence[UsageLine]


def correct(
    request: CorrectionRequest, hold: Hold, lines: Sequence[UsageLine], book: PriceBook, now_us: int
) -> Corrected:
    """Reverse the lines that stand of all that an operation has, and post the right ones.

    Raises:
        InvalidArgument: nothing stands and nothing is to be posted, a try comes twice, it costs more than a million
            dollars, or it was corrected 100 times (INVALID_ARGUMENT).
        FailedPrecondition: a SKU has no price (PRICE_UNKNOWN).
    """
    wrong = standing(lines)
    if not wrong and not request.attempts:
        raise refusals.invalid("Nothing of this operation is charged.", "attempts")
    number = (max(line.posting for line in lines) + 1) // 2 + 1
    if number > CORRECTIONS_MAX:
        raise refusals.invalid(f"An operation is corrected at most {CORRECTIONS_MAX} times.", "operation_id")
    right = _right_lines(request, hold, lines[0], book, now_us)
    cost_nanos = total_nanos(right)
    refusals.check_amount(cost_nanos + sum(line.avoided_cost_nanos for line in right))
    corrected, entries = ledger.correct(hold, cost_nanos, now_us)
    return Corrected(
        correction=Correction(
            organization=request.organization,
            request_id=request.request_id,
            operation_id=request.operation_id,
            number=number,
            reversed_nanos=hold.cost_nanos,
            cost_nanos=cost_nanos,
            reason=request.reason,
            actor=request.actor,
            create_us=now_us,
        ),
        hold=corrected,
        entries=entries,
        lines=[*(line.reversed(now_us) for line in wrong), *(line.moved(2 * number) for line in right)],
    )


def standing(lines: Sequence[UsageLine]) -> list[UsageLine]:
    """Give the lines that no other takes back: those of the last posting, unless it is a reversal."""
    last = max(line.posting for line in lines)
    return [line for line in lines if line.posting == last and not line.is_reversal]


def _right_lines(
    request: CorrectionRequest, hold: Hold, line: UsageLine, book: PriceBook, now_us: int
) -> list[UsageLine]:
    """Price what was truly used, as the settlement was; what is not usage is as on any line of the operation."""
    settle = Settle(
        payer=hold.payer,
        operation_id=hold.operation_id,
        attempts=request.attempts,
        end_us=line.end_us,
        model=line.model,
        operation=line.operation,
        metadata=line.metadata,
        usage_hash=hold.usage_hash,
    )
    return [each._replace(late=line.late) for each in price_usage(settle, hold, book, now_us)]
