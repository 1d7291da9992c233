"""Unit vectors by key, searched by cosine: exact while they are few, by clusters above.

This is the one module that knows FAISS. Deleting moves the last row into the gap and overwrites what it leaves, so that
nothing of a vector stays behind.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import faiss
import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float32]
Neighbour = tuple[bytes, float]

ROWS_MIN = 2
PROBES = 16  # clusters that a search looks into
_TRAINING_ROWS_PER_CLUSTER = 20
_TRAINING_ROUNDS = 6
_SEED = 1234

faiss.omp_set_num_threads(1)  # a search is shorter than waking a second thread
faiss.cvar.distance_compute_blas_threshold = (
    8  # from so many vectors on, reading all rows once for all of them is faster
)


class Vectors(Protocol):
    """What both kinds do. `clustered_rows` is how many there were when clusters were made, 0 without."""

    clustered_rows: int

    def __len__(self) -> int: ...

    def __contains__(self, key: bytes) -> bool: ...

    def add(self, key: bytes, vector: Vector) -> None:
        """Keep a vector under a key that is not known yet."""

    def discard(self, key: bytes) -> int:
        """Forget a vector; give how many bytes that was."""

    def search(self, vectors: Rows, k: int) -> list[list[Neighbour]]:
        """Give each vector's nearest keys with their cosines, nearest first; at most k. Some key is there."""

    def rows(self, keys: Sequence[bytes]) -> Rows:
        """Give the vectors of keys that are there, `[keys, dimensions]`."""

    def blocks(self) -> Iterator[tuple[list[bytes], Rows]]:
        """Give everything, block by block."""


class FlatVectors:
    """One block of rows; a search reads all of them."""

    def __init__(self, dimensions: int) -> None:
        self.clustered_rows = 0
        self._rows = np.zeros((ROWS_MIN, dimensions), np.float32)
        self._keys: list[bytes] = []
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def add(self, key: bytes, vector: Vector) -> None:
        """Keep a vector under a key that is not known yet."""
        place = len(self._keys)
        if place == len(self._rows):
            self._resize(2 * place)
        self._rows[place] = vector
        self._keys.append(key)
        self._places[key] = place

    def discard(self, key: bytes) -> int:
        """Forget a vector; give how many bytes that was."""
        place = self._places.pop(key)
        last_key = self._keys.pop()
        last = len(self._keys)
        if place != last:
            self._rows[place] = self._rows[last]
            self._keys[place] = last_key
            self._places[last_key] = place
        self._rows[last] = 0
        if ROWS_MIN < 4 * last < len(self._rows):
            self._resize(len(self._rows) // 2)
        return int(self._rows[0].nbytes)

    def search(self, vectors: Rows, k: int) -> list[list[Neighbour]]:
        """See `Vectors.search`."""
        similarities, places = _nearest(self._rows[: len(self._keys)], vectors, k)
        return [
            [(self._keys[place], similarity) for place, similarity in zip(*found, strict=True)]
            for found in zip(places, similarities, strict=True)
        ]

    def rows(self, keys: Sequence[bytes]) -> Rows:
        """Give the vectors of keys that are there, `[keys, dimensions]`."""
        return self._rows[[self._places[key] for key in keys]]

    def blocks(self) -> Iterator[tuple[list[bytes], Rows]]:
        """Give everything, block by block."""
        yield self._keys, self._rows[: len(self._keys)]

    def _resize(self, rows: int) -> None:
        kept = len(self._keys)
        resized = np.zeros((rows, self._rows.shape[1]), np.float32)
        resized[:kept] = self._rows[:kept]
        self._rows[:] = 0
        self._rows = resized


class ClusteredVectors:
    """Rows in the cluster of the centroid they are nearest to (an inverted file); a search reads a few clusters."""

    def __init__(self, centroids: Rows) -> None:
        self._centroids = centroids
        self._clusters = [FlatVectors(centroids.shape[1]) for _ in centroids]
        self._cluster_of: dict[bytes, int] = {}
        self.clustered_rows = 0

    def __len__(self) -> int:
        return len(self._cluster_of)

    def __contains__(self, key: bytes) -> bool:
        return key in self._cluster_of

    def add(self, key: bytes, vector: Vector) -> None:
        """Keep a vector under a key that is not known yet."""
        _, [[nearest]] = _nearest(self._centroids, vector[None], 1)
        self._put(key, vector, nearest)

    def fill(self, keys: list[bytes], rows: Rows, clusters: list[int]) -> None:
        """Keep vectors whose clusters are known."""
        for key, row, cluster in zip(keys, rows, clusters, strict=True):
            self._put(key, row, cluster)
        self.clustered_rows = len(keys)

    def discard(self, key: bytes) -> int:
        """Forget a vector; give how many bytes that was."""
        return self._clusters[self._cluster_of.pop(key)].discard(key)

    def search(self, vectors: Rows, k: int) -> list[list[Neighbour]]:
        """See `Vectors.search`. May miss some that lie elsewhere."""
        _, probes = _nearest(self._centroids, vectors, PROBES)
        return [self._look_into(each, vector, k) for each, vector in zip(probes, vectors, strict=True)]

    def rows(self, keys: Sequence[bytes]) -> Rows:
        """Give the vectors of keys that are there, `[keys, dimensions]`."""
        return np.concatenate([self._clusters[self._cluster_of[key]].rows([key]) for key in keys])

    def blocks(self) -> Iterator[tuple[list[bytes], Rows]]:
        """Give everything, block by block."""
        for cluster in self._clusters:
            yield from cluster.blocks()

    def _look_into(self, probes: list[int], vector: Vector, k: int) -> list[Neighbour]:
        clusters = [self._clusters[probe] for probe in probes]
        found = [near for cluster in clusters if cluster for near in cluster.search(vector[None], k)[0]]
        return sorted(found, key=_similarity, reverse=True)[:k]

    def _put(self, key: bytes, vector: Vector, cluster: int) -> None:
        self._clusters[cluster].add(key, vector)
        self._cluster_of[key] = cluster


def cluster(keys: list[bytes], rows: Rows) -> ClusteredVectors:
    """Sort rows into 2 √n clusters. Takes seconds for many: call it in a thread, on copies."""
    count = int(2 * len(rows) ** 0.5)
    sample = np.random.default_rng(_SEED).permutation(rows)[: count * _TRAINING_ROWS_PER_CLUSTER]
    means = faiss.Kmeans(
        rows.shape[1], count, niter=_TRAINING_ROUNDS, spherical=True, seed=_SEED, min_points_per_centroid=1
    )
    means.train(sample)
    centroids = means.centroids
    assert centroids is not None
    _, places = faiss.knn(rows, centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)
    clustered = ClusteredVectors(centroids)
    clustered.fill(keys, rows, places[:, 0].tolist())
    return clustered


def copy_of(vectors: Vectors) -> tuple[list[bytes], Rows]:
    """Copy everything out."""
    blocks = [(list(keys), rows.copy()) for keys, rows in vectors.blocks()]
    return [key for keys, _ in blocks for key in keys], np.concatenate([rows for _, rows in blocks])


def _nearest(rows: Rows, vectors: Rows, k: int) -> tuple[list[list[float]], list[list[int]]]:
    """Give cosines and places of the rows nearest to each vector."""
    similarities, places = faiss.knn(vectors, rows, min(k, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
    return similarities.tolist(), places.tolist()


def _similarity(neighbour: Neighbour) -> float:
    return neighbour[1]
