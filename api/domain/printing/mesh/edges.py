"""Which triangles share which edges: closed or not, and how many pieces.

Two corners are one if their 32-bit numbers are equal; there is no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Faces = NDArray[np.int32]

# Odd 64-bit constants of xxHash64 (Y. Collet), good at spreading the bits of a product upwards.
PRIME_X, PRIME_Y, PRIME_Z = (np.uint64(p) for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
HALF, ONE = np.uint64(32), np.uint64(1)
_NO = np.zeros(1, np.bool_)


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """Edges by what is wrong with them, and the pieces that the sound ones hold together: for each triangle a number
    that all of its piece share."""

    open_edges: int
    overshared_edges: int
    misoriented_edges: int
    pieces: Faces

    @property
    def shells(self) -> int:
        """How many pieces there are: each is numbered by one of its own triangles."""
        return int(np.count_nonzero(self.pieces == np.arange(len(self.pieces), dtype=np.int32)))

    @property
    def closed(self) -> bool:
        """Each edge has exactly two triangles, which run along it in opposite directions."""
        return not (self.open_edges or self.overshared_edges or self.misoriented_edges)


def corner_hashes(corners: NDArray[np.float32]) -> Hashes:
    """(9, n) coordinates -> (3, n) hashes; the caller has merged -0 with 0. Each step is a bijection of 64 bits."""
    x, y, z = corners.view(np.uint32).reshape(3, 3, -1).transpose(1, 0, 2)
    hashes = x * PRIME_X
    for axis, prime in ((y, PRIME_Y), (z, PRIME_Z)):
        hashes ^= hashes >> HALF
        hashes += axis
        hashes *= prime
    hashes ^= hashes >> HALF
    return hashes


def edge_sums(hashes: Hashes, out: Hashes) -> None:
    """(3, n) corner hashes -> (3, n) edge hashes, the same both ways; the low bit says which way the triangle runs."""
    # A sum, because it does not depend on the order of the two corners.
    for edge, (start, end) in enumerate(((0, 1), (1, 2), (2, 0))):
        np.add(hashes[start], hashes[end], out=out[edge])
        out[edge] &= ~ONE
        out[edge] |= hashes[start] < hashes[end]


def count_edges(sums: Hashes) -> EdgeCounts:
    """Sort once, then look at neighbours. `sums` is (3, n), one column per triangle.

    1. Pack what is needed into one plain 64-bit number: as much of the edge's hash as there is room for, the triangle's
       number, the direction.
    2. Numbers with equal hash part are one edge. Only where three or more meet may two edges have fallen together
       (once in a file of a million triangles): those are told apart by their whole hashes.
    Two *open* edges could still be taken for one, once in 2⁴⁰ pairs; a body with an opening would need all of its
    open edges to fall together so, to be called closed.
    """
    count = sums.shape[1]
    shift = np.uint64(count.bit_length() + 1)
    packed = _packed(sums, shift)
    # A plain sort of packed numbers is 3 times faster than an argsort of whole hashes (measured).
    packed.sort()
    same = _same_edge(packed, sums, shift)
    first, inner = same & ~_before(same), same & _before(same)
    pair = np.flatnonzero(first & ~_after(same))
    return EdgeCounts(
        open_edges=len(packed) - int(np.count_nonzero(same | _before(same))),
        overshared_edges=int(np.count_nonzero(inner & ~_before(inner))),
        misoriented_edges=int(np.count_nonzero(~(packed[pair] ^ packed[pair + 1]) & ONE)),
        pieces=_find_pieces(count, *_links(packed, same, shift)),
    )


def _packed(sums: Hashes, shift: np.uint64) -> Hashes:
    packed = sums >> shift
    packed <<= shift
    packed |= sums & ONE
    packed |= np.arange(sums.shape[1], dtype=np.uint64) << ONE
    return packed.ravel()


def _same_edge(packed: Hashes, sums: Hashes, shift: np.uint64) -> NDArray[np.bool_]:
    """For each place: is the next place the same edge? Puts crowded places of `packed` in order on the way."""
    part = packed >> shift
    same = np.zeros(len(packed), np.bool_)
    np.equal(part[1:], part[:-1], out=same[:-1])
    inner = same & _before(same)
    if inner.any():
        crowded = np.flatnonzero(inner | _before(inner) | _after(inner))
        whole = _whole_hashes(packed[crowded], sums, shift)
        order = np.argsort(whole)
        packed[crowded], whole = packed[crowded][order], whole[order] & ~ONE
        same[crowded[:-1]] = whole[1:] == whole[:-1]
    return same


def _whole_hashes(packed: Hashes, sums: Hashes, shift: np.uint64) -> Hashes:
    """Find, among the three edges of its triangle, the one that a packed number was made from."""
    candidates: Hashes = sums[:, _faces(packed, shift)]
    which = np.argmax((candidates >> shift == packed >> shift) & ((candidates ^ packed) & ONE == 0), axis=0)
    whole: Hashes = candidates[which, np.arange(len(which))]
    return whole


def _faces(packed: Hashes, shift: np.uint64) -> Faces:
    return ((packed & ((ONE << shift) - ONE)) >> ONE).astype(np.int32)


def _links(packed: Hashes, same: NDArray[np.bool_], shift: np.uint64) -> tuple[Faces, Faces]:
    """Pairs of triangles that share an edge."""
    places = np.flatnonzero(same)
    return _faces(packed[places], shift), _faces(packed[places + 1], shift)


def _before(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`flags` of the place before."""
    return np.concatenate((_NO, flags[:-1]))


def _after(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`flags` of the place after."""
    return np.concatenate((flags[1:], _NO))


def _find_pieces(count: int, left: Faces, right: Faces) -> Faces:
    """Connected triangles: hang each label under a smaller neighbour's, shorten, keep the links that still join two."""
    # A label only ever hangs under a smaller one, so there is no cycle; each round at least halves the longest chain.
    label = np.arange(count, dtype=np.int32)
    while len(left):
        label[np.maximum(left, right)] = np.minimum(left, right)
        while not np.array_equal(shorter := label[label], label):
            label = shorter
        left, right = label[left], label[right]
        apart = left != right
        left, right = left[apart], right[apart]
    return label
