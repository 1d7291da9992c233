"""A day in the life of billing, simulated: one thread, one seed, a clock that jumps, a network that lies, crashes.

Routers admit, extend, settle, release and die; operators correct what was settled; messages are lost, doubled, delayed
and overtake each other; two replicas with clocks of their own crash before a commit, and after one before the answer.
What is asked of it is checked against what the routers know, by arithmetic that shares nothing with the service's.

`PENSTOCK_SIMULATION_OPERATIONS=1000000 pytest services/billing/tests/test_simulation.py` is the full run;
`PENSTOCK_SIMULATION_SEED` repeats one.
"""

import heapq
import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from penstock.billing.v1 import hold_pb2
from penstock_billing.audit import verify
from penstock_billing.budget import Budget, Period
from penstock_billing.budget_store import create_budget, get_budget
from penstock_billing.clock import DAY_US, SECOND_US, to_us
from penstock_billing.commands import Authorize, Command, Extend, Release, Settle
from penstock_billing.correction import Correction, CorrectionRequest
from penstock_billing.correction_store import correct_usage
from penstock_billing.fold import fold
from penstock_billing.ledger import Hold, HoldState, Payer
from penstock_billing.limit import Limit, Scope, Unit
from penstock_billing.limit_store import create_limit
from penstock_billing.prices import read_price_book
from penstock_billing.sqlite_writer import run_on_sqlite
from penstock_billing.steps import Step
from penstock_billing.store import read_overdue, transact
from penstock_billing.tables import limit_counts
from penstock_billing.transactions import MIGRATIONS
from penstock_billing.writers import drive
from servicekit.errors import ServiceError
from servicekit.migration import upgrade
from sqlalchemy import create_engine, select
from sqlalchemy.pool import StaticPool

