"""What is learnt from how long items waited for their next use, and what is kept for it."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_cache.replacement import foresight, hazard
from penstock_cache.replacement.foresight import Foresight
from penstock_cache.replacement.hazard import AGES, BOUNDS, Hazard, gittins
from penstock_cache.replacement.queue import Item
from penstock_cache.replacement.use_log import OPEN, USES_MAX, UseLog

CAPACITY = 100


def hits(requests):
    """Give which requests a cache of its own finds."""
    expert, found = Foresight(), []
    for name in requests:
        key = name.encode()
        found.append(expert.hit(key) is not None)
        if not found[-1]:
            expert.insert(Item(key, 1, 1.0))
            list(expert.shrink(CAPACITY))
    return found


def share_late(found):
    late = found[len(found) // 2 :]
    return sum(late) / len(late)


def test_a_part_of_a_loop_is_kept_where_all_of_it_has_no_room():
    found = hits([f"{number % 150}" for number in range(9_000)])
    assert share_late(found) > 0.6  # the best possible is two thirds; the last used would be none at all


def test_what_ends_a_session_is_not_kept_where_only_what_came_before_comes_back():
    rng = random.Random(7)
    requests = []
    for number in range(3_000):
        session = [f"{number}a", f"{number}b", f"{number}end"]
        again = [f"{number - 30}a", f"{number - 30}b"] if rng.random() < 0.9 else []
        requests += ["start", *session, "start", *again]
    found = hits(requests)
    back = [hit for name, hit in zip(requests, found, strict=True) if name.endswith("a")][3_000:]
    # Sixty sessions of two fit, sixty of three do not; each comes back after thirty.
    assert sum(back) / len(back) > 0.44


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_index_comes_near_the_most_uses_for_each_request_that_an_item_is_kept(seed):
    shares = np.random.default_rng(seed).beta(0.1, 1.0, (1, AGES)).clip(0, 0.95)
    for age in (0, 7, AGES - 2):
        best = best_of_all_times_to_give_up(shares[0], age)
        assert 0.7 * best < gittins(shares)[0, age] < 1.001 * best


def best_of_all_times_to_give_up(shares, age):
    uses = requests = best = 0.0
    alive = 1.0
    for share, length in zip(shares[age:], np.diff(BOUNDS)[age:], strict=True):
        uses += alive * share
        requests += alive * (1 - share / 2) * length
        alive *= 1 - share
        best = max(best, uses / requests)
    return best


def test_what_comes_back_at_an_age_is_worth_more_the_nearer_that_age_and_little_beyond():
    shares = np.full((1, AGES), 0.001)
    shares[0, 40] = 0.9
    index = gittins(shares)[0]
    assert np.all(np.diff(index[32:41]) > 0)
    assert index[41] < index[40] / 100


def test_hazards_are_learnt_from_who_waited_and_who_did_not_wait_any_longer():
    log, learnt = UseLog(), Hazard()
    for number in range(4_000):
        key = b"%d" % (number % 20) if number % 2 else b"once%d" % number
        before = log.close(key)
        log.add(key, before.uses + 1, hazard.kind_of(before.uses + 1, before.gap))
    learnt.learn(log, half_life=1e6)
    steady, once = hazard.kind_of(32, 20), hazard.kind_of(1, 0)
    index = learnt.indices()
    assert index[steady, 0] == pytest.approx(1 / 20, rel=0.2)
    assert index[once, 0] < index[steady, 0] / 10


def test_a_log_forgets_its_oldest_uses_and_who_was_used_then():
    log = UseLog()
    for number in range(100):
        log.add(b"%d" % number, 1, 0)
    log.trim(10)
    assert (log.start, log.end, len(log.kinds), len(log.waits)) == (90, 100, 10, 10)
    assert log.close(b"89").uses == 0
    assert log.close(b"90") == (10, 1)
    assert set(log.waits) == {10, OPEN}


def test_a_log_counts_no_more_uses_than_it_can_hold():
    log = UseLog()
    for _ in range(1_000):
        log.add(b"key", log.close(b"key").uses + 1, 0)
    assert log.close(b"key") == (1, USES_MAX)


def test_nothing_remembers_the_key_of_what_was_forgotten():
    expert = Foresight()
    for number in range(10):
        expert.insert(Item(b"key%d" % number, 1, 1.0))
    expert.hit(b"key3")
    list(expert.shrink(8))
    for number in range(10):
        expert.discard(b"key%d" % number)
    assert not any(key for key in expert._log._keys)
    assert not expert._log._last
    assert not expert._places


def test_what_is_remembered_is_bounded_by_what_is_held():
    expert = Foresight()
    for number in range(20_000):
        expert.insert(Item(b"%d" % number, 1, 1.0))
        list(expert.shrink(CAPACITY))
    log_max = foresight.LOG_PER_ITEM * (CAPACITY + 1) + foresight.LOG_MIN + foresight.LESSON_USES
    assert len(expert._log._keys) <= log_max
    assert len(expert._log._last) <= log_max
