"""Every kind of image file, good and bad, goes through the one decode function."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from workloads.errors import InputRejected, NotAnImage, TooLarge
from workloads.images.decode import FORMATS, ImageLimits, decode, probe, resize_square
from workloads.images.png_chunks import drop_remarks

LIMITS = ImageLimits()
HEIGHT, WIDTH = 12, 20
# Outside of tests, `workloads.images.decode` silences these itself; pytest resets the filters.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x\x9c") + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(kind: str) -> None:
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = encode(pixels(), kind, **lossless)
    image = decode(data, LIMITS)
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert image.flags.c_contiguous
    assert probe(data, LIMITS) == (WIDTH, HEIGHT)
    if kind not in ("JPEG", "AVIF"):
        np.testing.assert_array_equal(image, pixels())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_all_orientations_give_the_same_upright_pixels(kind: str, orientation: int) -> None:
    upright = pixels()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = encode(np.ascontiguousarray(stored), kind, exif=exif, **lossless)
    np.testing.assert_array_equal(decode(data, LIMITS), upright)
    assert probe(data, LIMITS) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_jpeg_orientation_and_probe(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = decode(encode(pixels(), "JPEG"), LIMITS)
    turned = {3: np.rot90(plain, 2), 6: np.rot90(plain, -1), 8: np.rot90(plain)}[orientation]
    data = encode(pixels(), "JPEG", exif=exif)
    np.testing.assert_array_equal(decode(data, LIMITS), turned)
    assert probe(data, LIMITS) == turned.shape[1::-1]


def test_orientation_behind_the_pixels_of_a_png() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(pixels())
    end = data.rindex(b"IEND") - 4
    late = data[:end] + png_chunk(b"eXIf", exif.tobytes()[6:]) + data[end:]
    assert decode(late, LIMITS).shape == (WIDTH, HEIGHT, 3)
    assert probe(late, LIMITS) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03"])
def test_corrupt_exif_leaves_the_image_as_stored(exif: bytes) -> None:
    data = encode(pixels(), "JPEG", exif=exif)
    np.testing.assert_array_equal(decode(data, LIMITS), decode(encode(pixels(), "JPEG"), LIMITS))


def test_cmyk() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("TIFF", "JPEG"):
        image = decode(encode(red, kind), LIMITS)
        np.testing.assert_allclose(image, np.full((8, 8, 3), (255, 0, 0)), atol=3)


def test_adobe_cmyk_is_not_inverted_twice() -> None:
    data = encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    assert b"Adobe" in data  # Pillow writes the marker and inverts, as Photoshop does
    assert decode(data, LIMITS)[0, 0, 0] > 250


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    grey = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    image = decode(encode(grey, kind), LIMITS)
    np.testing.assert_array_equal(image, np.repeat((grey >> 8)[..., None], 3, axis=2))


def test_16_bit_big_endian_tiff() -> None:
    grey = np.array([[0, 256, 65535]], ">u2")
    image = decode(encode(Image.fromarray(grey), "TIFF"), LIMITS)
    assert image[0, :, 0].tolist() == [0, 1, 255]


def test_32_bit_integers_are_taken_as_16_bit_or_rejected() -> None:
    fits = encode(Image.fromarray(np.array([[0, 65535]], np.int32)), "TIFF")
    assert decode(fits, LIMITS)[0, :, 0].tolist() == [0, 255]
    with pytest.raises(InputRejected, match="0 to 70000, 0 to 65535 are allowed"):
        decode(encode(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"), LIMITS)


def test_float_pixels_are_rejected() -> None:
    data = encode(Image.fromarray(np.ones((4, 5), np.float32)), "TIFF")
    with pytest.raises(InputRejected, match="floating-point"):
        decode(data, LIMITS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_other_modes_become_rgb(mode: str) -> None:
    data = encode(Image.fromarray(pixels()).convert(mode))
    assert decode(data, LIMITS).shape == (HEIGHT, WIDTH, 3)


def test_transparency_is_composited_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decode(encode(clear), LIMITS) == 255).all()
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert (decode(encode(palette, transparency=0), LIMITS) == 255).all()
    assert (decode(encode(palette, transparency=b"\x00\xff"), LIMITS) == 255).all()


@pytest.mark.parametrize(("kind", "frames"), [("GIF", 3), ("WEBP", 3), ("PNG", 3), ("TIFF", 3)])
def test_animated_is_rejected_with_the_number_of_frames(kind: str, frames: int) -> None:
    more = [Image.fromarray(pixels(seed)) for seed in range(1, frames)]
    data = encode(pixels(), kind, save_all=True, append_images=more)
    for function in (decode, probe):
        with pytest.raises(InputRejected, match=rf"{kind} with {frames} frames"):
            function(data, LIMITS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_upright_like_every_other_format(orientation: int) -> None:
    """Lossy, so compared by a ramp of wide steps, which no two orientations share."""
    ramp = np.zeros((32, 48, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(48) * 5, np.arange(32)[:, None] * 7
    turns = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # what undoes each
    stored = decode(with_orientation(ramp, turns[orientation], "PNG"), LIMITS)
    data = with_orientation(stored, orientation, "AVIF", quality=95, subsampling="4:4:4")
    assert probe(data, LIMITS) == (48, 32)
    np.testing.assert_allclose(decode(data, LIMITS).astype(int), ramp.astype(int), atol=12)


def with_orientation(image: np.ndarray, orientation: int, kind: str, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, kind, exif=exif, **options)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"hevc"])
def test_heic_is_named(brand: bytes) -> None:
    data = b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1heic" + bytes(100)
    for function in (decode, probe):
        with pytest.raises(NotAnImage, match=r"HEIC is not supported .*save the image as JPEG"):
            function(data, LIMITS)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP"])
def test_what_stands_beside_the_pixels_of_a_png_costs_nothing(kind: bytes) -> None:
    """3 MB of text that packs well, as image generators write: Pillow itself refuses it."""
    text = b"a prompt, " * 300_000
    packed = zlib.compress(text)
    body = {
        b"tEXt": b"prompt\0" + text,
        b"zTXt": b"prompt\0\0" + packed,
        b"iTXt": b"prompt\0\1\0\0\0" + packed,
        b"iCCP": b"profile\0\0" + packed,
    }[kind]
    plain = encode(pixels())
    after_header = 8 + 25
    data = plain[:after_header] + png_chunk(kind, body) + plain[after_header:]
    np.testing.assert_array_equal(decode(data, LIMITS), pixels())
    assert probe(data, LIMITS) == (WIDTH, HEIGHT)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_png_without_remarks_is_the_same_and_a_torn_one_is_kept(noise: bytes, cut: int) -> None:
    plain = encode(pixels())
    assert drop_remarks(plain) is plain
    assert drop_remarks(noise) is noise
    torn = plain[:33] + png_chunk(b"tEXt", b"k\0" + noise)[:cut]
    found = drop_remarks(torn)
    assert found.startswith(plain[:33])
    assert len(found) <= len(torn)
    whole = plain[:33] + png_chunk(b"tEXt", b"k\0" + noise) + plain[33:]
    assert drop_remarks(whole) == plain


def test_an_orientation_in_the_text_of_a_png_counts() -> None:
    """XMP, as Adobe's programs write it; a comment beside it does not matter."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    plain = encode(pixels())
    chunks = png_chunk(b"tEXt", b"Comment\0x") + png_chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    )
    data = plain[:33] + chunks + plain[33:]
    np.testing.assert_array_equal(decode(data, LIMITS), np.rot90(pixels(), -1))


