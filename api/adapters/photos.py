"""Photos of what was handed over: read, turned, made small and written anew, so that nothing of the upload is kept.

A camera's file tells where it was taken; ours does not. Refuses what is no JPEG, PNG or WebP, and what is too large.
"""

from __future__ import annotations

import io
import warnings
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from api.adapters import files
from api.domain.core.errors import Invalid

FORMATS = ("JPEG", "PNG", "WEBP")
LIMIT_BYTES = 12_000_000
LIMIT_PIXELS = 50_000_000
# The longer side of what is kept.
SIDE_PX = 1600


class NotAPhoto(Invalid):
    """This photo cannot be read: send a JPEG, PNG or WebP file."""

    field = "photo"


class PhotoTooLarge(Invalid):
    """This photo is too large: at most {megabytes} MB and {megapixels} megapixels."""

    field = "photo"


def keep_photo(file: BinaryIO) -> str:
    """Its key in the file store; raises NotAPhoto or PhotoTooLarge, and then keeps nothing."""
    raw = file.read(LIMIT_BYTES + 1)
    if len(raw) > LIMIT_BYTES:
        raise _too_large()
    key = files.new_key("photos", "jpg")
    files.put(key, made_anew(raw))
    return key


def made_anew(raw: bytes) -> bytes:
    """The picture alone, upright, as a JPEG of at most SIDE_PX; the size is looked at before it is unpacked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(raw), formats=FORMATS)
            if picture.width * picture.height > LIMIT_PIXELS:
                raise _too_large()
            picture.draft("RGB", (SIDE_PX, SIDE_PX))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large() from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken files
        raise NotAPhoto() from error
    upright.thumbnail((SIDE_PX, SIDE_PX))
    made = io.BytesIO()
    upright.save(made, "JPEG", quality=82, optimize=True, exif=b"")
    return made.getvalue()


def _too_large() -> PhotoTooLarge:
    return PhotoTooLarge(megabytes=LIMIT_BYTES // 1_000_000, megapixels=LIMIT_PIXELS // 1_000_000)
