"""The ledger and its store against a model that fits on a page, by Hypothesis.

Every step is a real transaction on SQLite. After each one the audit must find nothing, every counter must be what the
model says, and no budget may be overrun by anything but usage that came after its hold had closed.
"""

import sqlite3
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from penstock.billing.v1 import hold_pb2
from penstock_billing.audit import verify
from penstock_billing.books import Outcome
from penstock_billing.budget import Budget, Period
from penstock_billing.budget_store import create_budget, get_budget
from penstock_billing.clock import DAY_US, SECOND_US, to_us
from penstock_billing.commands import Authorize, Command, Extend, Release, Settle
from penstock_billing.correction import CorrectionRequest
from penstock_billing.correction_store import correct_usage
from penstock_billing.fold import fold
from penstock_billing.ledger import Hold, HoldState, Payer
from penstock_billing.prices import read_price_book
from penstock_billing.sqlite_writer import run_on_sqlite
from penstock_billing.store import read_overdue, transact
from penstock_billing.transactions import MIGRATIONS
from penstock_billing.writers import drive
from servicekit.database import _upgrade
from servicekit.errors import ServiceError
from sqlalchemy import create_engine

BOOK = read_price_book('prices: [{sku: s, valid_from: 2025-01-01T00:00:00Z, input: "1", output: "2"}]')
INPUT_NANOS, OUTPUT_NANOS = 1000, 2000
BEGINNING_US = to_us(datetime(2026, 1, 1, tzinfo=UTC))

# An operation is picked by how long ago it was first seen; negative, it is new.
PICKS = st.integers(-3, 9)
USERS = st.sampled_from(["ann", "bob"])
TOKENS = st.integers(0, 20)
LEASES = st.sampled_from([1, 20, 20, 1000])
AUTHORIZATIONS = st.lists(st.tuples(PICKS, USERS, TOKENS, TOKENS, LEASES), min_size=1, max_size=5)
SETTLEMENTS = st.lists(st.tuples(PICKS, USERS, TOKENS), min_size=1, max_size=5)


@dataclass
class Known:
    """What the model knows of an operation."""

    user: str
    state: HoldState
    held_nanos: int = 0
    expire_us: int = 0
    body: object = None
    max_tokens: int = 0
    output: int = 0
    # What was charged when; corrections charge again.
    charges: list[tuple[int, int]] = field(default_factory=list)
    stands: bool = False
    unbacked_nanos: int = 0

    @property
    def cost_nanos(self) -> int:
        return sum(nanos for _, nanos in self.charges)


