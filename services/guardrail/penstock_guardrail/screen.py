"""The workflow: canonicalise, detect, decide; then redact or refuse on the way in, restore and replace on the way out.

One list of items is one read and one write of the vault at most, and none for items in which nothing was found, and one
write of the audit journal. When the vault does not answer, items that need it fail, which is to say closed, and the
others pass; when the journal does not, all fail: what is not written down is not decided.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from servicekit.errors import DeadlineExceeded, ServiceError

from penstock_guardrail.access import Access, access, restorable
from penstock_guardrail.answer import AnswerStream, Values, screen_answer
from penstock_guardrail.audited_stream import AuditedStream
from penstock_guardrail.policies.book import PolicyBook
from penstock_guardrail.policy import Action, Classification, Policy, Replacement
from penstock_guardrail.prompt import Prompt, screen_prompt
from penstock_guardrail.trail import INPUT, OUTPUT, Decision, Request, Trail
from penstock_guardrail.vault import Deposit, Principal, Receipt, Vault, Withdrawal
from penstock_guardrail.verdict import Verdict, classify, strongest

# Above it, screening would keep other requests waiting: it moves to a thread.
_CHARACTERS_ON_LOOP_MAX = 65_536

T = TypeVar("T")


class Direction(Enum):
    """Which way texts flow."""

    INPUT = auto()
    OUTPUT = auto()


@dataclass(frozen=True, slots=True)
class Item:
    """The texts of one request or answer, and who speaks. `deadline` is of the monotonic clock, in seconds."""

    request: Request
    direction: Direction
    texts: Sequence[str]
    redaction_session: str = ""
    deadline: float = math.inf
    roles: Sequence[str] = ()

    @property
    def principal(self) -> Principal:
        """On whose behalf it is."""
        return self.request.principal


Outcome = Verdict | ServiceError


class Screen:
    """Decide on texts."""

    def __init__(self, book: PolicyBook, vault: Vault, trail: Trail) -> None:
        self._book = book
        self._vault = vault
        self._trail = trail

    def version(self, organization: str) -> str:
        """Name the policy of an organization and the recognizers that decide."""
        return self._book.of(organization).rules.version

    async def inspect(self, items: Sequence[Item]) -> list[Outcome]:
        """Decide on whole texts. An outcome stands for each item, in order."""
        now = time.monotonic()
        outcomes: dict[int, Outcome] = {}
        prompts: dict[int, Item] = {}
        answers: dict[int, Item] = {}
        for position, item in enumerate(items):
            if item.deadline <= now:
                outcomes[position] = DeadlineExceeded(
                    "DEADLINE_EXCEEDED", "The deadline passed before the work."
                )
            else:
                (prompts if item.direction is Direction.INPUT else answers)[position] = item
        outcomes |= await self._inspect_prompts(prompts)
        outcomes |= await self._inspect_answers(answers)
        return await self._written_down(items, [outcomes[position] for position in range(len(items))])

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

    async def _written_down(self, items: Sequence[Item], outcomes: list[Outcome]) -> list[Outcome]:
        decided = [
            (_decision(item, outcome), self._book.of(item.principal.organization))
            for item, outcome in zip(items, outcomes, strict=True)
            if isinstance(outcome, Verdict)
        ]
        try:
            await self._trail.keep(decided)
        except ServiceError as error:
            return [error if isinstance(outcome, Verdict) else outcome for outcome in outcomes]
        return outcomes

    async def _inspect_prompts(self, items: Mapping[int, Item]) -> dict[int, Outcome]:
        screened = await _computed_each(items, lambda _, item: self._screened(item))
        deposits = {
            position: Deposit(items[position].principal, tokens, hashes)
            for position, (prompt, granted) in screened.items()
            if granted.refusal is None
            and strongest(prompt.findings) is not Action.REFUSE
            and _any(tokens := prompt.values(Replacement.TOKEN), hashes := prompt.values(Replacement.HASH))
        }
        receipts = await self._deposited(deposits)
        return {
            position: self._verdict_on_prompt(items[position], screened[position], receipts.get(position))
            for position in items
        }

    def _screened(self, item: Item) -> tuple[Prompt, Access]:
        rules = self._book.of(item.principal.organization).rules
        instructs = item.request.asker.operation == "chat"
        prompt = screen_prompt(rules, item.texts, item.roles if instructs else ())
        return prompt, access(rules.policy, item.request.asker, _classification(prompt, rules.policy))

    async def _deposited(self, deposits: Mapping[int, Deposit]) -> Mapping[int, Receipt | ServiceError]:
        if not deposits:
            return {}
        try:
            receipts = await self._vault.deposit(list(deposits.values()))
        except ServiceError as error:
            return dict.fromkeys(deposits, error)
        return dict(zip(deposits, receipts, strict=True))

    def _verdict_on_prompt(
        self, item: Item, screened: tuple[Prompt, Access], receipt: Receipt | ServiceError | None
    ) -> Outcome:
        if isinstance(receipt, ServiceError):
            return receipt
        prompt, granted = screened
        policy = self._book.of(item.principal.organization).rules.policy
        classification = _classification(prompt, policy)
        if granted.refusal is not None:
            return Verdict(Action.REFUSE, classification, [*prompt.findings, granted.refusal])
        action = strongest(prompt.findings)
        if action is Action.REFUSE or not prompt.findings:
            return Verdict(action, classification, prompt.findings, regions=granted.regions)
        receipt = receipt or Receipt("", {})
        texts = prompt.texts(receipt.tokens)
        return Verdict(action, classification, prompt.findings, texts, receipt.session, granted.regions)

    async def _inspect_answers(self, items: Mapping[int, Item]) -> dict[int, Outcome]:
        withdrawals = {
            position: Withdrawal(item.principal, item.redaction_session)
            for position, item in items.items()
            if item.redaction_session
        }
        values, failed = await self._withdrawn(withdrawals)
        rest = {position: item for position, item in items.items() if position not in failed}
        nothing: Values = {}
        verdicts = await _computed_each(
            rest, lambda position, item: self._answered(item, values.get(position, nothing))
        )
        return {**failed, **verdicts}

    def _answered(self, item: Item, values: Values) -> Verdict:
        rules = self._book.of(item.principal.organization).rules
        return screen_answer(rules, item.texts, restorable(values, rules.policy, item.request.asker))

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


def _decision(item: Item, verdict: Verdict) -> Decision:
    direction = INPUT if item.direction is Direction.INPUT else OUTPUT
    verdicts = verdict.action, verdict.classification, verdict.findings, verdict.regions
    return Decision(item.request, direction, *verdicts)


def _classification(prompt: Prompt, policy: Policy) -> Classification:
    return classify((finding.type for finding in prompt.findings), policy)


def _any(*values: Sequence[object]) -> bool:
    return any(values)


async def computed(characters: int, compute: Callable[[], T]) -> T:
    """Screen so many characters, in a thread when that takes long."""
    if characters > _CHARACTERS_ON_LOOP_MAX:
        return await asyncio.to_thread(compute)
    return compute()


async def _computed_each(items: Mapping[int, Item], screen: Callable[[int, Item], T]) -> dict[int, T]:
    characters = sum(len(text) for item in items.values() for text in item.texts)
    return await computed(
        characters, lambda: {position: screen(position, item) for position, item in items.items()}
    )
