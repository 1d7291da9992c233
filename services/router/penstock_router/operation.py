"""One request on its way through the pipeline: what is known of it so far, and its receipt."""

import time
from collections.abc import Sequence

from penstock.billing.v1 import hold_pb2, hold_service_pb2, limit_pb2
from penstock.cache.v1 import cache_entry_pb2, cache_service_pb2
from penstock.guardrail.v1 import finding_pb2
from penstock.router.v1 import chat_completion_pb2, receipt_pb2
from servicekit import context as request_context
from servicekit.context import new_request_id
from servicekit.money import cost_nanos, is_charged

from penstock_router.attempt import Attempt, is_used
from penstock_router.catalog import Model, Target
from penstock_router.conversation import Question
from penstock_router.identity import Principal
from penstock_router.providers import Prompt

_ID_PREFIXES = {"chat": "chatcmpl", "completion": "cmpl"}
_CACHE_STATUS = {False: receipt_pb2.CACHE_STATUS_EXACT_HIT, True: receipt_pb2.CACHE_STATUS_SEMANTIC_HIT}


class Operation:
    """Filled in step by step by the pipeline. Its id is ours, never the caller's: it is charged once, for ever."""

    def __init__(self, kind: str, model: Model, principal: Principal) -> None:
        self.id = new_request_id()
        self.kind = kind
        self.model = model
        self.principal = principal
        self.context = request_context.to_proto(request_context.current())
        self.created = int(time.time())
        self.began = time.monotonic()
        self.metadata: dict[str, str] = {}
        self.prompts: Sequence[
            Prompt
        ] = ()  # what is continued instead of a conversation, as the caller sent it

        self.redaction_session = ""
        self.policy_version = ""
        self.classification = finding_pb2.CLASSIFICATION_UNSPECIFIED
        self.private_only = False
        self.regions: Sequence[str] = ()  # where its texts may go; empty: anywhere
        self.redacted_types: list[str] = []
        self.found_in_answer = False

        self.question: Question | None = None
        self.keep = False
        self.leader_id = ""  # the operation that generates for all who ask the same; empty: no flight
        self.limited = False  # by its caller; what a small balance cut short is not what was asked for
        self.cache_status = receipt_pb2.CACHE_STATUS_BYPASS
        self.hit: cache_service_pb2.CacheHit | None = None
        self.shadow: cache_service_pb2.CacheHit | None = (
            None  # what was found by meaning, and is only compared
        )

        self.targets: list[Target] = []
        self.grant: hold_service_pb2.AuthorizeResult | None = None
        self.attempts: list[Attempt] = []
        self.followed: Attempt | None = None  # another's, that answers this one too
        self.usages: list[hold_pb2.AttemptUsage] = []
        self.cost_nanos = 0

    @property
    def completion_id(self) -> str:
        """Give the id that the caller sees."""
        return f"{_ID_PREFIXES[self.kind]}-{self.id}"

    @property
    def counted(self) -> Attempt:
        """Give the attempt whose events made the answer."""
        return self.followed or self.attempts[-1]

    def elapsed_ms(self) -> int:
        """Tell how long it has been worked on."""
        return int((time.monotonic() - self.began) * 1000)

    def begin_attempt(self, target: Target) -> Attempt:
        """Count one more try."""
        attempt = Attempt(len(self.attempts), target)
        self.attempts.append(attempt)
        return attempt

    def note_redacted(self, findings: Sequence[finding_pb2.Finding]) -> None:
        """Remember the types of what was redacted, each once."""
        for finding in findings:
            if finding.action == finding_pb2.ACTION_REDACT and finding.type not in self.redacted_types:
                self.redacted_types.append(finding.type)

    def note_found_in_answer(self, findings: Sequence[finding_pb2.Finding]) -> None:
        """Remember that the model itself said what must not leave."""
        self.found_in_answer = True
        self.note_redacted(findings)

    def conclude(self) -> None:
        """Sum up what was used and what it costs, as billing will, once nothing more can be used."""
        if self.hit is not None:
            self.usages = [self._cache_usage(self.hit)]
        else:
            usages = [(attempt, attempt.usage()) for attempt in self.attempts]
            self.usages = [usage for attempt, usage in usages if attempt.doubtful or is_used(usage.tokens)]
        self.cost_nanos = self._cost(self.usages)

    @property
    def rate_limits(self) -> Sequence[limit_pb2.RateLimit]:
        """The rates that have least left for the caller, once it is admitted."""
        return self.grant.rate_limits if self.grant else ()

    def receipt(self) -> receipt_pb2.Receipt:
        """Say what it cost and where the answer came from."""
        hit = self.hit
        endpoint = self.attempts[-1].target.endpoint if self.attempts else ""
        return receipt_pb2.Receipt(
            request_id=self.id,
            trace_id=self.context.traceparent[3:35],
            cost_nanos=self.cost_nanos,
            avoided_cost_nanos=hit.answer.cost_nanos if hit else 0,
            cache=self.cache_status,
            cache_age_seconds=max(0, self.created - hit.store_time.seconds) if hit else 0,
            endpoint=endpoint,
            attempts=len(self.attempts),
            clamped_max_tokens=self.grant.max_tokens if self.grant and self.grant.clamped else 0,
            redacted_types=self.redacted_types,
            cache_similarity=hit.similarity if hit else 0,
            cache_entry_id=hit.entry_id if hit else "",
            rate_limits=self.rate_limits,
            cache_tier=hit.tier if hit else cache_entry_pb2.CACHE_TIER_UNSPECIFIED,
        )

    def answered_from_cache(self, hit: cache_service_pb2.CacheHit) -> None:
        """Take a cached answer."""
        self.hit = hit
        self.cache_status = _CACHE_STATUS[hit.tier == cache_entry_pb2.CACHE_TIER_L3]

    def cost_until_now(self) -> int:
        """Price what was used until now."""
        return self._cost([attempt.usage() for attempt in self.attempts])

    def _cost(self, usages: Sequence[hold_pb2.AttemptUsage]) -> int:
        prices = {price.sku: price for price in self.grant.prices} if self.grant else {}
        return sum(
            _cost(usage.tokens, prices[usage.sku])
            for usage in usages
            if is_charged(usage) and usage.sku in prices
        )

    def answered_by(self, leader: "Operation") -> None:
        """Take the answer that another operation generates at this time."""
        hit = cache_service_pb2.CacheHit(tier=cache_entry_pb2.CACHE_TIER_L1, similarity=1)
        hit.answer.cost_nanos = leader.cost_until_now()
        hit.store_time.seconds = self.created
        self.answered_from_cache(hit)

    def _cache_usage(self, hit: cache_service_pb2.CacheHit) -> hold_pb2.AttemptUsage:
        return hold_pb2.AttemptUsage(
            sku=self.model.targets[0].sku,
            tokens=hold_pb2.TokenUsage(),
            endpoint="cache",
            outcome=hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT,
            avoided_cost_nanos=hit.answer.cost_nanos,
        )


def complete(operation: Operation, completion: chat_completion_pb2.ChatCompletion) -> None:
    """Write into an answer what only the request knows."""
    completion.id = operation.completion_id
    completion.created = operation.created
    completion.model = operation.model.id
    completion.receipt.CopyFrom(operation.receipt())


def _cost(tokens: hold_pb2.TokenUsage, prices: hold_pb2.TokenPrices) -> int:
    return cost_nanos(
        (
            (tokens.input, prices.input_nanos_per_million),
            (tokens.cache_read, prices.cache_read_nanos_per_million),
            (tokens.cache_write, prices.cache_write_nanos_per_million),
            (tokens.output, prices.output_nanos_per_million),
            (tokens.reasoning, prices.reasoning_nanos_per_million),
        )
    )
