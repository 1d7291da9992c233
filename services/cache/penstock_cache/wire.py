"""Messages of the contract to values of the domain and back."""

import math
from collections.abc import Sequence
from types import MappingProxyType

from google.protobuf.duration_pb2 import Duration
from penstock.cache.v1 import cache_service_pb2
from penstock.cache.v1.answer_cache_pb2 import AnswerCache as WireAnswerCache
from penstock.cache.v1.answer_cache_pb2 import AnswerSelector
from penstock.cache.v1.cache_entry_pb2 import CACHE_TIER_L1, CACHE_TIER_L2, CACHE_TIER_L3, CACHE_TIER_L4
from penstock.cache.v1.cache_entry_pb2 import Partition as WirePartition
from penstock.cache.v1.erasure_pb2 import ForgottenReceipt as WireReceipt
from penstock.context.v1.request_context_pb2 import RequestContext
from servicekit.errors import ServiceError

from penstock_cache.entry import Selector
from penstock_cache.feedback import Comparison, Judged, Verdict
from penstock_cache.flights import Flight
from penstock_cache.lookup import Kept
from penstock_cache.partition import Partition
from penstock_cache.policy import Refusal
from penstock_cache.prediction.chain import Prediction
from penstock_cache.question import Hit, Tier
from penstock_cache.receipt import Receipt
from penstock_cache.standing import Standing

NANOS = 1_000_000_000

_TIERS = MappingProxyType(
    {Tier.L1: CACHE_TIER_L1, Tier.L2: CACHE_TIER_L2, Tier.L3: CACHE_TIER_L3, Tier.L4: CACHE_TIER_L4}
)
_REFUSALS = MappingProxyType(
    {
        Refusal.OUTCOME: cache_service_pb2.STORE_REFUSAL_OUTCOME,
        Refusal.CLASSIFICATION: cache_service_pb2.STORE_REFUSAL_CLASSIFICATION,
        Refusal.TEMPERATURE: cache_service_pb2.STORE_REFUSAL_TEMPERATURE,
        Refusal.TOOLS: cache_service_pb2.STORE_REFUSAL_TOOLS,
    }
)
VERDICTS = MappingProxyType(
    {Verdict.RIGHT: cache_service_pb2.VERDICT_RIGHT, Verdict.WRONG: cache_service_pb2.VERDICT_WRONG}
)


def read_partition(wire: WirePartition) -> Partition:
    """Read a room."""
    return Partition(
        organization=wire.organization,
        scope=wire.scope,
        scope_id=wire.scope_id,
        operation=wire.operation,
        model=wire.model,
        conditions_digest=wire.conditions_digest,
        instructions_digest=wire.instructions_digest,
        locale=wire.locale,
        policy_version=wire.policy_version,
        prompt_version=wire.prompt_version,
    )


def read_deadline(context: RequestContext) -> float:
    """Read when the caller stops waiting, in seconds since the epoch; never, if nothing is said."""
    if not context.HasField("deadline_time"):
        return math.inf
    at = context.deadline_time
    return at.seconds + at.nanos / NANOS


def read_age_max(item: cache_service_pb2.LookupItem) -> float:
    """Read the age in seconds of the oldest answer that is good enough; any, if nothing is said."""
    return read_seconds(item.max_age) if item.HasField("max_age") else math.inf


def read_seconds(duration: Duration) -> float:
    """Read a duration in seconds."""
    return duration.seconds + duration.nanos / NANOS


def write_found(found: Hit | ServiceError | None, result: cache_service_pb2.LookupResult) -> None:
    """Write a result; what has no status is OK, and what has no hit is a miss."""
    if isinstance(found, Hit):
        _write_hit(found, result.shadow if found.held_back else result.hit)
    elif found is not None:
        result.status.CopyFrom(found.to_status())