@cache
def _empty_store() -> sqlite3.Connection:
    """Migrate a store once, to copy it from."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        _upgrade(connection, MIGRATIONS)
    store = engine.raw_connection().driver_connection
    assert isinstance(store, sqlite3.Connection)
    return store


class BillingMachine(RuleBasedStateMachine):
    @initialize(
        whole=st.integers(100_000, 400_000), ann=st.integers(0, 100_000), day=st.integers(40_000, 200_000)
    )
    def begin(self, whole: int, ann: int, day: int) -> None:
        self.engine = create_engine("sqlite://")
        connection = self.engine.raw_connection().driver_connection
        assert connection is not None
        _empty_store().backup(connection)
        self.now_us = BEGINNING_US
        self.known: dict[str, Known] = {}
        self.corrections = 0
        self.budgets = {
            "whole": self._budget("whole", "acme", whole, Period.ALL_TIME),
            "ann": self._budget("ann", "acme/user/ann", ann, Period.ALL_TIME),
            "day": self._budget("day", "acme", day, Period.DAY),
        }
        with self.engine.begin() as connection:
            for budget in self.budgets.values():
                create_budget(connection, budget)

    @rule(lines_max=st.integers(1, 4))
    def fold(self, lines_max: int) -> None:
        with self.engine.begin() as connection:
            fold(connection, ("project",), lines_max)

    @rule(items=AUTHORIZATIONS)
    def authorize(self, items: list[tuple[int, str, int, int, int]]) -> None:
        named = [(self._pick(pick), *rest) for pick, *rest in items]
        commands = [
            Authorize(
                Payer("acme", user), name, ("s",), prompt, most, 1, lease * SECOND_US, 0, repr(item).encode()
            )
            for item in named
            for name, user, prompt, most, lease in [item]
        ]
        for item, outcome in zip(named, self._record(commands), strict=True):
            self._expect(outcome, self._authorized(*item))

    @rule(items=SETTLEMENTS)
    def settle(self, items: list[tuple[int, str, int]]) -> None:
        picked = [(self._pick(pick), user, output) for pick, user, output in items]
        named = [(name, user, min(output, self._granted(name))) for name, user, output in picked]
        commands = [
            Settle(Payer("acme", user), name, [_usage(output)], self.now_us, "m", "chat", {}, bytes([output]))
            for name, user, output in named
        ]
        for item, outcome in zip(named, self._record(commands), strict=True):
            self._expect(outcome, self._settled(*item))

    @rule(pick=PICKS)
    def release(self, pick: int) -> None:
        name = self._pick(pick)
        (outcome,) = self._record([Release(Payer("acme", "ann"), name)])
        self._expect(outcome, self._released(name))

    @rule(pick=PICKS, output=st.none() | TOKENS)
    def correct(self, pick: int, output: int | None) -> None:
        name = self._pick(pick)
        attempts = [] if output is None else [_usage(output)]
        self.corrections += 1
        request = CorrectionRequest("acme", name, attempts, "wrong", f"c{self.corrections}", "ann")
        expected = self._corrected(name, output)
        assert self._correct(request) == expected
        # Who asks again gets the same answer, and nothing is posted twice.
        assert self._correct(request) == expected

    @rule(pick=PICKS, more_nanos=st.integers(0, 50_000), seconds=st.integers(0, 100))
    def extend(self, pick: int, more_nanos: int, seconds: int) -> None:
        name = self._pick(pick)
        known = self.known.get(name)
        amount_nanos = (known.held_nanos if known else 0) + more_nanos
        expire_us = self.now_us + seconds * SECOND_US
        (outcome,) = self._record([Extend(Payer("acme", "ann"), name, expire_us, amount_nanos, 0)])
        self._expect(outcome, self._extended(name, amount_nanos, expire_us))

    @rule(seconds=st.sampled_from([1, 30, 30, 86_400]))
    def let_time_pass(self, seconds: int) -> None:
        self.now_us += seconds * SECOND_US
        with self.engine.begin() as connection:
            overdue = read_overdue(connection, self.now_us, 0, 100)
        if overdue:
            self._record(list(overdue))
        for known in self.known.values():
            if known.state is HoldState.OPEN and known.expire_us <= self.now_us:
                known.state = HoldState.EXPIRED

    @invariant()
    def the_books_are_right(self) -> None:
        with self.engine.begin() as connection:
            assert verify(connection, self.now_us) == []

    @invariant()
    def budgets_are_what_the_model_says_and_never_overrun(self) -> None:
        for budget_id, model in self.budgets.items():
            with self.engine.begin() as connection:
                budget = get_budget(connection, "acme", budget_id)
            budget.roll(self.now_us)
            assert (budget.spent_nanos, budget.held_nanos) == (self._spent(model), self._held(model))
            unbacked = sum(known.unbacked_nanos for known in self._of(model))
            assert budget.spent_nanos + budget.held_nanos <= budget.amount_nanos + unbacked

    def _record(self, commands: list[Command]) -> list[Outcome]:
        with self.engine.begin() as connection:
            store = connection.connection.driver_connection
            _, outcomes = drive(transact(BOOK, commands, self.now_us), partial(run_on_sqlite, store))
        return outcomes

    def _correct(self, request: CorrectionRequest) -> str | tuple[int, int]:
        try:
            with self.engine.begin() as connection:
                made = correct_usage(connection, request, BOOK, self.now_us)
        except ServiceError as error:
            return error.reason
        return made.reversed_nanos, made.cost_nanos

    def _expect(self, outcome: Outcome, expected: str | Known) -> None:
        if isinstance(outcome, ServiceError):
            assert outcome.reason == expected
            return
        assert isinstance(outcome, Hold)
        assert isinstance(expected, Known)
        assert outcome.state is expected.state
        assert outcome.cost_nanos == expected.cost_nanos
        assert outcome.max_tokens == expected.max_tokens

    def _authorized(self, operation: str, user: str, prompt: int, most: int, lease: int) -> str | Known:
        body = (operation, user, prompt, most, lease)
        known = self.known.get(operation)
        if known is not None:
            if known.body not in (None, body):
                return "REQUEST_ID_REUSED"
            return self._copy(known) if known.state is HoldState.OPEN else "HOLD_NOT_OPEN"
        left = min(self._left(budget) for budget in self._applying(user)) - prompt * INPUT_NANOS
        if left < min(most, 1) * OUTPUT_NANOS:
            return "BUDGET_EXCEEDED"
        granted = min(most, left // OUTPUT_NANOS)
        held_nanos = prompt * INPUT_NANOS + granted * OUTPUT_NANOS
        expire_us = self.now_us + lease * SECOND_US
        self.known[operation] = Known(user, HoldState.OPEN, held_nanos, expire_us, body, granted)
        return self._copy(self.known[operation])

    def _settled(self, operation: str, user: str, output: int) -> str | Known:
        known = self.known.setdefault(operation, Known(user, HoldState.RELEASED))
        cost_nanos = output * OUTPUT_NANOS
        if known.state is HoldState.SETTLED:
            return self._copy(known) if known.output == output else "REQUEST_ID_REUSED"
        if known.state is not HoldState.OPEN:
            known.unbacked_nanos = cost_nanos
        known.state, known.output, known.stands = HoldState.SETTLED, output, True
        known.charges.append((self.now_us, cost_nanos))
        return self._copy(known)

    def _released(self, operation: str) -> str | Known:
        known = self.known.setdefault(operation, Known("ann", HoldState.RELEASED))
        if known.state is HoldState.SETTLED:
            return "HOLD_NOT_OPEN"
        if known.state is HoldState.OPEN:
            known.state = HoldState.RELEASED
        return self._copy(known)

    def _extended(self, operation: str, amount_nanos: int, expire_us: int) -> str | Known:
        known = self.known.get(operation)
        if known is None:
            return "RESOURCE_NOT_FOUND"
        if known.state is not HoldState.OPEN:
            return "HOLD_NOT_OPEN"
        more = amount_nanos - known.held_nanos
        if more > 0 and any(self._left(budget) < more for budget in self._applying(known.user)):
            return "BUDGET_EXCEEDED"
        known.held_nanos = max(known.held_nanos, amount_nanos)
        known.expire_us = max(known.expire_us, expire_us)
        return self._copy(known)

    def _corrected(self, operation: str, output: int | None) -> str | tuple[int, int]:
        known = self.known.get(operation)
        if known is None or known.state is not HoldState.SETTLED:
            return "RESOURCE_NOT_FOUND"
        if output is None and not known.stands:
            return "INVALID_ARGUMENT"
        wrong_nanos, right_nanos = known.cost_nanos, (output or 0) * OUTPUT_NANOS
        known.charges += [(self.now_us, -wrong_nanos), (self.now_us, right_nanos)]
        known.stands = output is not None
        known.unbacked_nanos += max(0, right_nanos - wrong_nanos)
        return wrong_nanos, right_nanos

    def _pick(self, pick: int) -> str:
        """Name a new operation, or one of the last ten."""
        if pick < 0 or not self.known:
            return f"op{len(self.known)}{'abc'[pick % 3]}"
        return list(self.known)[-1 - pick % len(self.known)]

    def _granted(self, operation: str) -> int:
        """Give what the caller may generate: what was granted, or anything where nothing was."""
        known = self.known.get(operation)
        return known.max_tokens if known and known.body else 20

    def _applying(self, user: str) -> list[Budget]:
        return [budget for budget in self.budgets.values() if budget.subject in ("acme", f"acme/user/{user}")]

    def _of(self, budget: Budget) -> list[Known]:
        return [known for known in self.known.values() if budget in self._applying(known.user)]

    def _left(self, budget: Budget) -> int:
        return budget.amount_nanos - self._spent(budget) - self._held(budget)

    def _spent(self, budget: Budget) -> int:
        since = self.now_us - self.now_us % DAY_US if budget.period is Period.DAY else 0
        charges = [charge for known in self._of(budget) for charge in known.charges]
        return sum(nanos for at_us, nanos in charges if at_us >= since)

    def _held(self, budget: Budget) -> int:
        return sum(known.held_nanos for known in self._of(budget) if known.state is HoldState.OPEN)

    @staticmethod
    def _copy(known: Known) -> Known:
        return replace(known, charges=list(known.charges))

    @staticmethod
    def _budget(budget_id: str, subject: str, amount_nanos: int, period: Period) -> Budget:
        start_us = period.start_us(BEGINNING_US)
        return Budget("acme", budget_id, subject, "", amount_nanos, period, BEGINNING_US, start_us, 0, 0)


def _usage(output: int) -> hold_pb2.AttemptUsage:
    tokens = hold_pb2.TokenUsage(output=output)
    return hold_pb2.AttemptUsage(sku="s", tokens=tokens, outcome=hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED)


TestBilling = BillingMachine.TestCase
# A failure is printed as it was found: to shrink steps that each commit to a store would take minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
TestBilling.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, phases=PHASES)
