"""Good and hostile STL files, always the same bytes; nothing here reads or writes a file.

Our own reader and writer are not used: a corpus made by the code under test would prove nothing.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

#: Seconds of processor time in which any file here must be answered: other tests share the two cores.
DEADLINE_S = 2.0
#: (n, 3 corners, 3 coordinates)
Triangles = NDArray[np.float32]

FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def binary(triangles: Triangles, *, header: bytes = b"corpus", count: int | None = None) -> bytes:
    """Binary STL with an honest count, unless another is given."""
    facets = np.zeros(len(triangles), FACET)
    facets["corners"] = triangles
    announced = len(triangles) if count is None else count
    return header[:80].ljust(80, b"\0") + announced.to_bytes(4, "little") + facets.tobytes()


def text(triangles: Triangles, *, name: str = "corpus", newline: str = "\n") -> bytes:
    """ASCII STL."""
    lines = [f"solid {name}"]
    for corners in triangles.tolist():
        lines += ["facet normal 0 0 0", " outer loop"]
        lines += [f"  vertex {x!r} {y!r} {z!r}" for x, y, z in corners]
        lines += [" endloop", "endfacet"]
    return newline.join([*lines, f"endsolid {name}", ""]).encode()


# Bodies


def box(x: float = 20, y: float = 20, z: float = 20, *, at: tuple[float, float, float] = (0, 0, 0)) -> Triangles:
    """A closed box of 12 triangles, its lowest corner at `at`."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], np.float64)
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]  # fmt: skip
    placed: Triangles = (corners * (x, y, z) + at).astype(np.float32)[np.array(faces)]
    return placed


def torus(n: int = 10_000, *, radius_mm: float = 20, tube_mm: float = 6) -> Triangles:
    """A closed torus of about `n` triangles (exactly 2·k² for the whole k nearest)."""
    k = max(3, round((n / 2) ** 0.5))
    around = np.arange(k) * (2 * np.pi / k)
    u, v = np.meshgrid(around, around, indexing="ij")
    reach = radius_mm + tube_mm * np.cos(v)
    points = np.stack((reach * np.cos(u), reach * np.sin(u), tube_mm * np.sin(v)), axis=-1).astype(np.float32)
    right, up = np.roll(points, -1, axis=0), np.roll(points, -1, axis=1)
    corner = np.roll(right, -1, axis=1)
    lower, upper = np.stack((points, right, corner), axis=2), np.stack((points, corner, up), axis=2)
    return np.concatenate((lower.reshape(-1, 3, 3), upper.reshape(-1, 3, 3)))


def sphere(subdivisions: int = 3, *, radius_mm: float = 15) -> Triangles:
    """An octahedron divided: 8 · 4^subdivisions triangles, neighbours sharing equal bits."""
    signs = [(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]
    triangles = np.array([np.diag(s) if np.prod(s) > 0 else np.diag(s)[[0, 2, 1]] for s in signs], np.float64)
    for _ in range(subdivisions):
        a, b, c = triangles.transpose(1, 0, 2)
        ab, bc, ca = a + b, b + c, c + a
        ab, bc, ca = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (ab, bc, ca))
        pieces = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
        triangles = np.concatenate([np.stack(piece, axis=1) for piece in pieces])
    return (triangles * radius_mm).astype(np.float32)


def open_box() -> Triangles:
    """One triangle missing: 3 open edges."""
    return box()[:-1]


def flipped_face() -> Triangles:
    """One triangle wound the wrong way: 3 misoriented edges."""
    triangles = box()
    triangles[4] = triangles[4, ::-1]
    return triangles


def duplicate_face() -> Triangles:
    """One triangle twice: 3 edges with three triangles."""
    return np.concatenate((box(), box()[:1]))


def inverted() -> Triangles:
    """Inside out."""
    return box()[:, ::-1].copy()


def two_shells() -> Triangles:
    """Two boxes apart."""
    return np.concatenate((box(10, 10, 10), box(10, 10, 10, at=(30, 0, 0))))


def shared_edge() -> Triangles:
    """Two boxes that touch along one edge: that edge has four triangles."""
    return np.concatenate((box(10, 10, 10), box(10, 10, 10, at=(10, 10, 0))))


def cavity() -> Triangles:
    """A 20 mm box with an 8 mm box hollowed out: two shells, 7,488 mm³."""
    return np.concatenate((box(), box(8, 8, 8, at=(6, 6, 6))[:, ::-1]))


def with_attributes(size: int = 4) -> bytes:
    """Each facet says that it brings so many bytes more, and does (Magics)."""
    facets = np.zeros(12, FACET)
    facets["corners"], facets["attribute"] = box(), size
    body = b"".join(facet.tobytes() + bytes(size) for facet in facets)
    return bytes(80) + (12).to_bytes(4, "little") + body