def _write_hit(found: Hit, hit: cache_service_pb2.CacheHit) -> None:
    entry, kept, answer = found.entry, found.entry.answer, hit.answer
    answer.body = kept.body
    answer.cost_nanos = kept.cost_nanos
    answer.generation_ms = kept.generation_ms
    hit.tier = _TIERS[found.tier]
    hit.similarity = found.similarity
    hit.store_time.seconds = int(entry.stored_at)
    hit.store_time.nanos = int(entry.stored_at % 1 * NANOS)
    hit.entry_id = entry.entry_id
    hit.confidence = found.confidence


def read_judged(item: cache_service_pb2.FeedbackItem) -> Judged:
    """Read what is known of an answer by meaning."""
    if item.HasField("comparison"):
        compared = Comparison(item.comparison.kept_text, item.comparison.generated_text)
        return Judged(item.context.organization, item.entry_id, compared)
    return Judged(item.context.organization, item.entry_id, Verdict(item.verdict))


def write_flight(flight: Flight | None, result: cache_service_pb2.LookupResult) -> None:
    """Write who generates; nothing where there is no flight."""
    if flight is not None:
        result.flight.leader_flight_id = flight.leader.flight_id
        result.flight.lease_expire_time.FromNanoseconds(int(flight.lease_expires_at * NANOS))


def write_predictions(predictions: Sequence[Prediction], result: cache_service_pb2.LookupResult) -> None:
    """Write what may be asked next."""
    for prediction in predictions:
        result.predictions.add(query_text=prediction.text, probability=prediction.probability)


def write_kept(kept: Kept, result: cache_service_pb2.StoreResult) -> None:
    """Write what became of an answer."""
    if isinstance(kept, ServiceError):
        result.status.CopyFrom(kept.to_status())
    elif isinstance(kept, Refusal):
        result.refusal = _REFUSALS[kept]
    else:
        result.entry_id = kept


def read_selector(request: cache_service_pb2.InvalidateRequest | AnswerSelector) -> Selector:
    """Read what is to be forgotten."""
    kind = request.WhichOneof("selector")
    assert kind is not None, "validation lets no request through without one"
    return kind, "" if kind == "everything" else getattr(request, kind)


def write_standing(standing: Standing, wire: WireAnswerCache) -> None:
    """Write what an organization's cache holds and has done."""
    wire.answers = standing.answers
    wire.size_bytes = standing.size_bytes
    wire.questions = standing.questions
    tally, trust = standing.tally, standing.trust
    wire.lookups = tally.lookups
    wire.exact_hits = tally.exact_hits
    wire.semantic_hits = tally.semantic_hits
    wire.saved_cost_nanos = tally.saved_cost_nanos
    wire.saved_generation_ms = tally.saved_generation_ms
    wire.ahead_answers = tally.ahead_answers
    wire.ahead_useful = tally.ahead_useful
    wire.ahead_wasted = tally.ahead_wasted
    wire.wasted_cost_nanos = tally.wasted_cost_nanos
    wire.predicted_right = standing.predicted_right
    wire.predicted_wrong = standing.predicted_wrong
    if trust is not None:
        wire.checked_answers = trust.checked
        wire.wrong_answers = trust.wrong
        wire.strictness = trust.stricter


def write_receipt(receipt: Receipt, wire: WireReceipt) -> None:
    """Write a receipt."""
    wire.sequence = receipt.sequence
    wire.erase_time.FromMilliseconds(receipt.erased_at_ms)
    wire.selector_digest = receipt.selector_digest
    for tier, entries in sorted(receipt.counts.items()):
        wire.counts.add(tier=_TIERS[Tier(tier)], entries=entries)
    wire.previous_digest = receipt.previous_digest
    wire.public_key = receipt.public_key
    wire.signature = receipt.signature


def read_receipt(wire: WireReceipt) -> Receipt:
    """Read a receipt."""
    return Receipt(
        sequence=wire.sequence,
        erased_at_ms=wire.erase_time.ToMilliseconds(),
        selector_digest=wire.selector_digest,
        counts={int(count.tier): count.entries for count in wire.counts},
        previous_digest=wire.previous_digest,
        public_key=wire.public_key,
        signature=wire.signature,
    )