def test_main_picture_of_a_phone_jpeg_is_taken() -> None:
    data = encode(pixels(), "MPO", save_all=True, append_images=[Image.fromarray(pixels(1))])
    np.testing.assert_array_equal(decode(data, LIMITS), decode(encode(pixels(), "JPEG"), LIMITS))


@pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO"])
def test_other_formats_are_refused_with_the_allowed_ones(kind: str) -> None:
    with pytest.raises(NotAnImage, match="allowed: JPEG, PNG, WEBP, BMP, TIFF"):
        decode(encode(pixels(), kind), LIMITS)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"just text\n", "starts with b'just tex'"), (b"\xff\xd8", "header")],
)
def test_not_an_image(data: bytes, reason: str) -> None:
    with pytest.raises(NotAnImage, match=reason):
        decode(data, LIMITS)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated(kind: str, share: float) -> None:
    data = encode(pixels(), kind)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(InputRejected) as caught:
        decode(data[: int(share * len(data))], LIMITS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(400, 350), (401, 349), (17, 33), (1, 1), (3, 50)])
@pytest.mark.parametrize("options", [
    {"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True},
    {"quality": 30}, {"quality": 98}, {"mode": "L"}, {"mode": "CMYK"},
])  # fmt: skip
def test_jpegs_have_the_pixels_that_pillow_has(size: tuple[int, int], options: dict) -> None:
    options = dict(options)
    coarse = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size).convert(options.pop("mode", "RGB"))
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    found = decode(stream.getvalue(), LIMITS)
    np.testing.assert_array_equal(found, np.array(Image.open(stream).convert("RGB")))
    assert found.flags.writeable