def soup(n: int = 100_000, *, seed: int = 7) -> Triangles:
    """Random triangles that share nothing: PrusaSlicer does not end on 100,000 of them."""
    triangles: Triangles = np.random.default_rng(seed).uniform(0, 100, (n, 3, 3)).astype(np.float32)
    return triangles


def confetti(n: int = 25_000) -> Triangles:
    """`n` tiny closed tetrahedra: every edge is paired, and yet it is no body."""
    at = np.random.default_rng(8).uniform(0, 100, (n, 1, 1, 3))
    points = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], np.float64)
    one = points[np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])]
    triangles: Triangles = (at + one).reshape(-1, 3, 3).astype(np.float32)
    return triangles


def tower() -> Triangles:
    """20 x 20 x 10,000 mm in 684 bytes: over 86 s in PrusaSlicer."""
    return box(20, 20, 10_000)


def inch_sized() -> Triangles:
    """A part of 2 x 1 x 1 inches, its numbers taken for millimetres."""
    return box(2, 1, 1)


def metre_sized() -> Triangles:
    """A part of 20 x 10 x 10 cm drawn in metres."""
    return box(0.2, 0.1, 0.1)


def small_in_metres() -> Triangles:
    """A part of 4 x 4 x 2 cm drawn in metres: its numbers are too thin for millimetres."""
    return box(0.04, 0.04, 0.02)


def with_corner(value: float) -> Triangles:
    """A box with one coordinate spoilt (NaN, infinite, 1e30)."""
    triangles = box()
    triangles[5, 1, 2] = value
    return triangles


def with_collapsed(extra: int = 3) -> Triangles:
    """A sound box plus triangles with two equal corners, as many exporters leave behind."""
    line = np.array([[[0, 0, 0], [0, 0, 0], [20, 0, 0]]], np.float32)
    return np.concatenate((box(), np.repeat(line, extra, axis=0)))


# Files


def cube() -> bytes:
    """20 mm."""
    return binary(box())


def ascii_cube() -> bytes:
    """20 mm, as text."""
    return text(box())


def big(n: int) -> bytes:
    """A closed torus of about `n` triangles that fits a printer; `big(2_000_000)` is 100 MB and must be accepted."""
    return binary(torus(n, radius_mm=70, tube_mm=25))


def ascii_long_name(megabytes: int = 2) -> bytes:
    """A solid's name of 2 MB: crashed the parser of a well-known slicer."""
    return text(box(), name="A" * (megabytes << 20))


def ascii_long_lines(megabytes: int = 2) -> bytes:
    """Every facet on one line, padded by megabytes of spaces, and numbers of a megabyte."""
    padded = ascii_cube().replace(b"facet normal 0 0 0\n", b"facet normal 0 0 0" + b" " * (megabytes << 20), 1)
    return padded.replace(b"20.0", b"20." + b"0" * (1 << 20), 1)


def truncated() -> bytes:
    """Cut in the middle of a triangle."""
    return cube()[:-130]


def truncated_between() -> bytes:
    """Cut exactly between two triangles."""
    return cube()[:-100]


def truncated_text() -> bytes:
    """ASCII, cut in a number."""
    return ascii_cube()[:-200]


def lying_header(count: int = 4_294_967_295) -> bytes:
    """Announces `count` triangles; 12 follow."""
    return binary(box(), count=count)


def zero_facets() -> bytes:
    """Header and a count of zero."""
    return binary(box()[:0])


def png() -> bytes:
    """The start of a PNG image."""
    noise = np.random.default_rng(9).bytes(3000)
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\0\0\0\2\0\x08\2\0\0\0" + noise


def web_page() -> bytes:
    """What a broken download link gives."""
    return b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>No such model</body></html>\n"


def prose() -> bytes:
    """A text renamed .stl."""
    return b"Dear workshop,\nplease print this letter in blue.\n" * 20


def solid_prose() -> bytes:
    """A text that happens to begin with the word of an ASCII STL."""
    return b"Solid waste: the bins are emptied on Monday.\nPlease sort.\n"


