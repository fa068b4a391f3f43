"""Decoding of image bytes to upright RGB pixels.

Decoders disagree on EXIF orientation, and mixing them rotates boxes; so every other module gets
its pixels from here. No colour management: embedded profiles are ignored.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, features
from pydantic import Field

from workloads.errors import InputRejected, NotAnImage, TooLarge
from workloads.images.png_chunks import drop_remarks
from workloads.options import Options
from workloads.storage.storage import storage_of

Fit = Literal["warp", "pad"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()))
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

# Pillow's own limit lies below ours and speaks through a warning; `_open` checks the header
# itself, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about odd metadata (ILSVRC has such files) that does not touch the pixels.
# The filter is set once because `warnings.catch_warnings` is not safe in threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS_SIDES = (5, 6, 7, 8)


class ImageLimits(Options):
    """Limits on an image's bytes and pixels."""

    max_bytes: int = Field(default=64 * 2**20, ge=1, description="largest file, in bytes")
    max_pixels: int = Field(default=100_000_000, ge=1, description="largest width x height")


def read_image_bytes(path: Path, limits: ImageLimits) -> bytes:
    """The bytes of an image file, which is not read if it is over the limit.

    Raises:
        TooLarge: over the limit on bytes.
        OSError: there is none, or it cannot be read.
    """
    with storage_of(path).open(path) as stream:
        check_bytes(stream.seek(0, os.SEEK_END), limits)
        stream.seek(0)
        return stream.read()


def check_bytes(num_bytes: int, limits: ImageLimits) -> None:
    """Raise TooLarge if a file has more bytes than are allowed."""
    if num_bytes > limits.max_bytes:
        raise TooLarge(f"{num_bytes} bytes, at most {limits.max_bytes} are allowed; compress it")


def decode(data: bytes, limits: ImageLimits) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP, BMP, TIFF or (where Pillow can) AVIF file to upright RGB.

    The EXIF (or XMP) orientation is applied. Transparent images are composited on white, 16-bit
    grey is scaled to 8 bits (v >> 8), CMYK and palettes are converted. Of a multi-picture JPEG,
    as phones write them, the main picture is taken.

    Returns:
        (H, W, 3) uint8, writable, C-contiguous.

    Raises:
        TooLarge: over a limit; pixels are counted from the header, before decoding.
        NotAnImage: empty, or not in one of the allowed formats.
        InputRejected: animated, truncated, corrupt, or with pixels that have no 8-bit meaning.
    """
    return decode_oriented(data, limits)[0]


def decode_oriented(data: bytes, limits: ImageLimits) -> tuple[NDArray[np.uint8], int]:
    """Upright pixels as `decode` gives them, and the EXIF orientation that was applied, 1 to 8.

    Raises:
        InputRejected: as `decode` does.
    """
    with _pillow_errors("decode"):
        image = _open(data, limits)
        if (pixels := _jpeg_pixels(image, data)) is not None:
            return pixels, 1
        image.load()
        orientation = _orientation(image)
        method = _UPRIGHT.get(orientation)
        rgb = _to_rgb(image)
        return np.array(rgb if method is None else rgb.transpose(method)), orientation


def _jpeg_pixels(image: Image.Image, data: bytes) -> NDArray[np.uint8] | None:
    """Pixels of an upright, whole, ordinary JPEG, as Pillow has them, but without Python's lock.

    Both decode with libjpeg-turbo at its defaults. None where Pillow has to decide: damaged files,
    CMYK, odd sampling.
    """
    if image.format != "JPEG" or image.mode not in ("RGB", "L") or _orientation(image) != 1:
        return None
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, strict=True), dtype=np.uint8)
    except ValueError:
        return None


def decode_grey(data: bytes, limits: ImageLimits) -> NDArray[np.uint8]:
    """(H, W) uint8 of a one-channel file (a mask); colours become their luma.

    Nothing is rotated: masks carry no orientation.

    Raises:
        InputRejected: as `decode` does.
    """
    with _pillow_errors("decode"):
        image = _open(data, limits)
        image.load()
        return np.array(image.convert("L"))


def probe(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Upright (width, height) of an image, without decoding its pixels.

    PNG and TIFF are the exception: they may state their orientation behind the pixels, so they
    are decoded.

    Raises:
        InputRejected: as `decode` does, as far as the header shows it.
    """
    with _pillow_errors("read the header of"):
        image = _open(data, limits)
        if image.format in ("PNG", "TIFF"):
            image.load()
        width, height = image.size
        return (height, width) if _orientation(image) in SWAPS_SIDES else (width, height)


def resize_square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Warp (H, W, 3) uint8 to (size, size, 3), the same way in training and inference.

    Each side on its own: it shrinks by area averaging and grows bilinearly with half-pixel
    centres. Both are bit-exact on every machine.

    Raises:
        ValueError: `size` is below 1 or the image is not (H, W, 3) uint8.
    """
    _check_rgb(image, size)
    return _resize(image, size, size)


def resize_short_side(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scale (H, W, 3) uint8 until its shorter side is `size`, as `resize_square` does each side.

    Raises:
        ValueError: as `resize_square`.
    """
    _check_rgb(image, size)
    height, width = short_side_size(image.shape[1], image.shape[0], size)
    return _resize(image, width, height)