OPERATIONS = int(os.environ.get("PENSTOCK_SIMULATION_OPERATIONS", "12000"))
OPERATIONS_A_SEED = 50_000
SEED = os.environ.get("PENSTOCK_SIMULATION_SEED", "")
SEEDS = [int(SEED)] if SEED else range(max(3, OPERATIONS // OPERATIONS_A_SEED))

# Thousandths of a nano a token, so that lines have something to round.
PRICES = {
    "a": (Fraction("37.5"), Fraction("0.123456"), Fraction("150.5")),
    "b": (Fraction(3), Fraction(3), Fraction("8.25")),
}
BOOK = read_price_book(
    'prices: [{sku: a, valid_from: 2000-01-01T00:00:00Z, input: "0.0375", cache_read: "0.000123456", output: "0.1505"},'
    ' {sku: b, valid_from: 2000-01-01T00:00:00Z, input: "0.003", output: "0.00825"}]'
)
BEGINNING_US = to_us(datetime(2026, 3, 1, tzinfo=UTC))
LEASE_US = 30 * SECOND_US
BUDGETS = (("all", [10**8, 10**12], 0), ("day", [10**7, 10**9], 1), ("rolling", [10**7, 10**9], 5))
GRACE_US = 10 * SECOND_US
RETRY_US = 2 * SECOND_US
IN_FLIGHT_MAX = 400
TOKENS_A_MINUTE = 1_000_000
ANSWERED = "answered"


class CrashError(Exception):
    """A replica dies."""


@dataclass
class Operation:
    """What its router knows of an operation."""

    name: str
    payer: Payer
    prompt: int
    asked: int
    granted: int = 0
    usage: Settle | None = None
    cost_nanos: int = 0
    closed: str = ""
    answers: dict[str, Any] = field(default_factory=dict)


@dataclass
class World:
    """What may go wrong, each with its own probability in each simulation."""

    rng: random.Random

    def __post_init__(self) -> None:
        chance = self.rng.choice
        self.lost, self.doubled = chance([0, 0.02, 0.2]), chance([0, 0.05, 0.3])
        self.crash_before, self.crash_after = chance([0, 0.02, 0.1]), chance([0, 0.02, 0.1])
        self.dies, self.jumps = chance([0, 0.02, 0.2]), chance([0, 0.0005, 0.005])
        self.delay_us = chance([1_000, 50_000, 5_000_000])


class Simulation:
    """Events in the order of their time. Time is the world's; each replica reads a clock of its own."""

    def __init__(self, seed: int, path: Path) -> None:
        self.rng = random.Random(seed)
        self.world = World(self.rng)
        self.now_us = BEGINNING_US
        self.skews_us = [0, 0]
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.numbers = itertools.count()
        self.inbox: list[tuple[Operation, Command]] = []
        self.operations: list[Operation] = []
        self.executed = 0
        self.unbacked_nanos = 0
        self.running: set[str] = set()
        self.known: set[str] = set()
        self.admitted: list[tuple[int, int, Operation]] = []
        self.settled: dict[str, Operation] = {}
        self.corrected: set[str] = set()
        self.calm = False
        self.engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool)
        with self.engine.begin() as connection:
            upgrade(connection, MIGRATIONS)
        with self.engine.begin() as connection:
            for name, amounts, period in BUDGETS:
                amount = self.rng.choice(amounts)
                budget = Budget("acme", name, "acme", "", amount, Period(period), BEGINNING_US, 0, 0, 0)
                create_budget(connection, budget)
            fields = (Scope.ORGANIZATION, "", "", "", BEGINNING_US)
            create_limit(connection, Limit("acme", "running", "", Unit.IN_FLIGHT, 0, IN_FLIGHT_MAX, *fields))
            create_limit(connection, Limit("acme", "tpm", "", Unit.TOKENS, 60_000, TOKENS_A_MINUTE, *fields))
        with self.engine.connect() as connection:
            self.store: Any = connection.connection.driver_connection
        for pragma in ("synchronous=OFF", "journal_mode=MEMORY"):
            self.store.execute(f"PRAGMA {pragma}")
        self.store.isolation_level = None

    def run(self, operations: int) -> None:
        """Let things happen, then calm down until everything has ended."""
        self._at(0, self._arrive)
        self._at(0, self._serve)
        self._at(SECOND_US, self._sweep)
        self._at(SECOND_US, self._find_fault)
        checkpoint = 1000
        while self.executed < operations:
            self._step()
            if self.executed >= checkpoint:
                self._audit()
                checkpoint *= 3
        self.calm = True
        self.skews_us = [0, 0]
        end_us = self.now_us + 3 * DAY_US  # clocks may have been days ahead
        while self.now_us < end_us:
            self._step()
        self._check_the_end()

    def _step(self) -> None:
        self.now_us, _, event = heapq.heappop(self.events)
        event()

    def _at(self, after_us: int, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now_us + max(1, after_us), next(self.numbers), event))

    # --- routers -------------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        if self.calm:
            return
        rng = self.rng
        payer = Payer("acme", rng.choice(["ann", "bob"]))
        operation = Operation(f"op{len(self.operations)}", payer, rng.randrange(300), rng.randrange(500))
        self.operations.append(operation)
        body = repr((operation.prompt, operation.asked)).encode()
        self._send(
            operation,
            Authorize(
                payer, operation.name, ("a", "b"), operation.prompt, operation.asked, 1, LEASE_US, 0, body
            ),
        )
        self._at(rng.randrange(6_000), self._arrive)

    def _send(self, operation: Operation, command: Command) -> None:
        """Send a command until it is answered."""
        if type(command).__name__ in operation.answers:
            return
        for _ in range(1 + self._chance(self.world.doubled)):
            if not self._chance(self.world.lost):
                self._at(self._delay(), partial(self.inbox.append, (operation, command)))
        self._at(RETRY_US + 2 * self._delay(), partial(self._send, operation, command))

    def _answer(self, operation: Operation, command: Command, outcome: Hold | ServiceError) -> None:
        kind = type(command).__name__
        if kind in operation.answers:
            return
        operation.answers[kind] = outcome
        if isinstance(command, Authorize | Extend) and isinstance(outcome, Hold):
            operation.granted = max(operation.granted, outcome.max_tokens)
            if not self._chance(self.world.dies):
                self._at(self.rng.choice([1_000, SECOND_US, 20 * SECOND_US]), partial(self._go_on, operation))

    def _go_on(self, operation: Operation) -> None:
        if operation.closed:
            return
        what = self.rng.random()
        if what < 0.2 and "Extend" not in operation.answers:
            expire_us = self.now_us + LEASE_US
            more = operation.granted + 200
            self._send(operation, Extend(operation.payer, operation.name, expire_us, 0, 0, more))
        elif what < 0.3:
            operation.closed = "released"
            self._send(operation, Release(operation.payer, operation.name))
        else:
            operation.closed = "settled"
            operation.usage, operation.cost_nanos = self._use(operation)
            self._send(operation, operation.usage)

    def _use(self, operation: Operation) -> tuple[Settle, int]:
        """Use at most what was granted, after a try that failed, and price it."""
        rng, sku = self.rng, self.rng.choice("ab")
        cached = rng.randint(0, operation.prompt)
        output = rng.randint(0, operation.granted)
        tokens = hold_pb2.TokenUsage(input=operation.prompt - cached, cache_read=cached, output=output)
        failed = hold_pb2.AttemptUsage(
            sku="a", outcome=hold_pb2.ATTEMPT_OUTCOME_FAILED, tokens=hold_pb2.TokenUsage(input=9)
        )
        served = hold_pb2.AttemptUsage(
            attempt=1, sku=sku, tokens=tokens, outcome=hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED
        )
        attempts = [failed, served] if self._chance(0.2) else [served]
        settle = Settle(
            operation.payer,
            operation.name,
            attempts,
            self.now_us,
            "m",
            "chat",
            {},
            repr(tokens).encode()[:16],
        )
        input_price, cached_price, output_price = PRICES[sku]
        exact = tokens.input * input_price + cached * cached_price + output * output_price
        return settle, round(exact)  # of a fraction: half to even

    # --- operators -----------------------------------------------------------------------------------------------

    def _find_fault(self) -> None:
        """Correct an operation that was settled, or take it back as a whole."""
        if self.calm:
            return
        if self.settled:
            operation = self.rng.choice(list(self.settled.values()))
            right, cost_nanos = self._use(operation)
            if self._chance(0.2):
                right, cost_nanos = right._replace(attempts=[]), 0
            request_id = f"c{next(self.numbers)}"
            request = CorrectionRequest("acme", operation.name, right.attempts, "wrong", request_id, "ann")
            for _ in range(1 + self._chance(self.world.doubled)):
                if not self._chance(self.world.lost):
                    self._at(self._delay(), partial(self._correct, operation, request, cost_nanos))
        self._at(self.rng.randrange(SECOND_US), self._find_fault)

    def _correct(self, operation: Operation, request: CorrectionRequest, cost_nanos: int) -> None:
        """Be a replica that corrects, or crashes before the commit. A copy that comes later changes nothing."""
        is_copy = request.request_id in self.corrected
        made = self._made(request)
        if isinstance(made, ServiceError):
            assert made.reason == "INVALID_ARGUMENT", "nothing stands, and nothing was to be posted"
            assert (len(request.attempts), operation.cost_nanos) == (0, 0)
        elif made is not None:
            assert made.cost_nanos == cost_nanos
            if not is_copy:
                assert made.reversed_nanos == operation.cost_nanos
                # When what was reversed does not count for a rolling budget any more, its reversal still does.
                self.unbacked_nanos += max(operation.cost_nanos, cost_nanos)
                operation.cost_nanos = cost_nanos
                self.corrected.add(request.request_id)

    def _made(self, request: CorrectionRequest) -> Correction | ServiceError | None:
        clock_us = self.now_us + self.skews_us[self.rng.randrange(2)]
        try:
            with self.engine.begin() as connection:
                connection.exec_driver_sql("BEGIN")
                made = correct_usage(connection, request, BOOK, clock_us)
                self._crash_sometimes()
        except ServiceError as error:
            return error
        except CrashError:
            return None
        return made

    def _crash_sometimes(self) -> None:
        if self._chance(self.world.crash_before):
            raise CrashError

    # --- replicas ------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Be a replica: take what came in some order, be a transaction, crash or answer."""
        rng, world = self.rng, self.world
        replica = rng.randrange(2)
        if not self.calm and self._chance(world.jumps):
            self.skews_us[replica] = rng.choice([0, 0, -SECOND_US, 90 * SECOND_US, -3600 * SECOND_US, DAY_US])
        rng.shuffle(self.inbox)
        taken = self.inbox[: rng.choice([1, 4, 32, 64])]
        del self.inbox[: len(taken)]
        if taken:
            self._transact(replica, taken)
        idle_us = 10 * SECOND_US if self.calm else 20_000
        self._at(rng.randrange(20_000) if taken else idle_us, self._serve)

    def _transact(self, replica: int, taken: list[tuple[Operation, Command]]) -> None:
        commands = [command for _, command in taken]
        crash_at = self.rng.randrange(6) if self._chance(self.world.crash_before) else -1
        step_number = itertools.count()

        def run(step: Step) -> Any:
            if next(step_number) == crash_at:
                raise CrashError
            return run_on_sqlite(self.store, step)

        clock_us = self.now_us + self.skews_us[replica]
        self.store.execute("BEGIN")
        try:
            books, outcomes = drive(transact(BOOK, commands, clock_us), run)
        except CrashError:
            self.store.execute("ROLLBACK")
            return
        self.store.execute("COMMIT")
        self.executed += len(commands)
        for (operation, command), outcome in zip(taken, outcomes, strict=True):
            self._note(operation, command, outcome, clock_us)
        for budget in books.changed_budgets:
            assert budget.spent_nanos + budget.held_nanos <= budget.amount_nanos + self.unbacked_nanos
        if not self._chance(self.world.crash_after):
            for (operation, command), outcome in zip(taken, outcomes, strict=True):
                if not self._chance(self.world.lost):
                    self._at(self._delay(), partial(self._answer, operation, command, outcome))

    def _note(
        self, operation: Operation, command: Command, outcome: Hold | ServiceError, clock_us: int
    ) -> None:
        """Follow what was committed, whether or not anybody hears of it."""
        if isinstance(command, Settle):
            assert isinstance(outcome, Hold), outcome
            assert outcome.cost_nanos == operation.cost_nanos
            self.settled[operation.name] = operation
        if not isinstance(outcome, Hold):
            # Refused, it took nothing and was forgotten, so that a copy may be admitted; once admitted, always known.
            assert (
                not isinstance(command, Authorize)
                or operation.name not in self.known
                or (outcome.reason == "HOLD_NOT_OPEN")
            )
            return
        self.known.add(operation.name)
        if outcome.state is HoldState.OPEN:
            if operation.name not in self.running and isinstance(command, Authorize):
                self.running.add(operation.name)
                self.admitted.append(
                    (clock_us // 1000, outcome.prompt_tokens + outcome.max_tokens, operation)
                )
        else:
            self.running.discard(operation.name)
        assert len(self.running) <= IN_FLIGHT_MAX
        if isinstance(command, Settle) and outcome.late and ANSWERED not in operation.answers:
            self.unbacked_nanos += outcome.cost_nanos
            operation.answers[ANSWERED] = outcome

    def _sweep(self) -> None:
        clock_us = self.now_us + self.skews_us[self.rng.randrange(2)]
        with self.engine.connect() as connection:
            overdue = read_overdue(connection, clock_us, GRACE_US, 1000)
            fold(connection, (), 5000)
        if overdue:
            self.store.execute("BEGIN")
            _, outcomes = drive(transact(BOOK, overdue, clock_us), partial(run_on_sqlite, self.store))
            self.store.execute("COMMIT")
            closed = {hold.operation_id for hold in outcomes if isinstance(hold, Hold) and hold.state != 1}
            self.running -= closed
        self._at(5 * SECOND_US if not self.calm else 600 * SECOND_US, self._sweep)

    # --- what must hold --------------------------------------------------------------------------------------------

    def _check_the_end(self) -> None:
        self._audit()
        charged = dict(self.store.execute("SELECT operation_id, SUM(cost_nanos) FROM usage_lines GROUP BY 1"))
        owed = {op.name: op.cost_nanos for op in self.operations if op.usage is not None}
        assert charged == owed
        assert not self.running
        assert self.store.execute("SELECT COUNT(*) FROM holds WHERE state = 1").fetchone() == (0,)
        with self.engine.connect() as connection:
            levels = connection.execute(
                select(limit_counts.c.level).where(limit_counts.c.key.contains("running"))
            )
            assert levels.scalar_one() == 0
            budget = get_budget(connection, "acme", "all")
        assert (budget.spent_nanos, budget.held_nanos) == (sum(owed.values()), 0)
        self._check_the_bucket()

    def _check_the_bucket(self) -> None:
        """Pour what was really used into a bucket of our own: nothing was admitted that did not fit into it."""
        level, at_ms = Fraction(0), BEGINNING_US // 1000
        for now_ms, worst, operation in self.admitted:
            if now_ms > at_ms:
                level = max(Fraction(0), level - Fraction(TOKENS_A_MINUTE * (now_ms - at_ms), 60_000))
                at_ms = now_ms
            elif now_ms < at_ms - 60_000:
                at_ms = now_ms
            assert level + worst <= TOKENS_A_MINUTE
            level += self._used(operation, worst)

    @staticmethod
    def _used(operation: Operation, worst: int) -> int:
        """Give the least that an operation can have used of what it took: what was given back late is not known."""
        if operation.usage is None:
            return 0 if operation.closed == "released" else worst
        tokens = operation.usage.attempts[-1].tokens
        return min(worst, tokens.input + tokens.cache_read + tokens.output)

    def _audit(self) -> None:
        latest_us = self.now_us + max(self.skews_us)
        with self.engine.connect() as connection:
            assert verify(connection, latest_us) == []
            connection.rollback()

    def _chance(self, probability: float) -> bool:
        return not self.calm and self.rng.random() < probability

    def _delay(self) -> int:
        return self.rng.randrange(self.world.delay_us) if not self.calm else 1000


@pytest.mark.timeout(max(120, OPERATIONS // 1000))
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_in_whatever_order_the_books_are_right_and_nothing_is_over_lost_or_twice(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path / "ledger.db")
    simulation.run(OPERATIONS // len(SEEDS))
    states = {operation.closed for operation in simulation.operations}
    assert states >= {"settled", "released"}
    assert simulation.corrected
