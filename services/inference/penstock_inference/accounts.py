"""Whose each sequence is, and what each step used on whose account."""

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from servicekit.errors import ServiceError, Unavailable

from penstock_inference.answer import Answer, Delta
from penstock_inference.job import Job, Outcome, Result
from penstock_inference.journal import Journal
from penstock_inference.metrics import BatchMetrics
from penstock_inference.plan import Plan
from penstock_inference.refusals import expired
from penstock_inference.sequence import Sequence

Deltas = list[tuple[Sequence, Delta]]


@dataclass(slots=True)
class _Entry:
    job: Job
    index: int
    token_time: float | None = None  # when the last token came


class Accounts:
    """Count, record in the journal, and address results. Belongs to the delivery's thread, except for `open`."""

    def __init__(self, journal: Journal, metrics: BatchMetrics) -> None:
        self._journal = journal
        self._metrics = metrics
        self._entries: dict[Sequence, _Entry] = {}

    def open(self, job: Job) -> None:
        """Begin to account for a job."""
        for index, sequence in enumerate(job.sequences):
            self._entries[sequence] = _Entry(job, index)

    def answer(self, sequence: Sequence) -> Answer | None:
        """Give the answer that a sequence is for, unless it has ended."""
        entry = self._entries.get(sequence)
        return None if entry is None else entry.job.answers[entry.index]

    def settle(self, plan: Plan, deltas: Deltas) -> list[Result]:
        """Record what a step used, and say what is to be told to whom.

        Raises:
            Unavailable: the journal cannot be written, so nobody may be told (STORAGE_UNAVAILABLE).
        """
        jobs = dict.fromkeys(self._count(plan, deltas))
        ended = [sequence for sequence in plan.ended if sequence in self._entries]
        over = [*ended, *(sequence for sequence, delta in deltas if delta.finish_reason)]
        for sequence in over:
            job = self._entries[sequence].job
            job.end(sequence)
            jobs[job] = None
        self._record(jobs)
        results = [self._result(sequence, delta) for sequence, delta in deltas]
        results += [self._result(sequence, expired()) for sequence in self._count_ends(ended)]
        for sequence in over:
            del self._entries[sequence]
        return results

    def fail(self, sequences: Iterable[Sequence], error: ServiceError) -> list[Result]:
        """End sequences with an error, whatever the journal can take."""
        failed = [sequence for sequence in sequences if sequence in self._entries]
        results = [self._result(sequence, error.copy()) for sequence in failed]
        for result, sequence in zip(results, failed, strict=True):
            result.job.end(sequence)
            del self._entries[sequence]
        with contextlib.suppress(Unavailable):  # it was logged, and the journal's probe tells
            self._record(dict.fromkeys(result.job for result in results))
        return results

    def everybody(self) -> list[Sequence]:
        """Give all sequences that have not ended."""
        return list(self._entries)

    def _count(self, plan: Plan, deltas: Deltas) -> list[Job]:
        """Add up what a step used, and say on whose accounts."""
        now = time.monotonic()
        for sequence in plan.started:
            if sequence not in self._entries:
                continue
            job = self._entries[sequence].job
            attempt = job.attempt
            self._metrics.queue_seconds.observe(now - job.submit_time)
            if not attempt.prompt_tokens:  # the prompt counts once for all answers to it
                attempt.prompt_tokens = attempt.cached_prompt_tokens = sequence.cached_tokens
            self._metrics.cached(sequence.cached_tokens)
        jobs = []
        chunks = plan.batch.prefills if plan.batch else ()
        for sequence, chunk in zip(plan.prefilling, chunks, strict=True):
            if sequence in self._entries:
                attempt = self._entries[sequence].job.attempt
                attempt.prompt_tokens = max(attempt.prompt_tokens, chunk.past_tokens + len(chunk.tokens))
                jobs.append(self._entries[sequence].job)
        for sequence, delta in deltas:
            entry = self._entries[sequence]
            if delta.finish_reason:
                self._metrics.finished(delta.finish_reason)
            entry.job.attempt.completion_tokens += bool(delta.completion_tokens)
            self._time_token(entry, now)
            jobs.append(entry.job)
        return jobs

    def _time_token(self, entry: _Entry, now: float) -> None:
        if entry.token_time is None:
            self._metrics.first_token_seconds.observe(now - entry.job.submit_time)
        else:
            self._metrics.inter_token_seconds.observe(now - entry.token_time)
        entry.token_time = now

    def _count_ends(self, ended: list[Sequence]) -> list[Sequence]:
        """Tell the expired, who are told so, from the cancelled, who are gone."""
        late = [sequence for sequence in ended if not sequence.cancelled]
        self._metrics.expired.inc(len(late))
        self._metrics.cancelled.inc(len(ended) - len(late))
        return late

    def _record(self, jobs: Iterable[Job]) -> None:
        """Write down accounts once something stands on them or they are closed."""
        attempts = [job.attempt for job in jobs if job.attempt.prompt_tokens or job.attempt.ended]
        if attempts:
            self._journal.write(attempts)

    def _result(self, sequence: Sequence, outcome: Outcome) -> Result:
        entry = self._entries[sequence]
        return Result(entry.job, entry.index, outcome)