def short_side_size(width: int, height: int, size: int) -> tuple[int, int]:
    """(height, width) of an image whose shorter side is `size`; the other is rounded down."""
    shorter = min(width, height)
    return size * height // shorter, size * width // shorter


def ten_crops(square: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    """Corners and centre of an (S, S, 3) square, each (size, size, 3), then the same mirrored.

    Raises:
        ValueError: the square is smaller than the crops.
    """
    margin = len(square) - size
    if margin < 0:
        raise ValueError(f"a square of {len(square)} pixels has no crops of {size}")
    corners = [(0, 0), (0, margin), (margin, 0), (margin, margin), (margin // 2, margin // 2)]
    crops = [square[y : y + size, x : x + size] for y, x in corners]
    return [np.ascontiguousarray(c) for c in (*crops, *(crop[:, ::-1] for crop in crops))]


def resize_padded(
    image: NDArray[np.uint8], size: int, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Scale (H, W, 3) uint8 until its longer side is `size`, and fill up to a square.

    The image stays at the top left. It is resized as `resize_square` does.

    Args:
        colour: RGB of the padding below or to the right.

    Raises:
        ValueError: as `resize_square`.
    """
    _check_rgb(image, size)
    height, width = padded_size(image.shape[1], image.shape[0], size)
    padded = np.empty((size, size, 3), dtype=np.uint8)
    padded[:] = colour
    padded[:height, :width] = _resize(image, width, height)
    return padded


def padded_size(width: int, height: int, size: int) -> tuple[int, int]:
    """(height, width) in pixels that an image takes of a padded square, at least 1 each."""
    longer = max(width, height)
    return max(1, round(size * height / longer)), max(1, round(size * width / longer))


def shrink_within(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 with no side over `longest`: itself, or scaled down as `resize_square` does.

    Raises:
        ValueError: as `resize_square`.
    """
    _check_rgb(image, longest)
    if max(image.shape[:2]) <= longest:
        return image
    height, width = padded_size(image.shape[1], image.shape[0], longest)
    return _resize(image, width, height)


@contextmanager
def _pillow_errors(doing: str) -> Iterator[None]:
    # Pillow raises almost anything on a corrupt file: OSError, SyntaxError, struct.error, ...
    try:
        yield
    except (InputRejected, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputRejected(f"cannot {doing} the image: {reason}; replace the file") from error


def _check_rgb(image: NDArray[np.uint8], size: int) -> None:
    if size < 1:
        raise ValueError(f"size is {size}; give at least 1")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image is {image.dtype} {image.shape}; give uint8 (H, W, 3)")


def _resize(image: NDArray[np.uint8], to_width: int, to_height: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    least = (min(width, to_width), min(height, to_height))
    resized = image
    if least != (width, height):
        resized = cv2.resize(resized, least, interpolation=cv2.INTER_AREA)
    if least != (to_width, to_height):
        grown = (to_width, to_height)
        resized = cv2.resize(resized, grown, interpolation=cv2.INTER_LINEAR_EXACT)
    return image.copy() if resized is image else np.asarray(resized, dtype=np.uint8)


def _open(data: bytes, limits: ImageLimits) -> Image.Image:
    if not data:
        raise NotAnImage(f"the file is empty (allowed: {', '.join(FORMATS)}); replace it")
    check_bytes(len(data), limits)
    try:
        image = Image.open(io.BytesIO(drop_remarks(data)), formats=(*FORMATS, "GIF"))
    except UnidentifiedImageError:
        _refuse_phone_formats(data)
        raise NotAnImage(
            f"not an image, or its header is damaged: it starts with {data[:8]!r} "
            f"(allowed: {', '.join(FORMATS)}); replace the file"
        ) from None
    width, height = image.size
    if width * height > limits.max_pixels:
        raise TooLarge(
            f"{width}x{height} is {width * height} pixels, at most {limits.max_pixels} "
            "are allowed; scale the image down"
        )
    if min(width, height) < 1:
        raise InputRejected(f"the header says {width}x{height} pixels; replace the file")
    _check_still(image)
    return image


def _refuse_phone_formats(data: bytes) -> None:
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _HEIC_BRANDS:
        raise NotAnImage(
            f"HEIC is not supported (allowed: {', '.join(FORMATS)}); save the image as JPEG, "
            "which phones do at 'most compatible'"
        )
    if brand in (b"avif", b"avis"):
        raise NotAnImage(
            f"AVIF is not supported by this Pillow or damaged (allowed: {', '.join(FORMATS)}); "
            "save the image as PNG or JPEG"
        )


def _check_still(image: Image.Image) -> None:
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise InputRejected(
            f"animated or multi-page {image.format} with {frames} frames, "
            "only single images are allowed; save one frame as PNG"
        )
    if image.format == "GIF":
        raise NotAnImage(f"GIF is not allowed (allowed: {', '.join(FORMATS)}); save it as PNG")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the metadata is corrupt."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # as viewers do: pixels are shown as stored
        return 1
    return value if value in _UPRIGHT else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise InputRejected(
            "32-bit floating-point pixels have no agreed white; save the image with 8 or 16 bits"
        )
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray(_high_byte(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _high_byte(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    low, high = int(grey.min()), int(grey.max())
    if low < 0 or high > 0xFFFF:
        raise InputRejected(
            f"grey values from {low} to {high}, 0 to 65535 are allowed; save it with 16 bits"
        )
    return (grey >> 8).astype(np.uint8)