def three_mf() -> bytes:
    """A small 3MF (a zip)."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("3D/3dmodel.model"), "<model/>")
    return out.getvalue()


def noise(n: int = 5000, *, seed: int = 3) -> bytes:
    """Random bytes."""
    return np.random.default_rng(seed).bytes(n)


#: name -> (maker, name of the error that the gate must raise). The issue's list of bad input, and a few more.
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "EmptyFile"),
    "text renamed": (prose, "NotAnStl"),
    "text that begins with solid": (solid_prose, "NotAnStl"),
    "a PNG": (png, "OtherFormat"),
    "a web page": (web_page, "OtherFormat"),
    "a STEP file": (lambda: b"ISO-10303-21;\nHEADER;\n", "OtherFormat"),
    "an OBJ file": (lambda: b"v 0.0 0.0 1.0\nv 1.0 0.0 0.0\nf 1 2 3\n", "OtherFormat"),
    "an OBJ file with comments": (lambda: b"# made by hand\r\n# twice\nv 0.0 0.0 1.0\nf 1 2 3\n", "OtherFormat"),
    "a text with a heading": (lambda: b"# my part\n\nvery nice\n", "NotAnStl"),
    "a 3MF": (three_mf, "ThreeMf"),
    "random bytes": (noise, "NotAnStl"),
    "a few random bytes": (lambda: noise(60), "NotAnStl"),
    "binary cut in a triangle": (truncated, "Truncated"),
    "binary cut between triangles": (truncated_between, "Truncated"),
    "binary cut, header says solid": (lambda: binary(box(), header=b"solid cube")[:-130], "Truncated"),
    "text cut": (truncated_text, "TruncatedText"),
    "count of 4 thousand million": (lying_header, "WrongTriangleCount"),
    "count of 3 for 12": (lambda: lying_header(3), "WrongTriangleCount"),
    "a decimal comma": (lambda: ascii_cube().replace(b"20.0", b"20,0"), "DecimalComma"),
    "attribute bytes": (with_attributes, "AttributeData"),
    "more attribute bytes than a facet": (lambda: with_attributes(60), "AttributeData"),
    "a facet more than announced": (lambda: cube() + bytes(50), "WrongTriangleCount"),
    "NaN": (lambda: binary(with_corner(float("nan"))), "NotFinite"),
    "infinite": (lambda: binary(with_corner(float("-inf"))), "NotFinite"),
    "NaN in text": (lambda: text(with_corner(float("nan"))), "NotFinite"),
    "1e30": (lambda: binary(with_corner(1e30)), "TooFar"),
    "far away": (lambda: binary(box(at=(2e5, 0, 0))), "TooFar"),
    "zero facets": (zero_facets, "NoTriangles"),
    "zero facets in text": (lambda: text(box()[:0]), "NoTriangles"),
    "only collapsed triangles": (lambda: binary(with_collapsed()[12:]), "NoTriangles"),
    "one flat triangle": (lambda: binary(box()[:1]), "TooThin"),
    "two micrometres": (lambda: binary(box(0.002, 0.002, 0.002) * np.float32(0.01)), "TooThin"),
    "small, in metres": (lambda: binary(small_in_metres()), "DrawnInMetres"),
    "100,000 random triangles": (lambda: binary(soup()), "TriangleSoup"),
    "25,000 loose tetrahedra": (lambda: binary(confetti()), "TooManyShells"),
}

#: The text cube as exporters, editors and mailers damage it without harm: nothing of the part is missing.
HARMLESS: dict[str, Callable[[], bytes]] = {
    "NaN normals": lambda: ascii_cube().replace(b"normal 0 0 0", b"normal nan nan nan"),
    "infinite normal of one facet": lambda: ascii_cube().replace(b"normal 0 0 0", b"normal inf -inf NaN", 1),
    "normals of an old Visual C": lambda: ascii_cube().replace(b"normal 0 0 0", b"normal -1.#IND 1.#QNAN -1.#IND"),
    "a word behind each facet": lambda: ascii_cube().replace(b"endfacet", b"endfacet red"),
    "a control Z at the end": lambda: ascii_cube() + b"\x1a",
    "zeros at the end": lambda: ascii_cube() + bytes(300),
    "the footer of a web page": lambda: ascii_cube() + b"\n<p>Free download</p>\n",
    "binary and a line feed": lambda: cube() + b"\n",
    "binary and 49 bytes": lambda: cube() + b"x" * 49,
}

#: Accepted as they are.
ACCEPTED: dict[str, Callable[[], bytes]] = {
    "cube": cube,
    "text cube": ascii_cube,
    "text with CR line ends": lambda: text(box(), newline="\r"),
    "text with CRLF, in capitals": lambda: text(box(), newline="\r\n").upper(),
    "text with a byte order mark": lambda: b"\xef\xbb\xbf" + ascii_cube(),
    "two solids in one text": lambda: text(box(10, 10, 10), name="a") + text(box(10, 10, 10, at=(20, 0, 0)), name="b"),
    "text with a name of 2 MB": ascii_long_name,
    "text with very long lines": ascii_long_lines,
    "binary whose header says solid": lambda: binary(box(), header=b"solid cube facet normal"),
    "torus": lambda: binary(torus()),
    "sphere": lambda: binary(sphere()),
    "open box": lambda: binary(open_box()),
    "flipped face": lambda: binary(flipped_face()),
    "duplicate face": lambda: binary(duplicate_face()),
    "inverted": lambda: binary(inverted()),
    "two shells": lambda: binary(two_shells()),
    "shared edge": lambda: binary(shared_edge()),
    "cavity": lambda: binary(cavity()),
    "collapsed triangles beside a box": lambda: binary(with_collapsed()),
    "tower": lambda: binary(tower()),
    "inch": lambda: binary(inch_sized()),
    "metre": lambda: binary(metre_sized()),
}
