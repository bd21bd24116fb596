"""Photos of what was handed over: decoded, turned upright, made smaller and encoded again as JPEG."""

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
    files.put(key, reencode(raw))
    return key


def reencode(raw: bytes) -> bytes:
    """The picture alone, upright, as a JPEG of at most SIDE_PX; raises NotAPhoto or PhotoTooLarge."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Opening reads the header only: a bomb is refused before it is unpacked.
            picture = Image.open(io.BytesIO(raw), formats=FORMATS)
            if picture.width * picture.height > LIMIT_PIXELS:
                raise _too_large()
            # Lets the JPEG decoder scale down while it decodes, in a fraction of the memory.
            picture.draft("RGB", (SIDE_PX, SIDE_PX))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large() from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # what Pillow raises on broken files
        raise NotAPhoto() from error
    upright.thumbnail((SIDE_PX, SIDE_PX))
    out = io.BytesIO()
    # Without EXIF: the file of a camera tells where and when it was taken.
    upright.save(out, "JPEG", quality=82, optimize=True, exif=b"")
    return out.getvalue()


def _too_large() -> PhotoTooLarge:
    return PhotoTooLarge(megabytes=LIMIT_BYTES // 1_000_000, megapixels=LIMIT_PIXELS // 1_000_000)