def test_damaged_png_data() -> None:
    data = bytearray(encode(pixels()))
    data[60] ^= 0xFF
    with pytest.raises(InputRejected, match="cannot decode"):
        decode(bytes(data), LIMITS)


@pytest.mark.parametrize("function", [decode, probe])
def test_pixel_bomb_is_refused_from_its_header(function) -> None:
    with pytest.raises(TooLarge, match="50000x50000 is 2500000000 pixels, at most 100000000"):
        function(png_header(50_000, 50_000), LIMITS)


def test_pillow_does_not_warn_below_our_limit() -> None:
    with pytest.raises(InputRejected, match="truncated"):  # no DecompressionBombWarning
        probe(png_header(9_999, 9_999), LIMITS)


def test_limits_are_inclusive() -> None:
    data = encode(pixels())
    area = WIDTH * HEIGHT
    decode(data, ImageLimits(max_pixels=area, max_bytes=len(data)))
    with pytest.raises(TooLarge, match=f"{area} pixels, at most {area - 1}"):
        decode(data, ImageLimits(max_pixels=area - 1))
    with pytest.raises(TooLarge, match=f"{len(data)} bytes, at most {len(data) - 1}"):
        decode(data, ImageLimits(max_bytes=len(data) - 1))


def test_running_out_of_memory_is_no_fault_of_the_image(monkeypatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    with pytest.raises(MemoryError):
        decode(encode(pixels(), "BMP"), LIMITS)


# A busy machine is no failure.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
STARTS = [encode(pixels(), kind) for kind in (*FORMATS, "GIF")]


@patient
@given(st.sampled_from(STARTS), st.integers(0, 400), st.binary(max_size=40), st.integers(0, 40))
def test_only_rejections_escape(start: bytes, at: int, noise: bytes, cut: int) -> None:
    data = start[:at] + noise + start[at + cut :]
    for function in (decode, probe):
        assert "\n" not in rejection(function, data)


def rejection(function, data: bytes) -> str:
    try:
        function(data, ImageLimits(max_pixels=1_000_000))
    except InputRejected as error:
        return str(error)
    return ""


@patient
@given(st.binary(max_size=200))
def test_random_bytes_are_rejected(data: bytes) -> None:
    with pytest.raises(InputRejected):
        decode(data, LIMITS)


@pytest.mark.parametrize("shape", [(40, 40), (10, 10), (100, 20), (64, 64), (1, 300)])
def test_resize_square(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    warped = resize_square(image, 32)
    assert warped.shape == (32, 32, 3)
    assert warped.dtype == np.uint8
    np.testing.assert_array_equal(warped, resize_square(image.copy(), 32))


def test_resize_square_shrinks_by_area_and_keeps_its_size() -> None:
    image = pixels()[:, :HEIGHT].copy()
    np.testing.assert_array_equal(resize_square(image, HEIGHT), image)
    blocks = image.reshape(6, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize_square(image, 6), blocks, atol=0.51)


def test_resize_square_is_the_same_with_any_number_of_threads() -> None:
    image = np.random.default_rng(0).integers(0, 256, (500, 333, 3), dtype=np.uint8)
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = resize_square(image, 224)
        cv2.setNumThreads(4)
        np.testing.assert_array_equal(resize_square(image, 224), one)
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(
    ("image", "size"),
    [(pixels(), 0), (pixels()[..., 0], 8), (pixels().astype(np.float32), 8)],
)
def test_resize_square_refuses_other_arrays(image: np.ndarray, size: int) -> None:
    with pytest.raises(ValueError, match="give"):
        resize_square(image, size)
