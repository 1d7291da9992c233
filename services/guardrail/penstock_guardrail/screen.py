"""The workflow: canonicalise, detect, decide; then redact or refuse on the way in, restore and replace on the way out.

One list of items is one read and one write of the vault at most, and none for items in which nothing was found.
When the vault does not answer, items that need it fail, which is to say closed, and the others pass.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from servicekit.errors import DeadlineExceeded, ServiceError

from penstock_guardrail.answer import AnswerStream, Values, screen_answer
from penstock_guardrail.policy import Action
from penstock_guardrail.prompt import Prompt, screen_prompt
from penstock_guardrail.rules import Rules
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
    """The texts of one request or answer. `deadline` is of the monotonic clock, in seconds."""

    principal: Principal
    direction: Direction
    texts: Sequence[str]
    redaction_session: str = ""
    deadline: float = math.inf


Outcome = Verdict | ServiceError


class Screen:
    """Decide on texts."""

    def __init__(self, rules: Rules, vault: Vault) -> None:
        self._rules = rules
        self._vault = vault
        self._nothing_found = Verdict(Action.ALLOW, rules.policy.nothing_found)

    @property
    def version(self) -> str:
        """Name the policy and the recognizers that decide."""
        return self._rules.version

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
        return [outcomes[position] for position in range(len(items))]

    async def open_stream(self, principal: Principal, redaction_session: str) -> AnswerStream:
        """Begin to screen the answers to one request as they come.

        Raises:
            Unavailable: the vault does not answer (STORAGE_UNAVAILABLE).
        """
        values: Values = {}
        if redaction_session:
            (values,) = await self._vault.withdraw([Withdrawal(principal, redaction_session)])
        return AnswerStream(self._rules, values)

    async def _inspect_prompts(self, items: Mapping[int, Item]) -> dict[int, Outcome]:
        screened = await _computed_each(items, lambda _, item: screen_prompt(self._rules, item.texts))
        deposits = {
            position: Deposit(items[position].principal, values)
            for position, prompt in screened.items()
            if strongest(prompt.findings) is not Action.REFUSE and (values := prompt.values())
        }
        receipts = await self._deposited(deposits)
        return {
            position: self._verdict_on_prompt(prompt, receipts.get(position))
            for position, prompt in screened.items()
        }

    async def _deposited(self, deposits: Mapping[int, Deposit]) -> Mapping[int, Receipt | ServiceError]:
        if not deposits:
            return {}
        try:
            receipts = await self._vault.deposit(list(deposits.values()))
        except ServiceError as error:
            return dict.fromkeys(deposits, error)
        return dict(zip(deposits, receipts, strict=True))

    def _verdict_on_prompt(self, prompt: Prompt, receipt: Receipt | ServiceError | None) -> Outcome:
        if isinstance(receipt, ServiceError):
            return receipt
        if not prompt.findings:
            return self._nothing_found
        classification = classify((finding.type for finding in prompt.findings), self._rules.policy)
        action = strongest(prompt.findings)
        if receipt is None:
            return Verdict(action, classification, prompt.findings)
        return Verdict(action, classification, prompt.findings, prompt.texts(receipt.tokens), receipt.session)

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
            rest, lambda position, item: screen_answer(self._rules, item.texts, values.get(position, nothing))
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
