"""Depth and colour images from files and from compressed bytes. Pillow decodes them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dspdet3d_ros.errors import missing_package, no_such_file, text_of
from dspdet3d_ros.mapping.frame import FrameRefused

if TYPE_CHECKING:
    from PIL.Image import Image

# Larger images are taken for damaged ones.
_MOST_PIXELS = 100_000_000
_AGAIN = "write or copy it again"


def read_depth(source: str | Path | bytes, name: str = "") -> np.ndarray:
    """(H, W) uint16 numbers of a depth image with one channel of 16 bits, PNG or another lossless format.

    Args:
        source: path of a file, or its content.
        name: how the text of an error begins; default: the path.

    Raises:
        FrameRefused: kind "file": the image is missing or damaged. Kind "depth": it is no depth image.
        InputError: Pillow is missing.
    """
    name = name or ("depth image" if isinstance(source, bytes) else str(source))
    image = _opened(source, name)
    if image.mode not in ("I;16", "I;16B", "I;16L", "I"):
        raise FrameRefused(
            "depth", f"{name}: expected one channel of 16 bits, got the mode {image.mode}; save depth as 16-bit PNG"
        )
    values = _array(image, name)
    if values.dtype != np.uint16 and (values.min(initial=0) < 0 or values.max(initial=0) > 65535):
        raise FrameRefused("depth", f"{name}: expected numbers of 16 bits, got larger ones; save depth as 16-bit PNG")
    return values.astype(np.uint16, copy=False)


def read_colour(source: str | Path | bytes, name: str = "") -> np.ndarray:
    """(H, W, 3) uint8 of a colour or grey image, red first. Arguments and errors as for `read_depth`."""
    name = name or ("colour image" if isinstance(source, bytes) else str(source))
    image = _opened(source, name)
    if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "CMYK", "YCbCr"):
        raise FrameRefused(
            "colour",
            f"{name}: expected a colour or grey image of 8 bits, got the mode {image.mode}; save it as PNG or JPEG",
        )
    try:
        return np.asarray(image.convert("RGB"))
    except Exception as error:
        raise FrameRefused("file", f"{name}: cannot be decoded: {text_of(error)}; {_AGAIN}") from error


def in_metres(numbers: np.ndarray, units_per_metre: float = 1000.0) -> np.ndarray:
    """(H, W) float32 metres of 16-bit depths; 0 and 65535 are no measurement and become 0."""
    metres = numbers.astype(np.float32) * np.float32(1 / units_per_metre)
    metres[numbers == 65535] = 0
    return metres


def _opened(source: str | Path | bytes, name: str) -> Image:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise missing_package("images", "pillow") from None
    if not isinstance(source, bytes) and not Path(source).is_file():
        raise FrameRefused("file", str(no_such_file(source)))
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except UnidentifiedImageError as error:
        raise FrameRefused("file", f"{name}: is no image of a known format; {_AGAIN}") from error
    except Exception as error:
        raise FrameRefused("file", f"{name}: is no image that can be read: {text_of(error)}; {_AGAIN}") from error
    if image.width * image.height > _MOST_PIXELS:
        raise FrameRefused("file", f"{name}: claims {image.width} x {image.height} pixels; {_AGAIN}")
    return image


def _array(image: Image, name: str) -> np.ndarray:
    try:
        return np.asarray(image)
    except Exception as error:
        # A damaged file makes the decoder raise anything.
        raise FrameRefused("file", f"{name}: cannot be decoded: {text_of(error)}; {_AGAIN}") from error
