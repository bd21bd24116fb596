"""A photo is read, turned upright, made small and written anew; what is none, or too large, leaves nothing."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from api.adapters import files, photos
from api.adapters.photos import LIMIT_BYTES, SIDE_PX, NotAPhoto, PhotoTooLarge, keep_photo, reencode

pytestmark = pytest.mark.usefixtures("data_dir")


def picture(width: int, height: int, kind: str, **more: object) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), "#446688").save(made, kind, **more)
    return made.getvalue()


@pytest.mark.parametrize("kind", photos.FORMATS)
def test_every_usual_kind_becomes_a_jpeg_that_is_no_larger_than_needed(kind: str) -> None:
    key = keep_photo(io.BytesIO(picture(4000, 1000, kind)))
    with Image.open(io.BytesIO(b"".join(files.read(key)))) as kept:
        assert (kept.format, kept.size) == ("JPEG", (SIDE_PX, SIDE_PX // 4))


def test_where_it_was_taken_is_not_kept_and_it_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned
    exif[0x010F] = "A camera of Mende"
    made = reencode(picture(40, 20, "JPEG", exif=exif))
    with Image.open(io.BytesIO(made)) as kept:
        assert kept.size == (20, 40)
        assert not kept.getexif()
    assert b"Mende" not in made


def test_a_transparent_picture_is_readable_too() -> None:
    made = io.BytesIO()
    Image.new("RGBA", (10, 10), (1, 2, 3, 0)).save(made, "PNG")
    assert reencode(made.getvalue()).startswith(b"\xff\xd8")


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises that many pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "raw", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8\xff", picture(9, 9, "JPEG")[:200], picture(9, 9, "GIF")]
)
def test_what_is_no_photo_is_refused_and_nothing_is_kept(raw: bytes, data_dir: Path) -> None:
    with pytest.raises(NotAPhoto):
        keep_photo(io.BytesIO(raw))
    assert not list(data_dir.rglob("*.jpg"))


@pytest.mark.parametrize(
    "raw", [png_that_claims(9000, 9000), png_that_claims(60_000, 60_000), b"\0" * (LIMIT_BYTES + 1)]
)
def test_what_is_too_large_is_refused_before_it_is_unpacked(raw: bytes) -> None:
    with pytest.raises(PhotoTooLarge):
        keep_photo(io.BytesIO(raw))
