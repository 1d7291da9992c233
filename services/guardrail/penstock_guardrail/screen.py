"""The workflow: canonicalise, detect, decide; then redact or refuse on the way in, restore and replace on the way out.

One list of items is one read and one write of the vault at most, and none for items in which nothing was found, and one
write of the audit journal. When the vault does not answer, items that need it fail, which is to say closed, and the
others pass; when the journal does not, all fail: what is not written down is not decided.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from servicekit.errors import DeadlineExceeded, ServiceError

from penstock_guardrail.access import restorable
from penstock_guardrail.answer import AnswerStream, Values
from penstock_guardrail.audited_stream import AuditedStream
from penstock_guardrail.case import (
    Case,
    Cases,
    Direction,
    Item,
    Outcome,
    Ruling,
    answered,
    decision,
    screened,
    shadowed,
    verdict_on_prompt,
)
from penstock_guardrail.policies.book import PolicyBook
from penstock_guardrail.policy import Action, Replacement
from penstock_guardrail.trail import Request, Trail
from penstock_guardrail.vault import Deposit, Receipt, Vault, Withdrawal
from penstock_guardrail.verdict import Finding, Verdict, strongest

# Above it, screening would keep other requests waiting: it moves to a thread.
_CHARACTERS_ON_LOOP_MAX = 65_536

T = TypeVar("T")


class Screen:
    """Decide on texts."""

    def __init__(self, book: PolicyBook, vault: Vault, trail: Trail) -> None:
        self._book = book
        self._vault = vault
        self._trail = trail

    async def inspect(self, items: Sequence[Item]) -> list[Ruling]:
        """Decide on whole texts. A ruling stands for each item, in order."""
        now = time.monotonic()
        cases = [Case(item, self._book.of(item.principal.organization)) for item in items]
        prompts, answers = (
            {
                position: case
                for position, case in enumerate(cases)
                if case.item.direction is direction and case.item.deadline > now
            }
            for direction in Direction
        )
        outcomes = await self._inspect_prompts(prompts) | await self._inspect_answers(answers)
        late = DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passed before the work.")
        decided = [(case, outcomes.get(position, late)) for position, case in enumerate(cases)]
        unwritten = await self._write_down(decided)
        return [
            Ruling(unwritten if unwritten and isinstance(outcome, Verdict) else outcome, case.rules.version)
            for case, outcome in decided
        ]

    async def open_stream(self, request: Request, redaction_session: str) -> AuditedStream:
        """Begin to screen the answers to one request as they come.

        Raises:
            Unavailable: the vault does not answer (STORAGE_UNAVAILABLE).
        """
        values: Values = {}
        regime = self._book.of(request.principal.organization)
        if redaction_session:
            (found,) = await self._vault.withdraw([Withdrawal(request.principal, redaction_session)])
            values = restorable(found, regime.rules.policy, request.asker)
        return AuditedStream(AnswerStream(regime.rules, values), request, regime, self._trail)

    async def _write_down(self, decided: Sequence[tuple[Case, Outcome]]) -> ServiceError | None:
        """Write verdicts down, and what shadows make of the texts; give what hinders it."""
        verdicts = [(case, outcome) for case, outcome in decided if isinstance(outcome, Verdict)]
        found = await self._shadowed(case for case, _ in verdicts)
        try:
            await self._trail.keep(
                (decision(case.item, verdict, shadow), case.regime)
                for (case, verdict), shadow in zip(verdicts, found, strict=True)
            )
        except ServiceError as error:
            return error
        return None

    async def _shadowed(self, cases: Iterable[Case]) -> list[Sequence[Finding] | None]:
        """Search for what shadows look for; None where that is what was searched for already."""
        found: list[Sequence[Finding] | None] = []
        for item, regime in cases:
            rules = regime.shadow_rules
            search = None if rules is None else partial(shadowed, item, rules)
            found.append(None if search is None else await computed(_length(item), search))
        return found

    async def _inspect_prompts(self, cases: Cases) -> dict[int, Outcome]:
        found = await computed(_characters(cases), lambda: screened(cases))
        deposits = {
            position: Deposit(cases[position].item.principal, tokens, hashes)
            for position, (prompt, granted) in found.items()
            if prompt.judged
            and granted.refusal is None
            and strongest(prompt.findings) is not Action.REFUSE
            and _any(tokens := prompt.values(Replacement.TOKEN), hashes := prompt.values(Replacement.HASH))
        }
        receipts = await self._deposited(deposits)
        return {
            position: verdict_on_prompt(case, found[position], receipts.get(position))
            for position, case in cases.items()
        }

    async def _deposited(self, deposits: Mapping[int, Deposit]) -> Mapping[int, Receipt | ServiceError]:
        if not deposits:
            return {}
        try:
            receipts = await self._vault.deposit(list(deposits.values()))
        except ServiceError as error:
            return dict.fromkeys(deposits, error)
        return dict(zip(deposits, receipts, strict=True))

    async def _inspect_answers(self, cases: Cases) -> dict[int, Outcome]:
        withdrawals = {
            position: Withdrawal(item.principal, item.redaction_session)
            for position, (item, _) in cases.items()
            if item.redaction_session
        }
        values, failed = await self._withdrawn(withdrawals)
        rest = {position: case for position, case in cases.items() if position not in failed}
        verdicts = await computed(
            _characters(rest),
            lambda: {position: answered(case, values.get(position, {})) for position, case in rest.items()},
        )
        return {**failed, **verdicts}

    async def _withdrawn(
        self, withdrawals: Mapping[int, Withdrawal]
    ) -> tuple[Mapping[int, Values], Mapping[int, ServiceError]]:
        if not withdrawals:
            return {}, {}
        try:
            values = await self._vault.withdraw(list(withdrawals.values()))
        except ServiceError as error:
            return {}, dict.fromkeys(withdrawals, error)
        return dict(zip(withdrawals, values, strict=True)), {}


def _any(*values: Sequence[object]) -> bool:
    return any(values)


async def computed(characters: int, compute: Callable[[], T]) -> T:
    """Screen so many characters, in a thread when that takes long."""
    if characters > _CHARACTERS_ON_LOOP_MAX:
        return await asyncio.to_thread(compute)
    return compute()


def _characters(cases: Cases) -> int:
    return sum(_length(case.item) for case in cases.values())


def _length(item: Item) -> int:
    return sum(map(len, item.texts))
