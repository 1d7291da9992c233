"""Vectors are found by cosine, however they are kept, and leave nothing behind."""

import numpy as np
import pytest
from penstock_cache.semantic.backdrop import learn_backdrop
from penstock_cache.semantic.vectors import FlatVectors, cluster, copy_of

DIMENSIONS = 32


def unit_rows(count, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count // 20 + 1, DIMENSIONS))
    rows = centres[rng.integers(0, len(centres), count)] + 0.3 * rng.normal(size=(count, DIMENSIONS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def keys(count):
    return [b"%d" % place for place in range(count)]


def flat(rows):
    vectors = FlatVectors(DIMENSIONS)
    for key, row in zip(keys(len(rows)), rows, strict=True):
        vectors.add(key, row)
    return vectors


@pytest.fixture(params=["flat", "clustered"])
def make(request):
    return flat if request.param == "flat" else lambda rows: cluster(keys(len(rows)), rows)


def test_the_nearest_come_first_with_their_cosines(make):
    rows = unit_rows(500)
    [found] = make(rows).search(rows[7:8], 8)
    cosines = rows @ rows[7]
    assert found[0][0] == b"7"
    assert [similarity for _, similarity in found] == sorted(
        (similarity for _, similarity in found), reverse=True
    )
    for key, similarity in found:
        assert similarity == pytest.approx(cosines[int(key)], abs=1e-5)


def test_clusters_find_what_a_full_search_finds():
    rows = unit_rows(3000)
    exact, clustered = flat(rows), cluster(keys(len(rows)), rows)
    found = zip(exact.search(rows[:300], 1), clustered.search(rows[:300], 1), strict=True)
    assert sum(one[0][0] == other[0][0] for one, other in found) >= 290


def test_many_vectors_find_together_what_each_finds_alone(make):
    rows = unit_rows(400)
    vectors = make(rows)
    for place, together in enumerate(vectors.search(rows[:32], 4)):
        [alone] = vectors.search(rows[place : place + 1], 4)
        assert [key for key, _ in together] == [key for key, _ in alone]
        assert [cosine for _, cosine in together] == pytest.approx([cosine for _, cosine in alone], abs=1e-5)


def test_what_was_discarded_is_not_found_and_all_else_is(make):
    rows = unit_rows(300)
    vectors = make(rows)
    for key in keys(300)[::2]:
        vectors.discard(key)
    assert len(vectors) == 150
    for place in range(300):
        found = dict(vectors.search(rows[place : place + 1], 1)[0])
        assert (b"%d" % place in found) == (place % 2 == 1)


def test_a_discarded_vector_leaves_no_bytes_behind():
    rows = unit_rows(64)
    vectors = flat(rows)
    for key in keys(64)[10:]:
        vectors.discard(key)
    assert not vectors._rows[len(vectors) :].any()
    assert len(vectors._rows) < 64


def test_rows_are_given_by_key(make):
    rows = unit_rows(100)
    assert np.array_equal(make(rows).rows([b"3", b"90"]), rows[[3, 90]])


def test_a_copy_holds_everything(make):
    rows = unit_rows(100)
    copied, copies = copy_of(make(rows))
    assert sorted(copied) == sorted(keys(100))
    assert np.array_equal(copies[copied.index(b"42")], rows[42])


def test_what_a_room_has_in_common_counts_for_nothing():
    rng = np.random.default_rng(1)
    common, own = rng.normal(size=DIMENSIONS) * 3, rng.normal(size=(600, DIMENSIONS))
    rows = (common + own).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    backdrop = learn_backdrop(rows)
    distances = backdrop.distances(rows[0], rows[:2])
    plain = np.sqrt(1 - rows[0] @ rows[1])
    assert distances[0] == pytest.approx(0.0, abs=1e-3)
    assert backdrop.scale < 0.6
    assert distances[1] == pytest.approx(plain, rel=0.5)
