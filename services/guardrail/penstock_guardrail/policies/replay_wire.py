"""Replays of policies: domain to wire."""

from penstock.guardrail.v1 import policy_pb2

from penstock_guardrail.policies.replay import Change, Replay
from penstock_guardrail.policies.wire import timestamp


def write_replay(first_index: int, replay: Replay) -> policy_pb2.PolicyReplay:
    """Write what a replay of the log from a position on has found."""
    return policy_pb2.PolicyReplay(
        decisions=replay.decisions,
        changed_decisions=replay.changed_decisions,
        unreadable_entries=replay.unreadable_entries,
        first_index=first_index,
        first_time=timestamp(replay.first_time_us) if replay.decisions else None,
        changes=map(_change, replay.changes),
        blind_subjects=replay.blind_subjects,
    )


def _change(change: Change) -> policy_pb2.PolicyReplayChange:
    return policy_pb2.PolicyReplayChange(
        subject=change.subject,
        before=change.before,
        after=change.after,
        decisions=change.decisions,
        examples=[policy_pb2.PolicyReplayExample(index=each.index, id=each.id) for each in change.examples],
    )
