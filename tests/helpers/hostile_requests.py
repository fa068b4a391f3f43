"""Requests of somebody who means harm, as raw bytes for a socket; the same for the same seed."""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
from PIL import Image

KEY = "X-API-Key"
MODEL = "m"  # that is served
INFER = f"/v2/models/{MODEL}/infer"
PATHS = (
    *("/v1/detect", "/v1/detect:batch", "/v1/models", "/healthz", "/readyz", "/metrics", "/docs"),
    *("/openapi.json", "/", "/page/x", "/v2", INFER),
    *("/v2/models/a/folder/versions/1/infer", "/label-studio/predict", "/label-studio/setup"),
)
WORK = ("/v1/detect", "/v1/detect:batch", INFER, "/label-studio/predict")
WILD = ("", "0", "-1", "1e999", "NaN", "null", "\0", "\ud7ff", "%00", "a" * 3000, "../../etc", "{}")


def images() -> list[bytes]:
    """Small good images of every format."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    found = []
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        found.append(stream.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 8
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=exif.tobytes())
    return [*found, stream.getvalue()]


GOOD = images()


def mutated(rng: random.Random) -> bytes:
    """An image with bytes that were changed, cut out, doubled or mixed with another's."""
    data = bytearray(rng.choice(GOOD))
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(1, 64)]
            case 2:
                data[at:at] = data[at : at + rng.randrange(1, 64)]
            case 3:
                data[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case 4:
                data[at:] = rng.choice(GOOD)[at:]
        data = data or bytearray(b"\0")
    return bytes(data)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(rng: random.Random) -> bytes:
    """A PNG of few bytes that claims, or has, very many pixels or very long remarks."""
    side = rng.choice((999, 1001, 4000, 30_000, 2**31 - 1))
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = _chunk(b"IDAT", zlib.compress(b"\0" * min(side * (side + 1), 2**20 * 20)))
    remark = b"a\0\0" + zlib.compress(b"x" * 2**24)
    remarks = _chunk(b"zTXt", remark) * rng.choice((0, 0, 3))
    return b"\x89PNG\r\n\x1a\n" + head + remarks + rows + _chunk(b"IEND", b"")


def request(
    method: str, path: str, body: bytes = b"", kind: str = "", key: str = "", **headers: str
) -> bytes:
    """One well-formed request, which closes the connection."""
    lines = {"Host": "h", "Connection": "close", "Content-Length": str(len(body))}
    lines |= ({"Content-Type": kind} if kind else {}) | ({KEY: key} if key else {})
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogatepass") + body


def form(parts: list[tuple[str, bytes]], boundary: str = "b") -> tuple[bytes, str]:
    """A multipart body of headers and data, and its type."""
    body = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode("utf-8", "surrogatepass") + data + b"\r\n"
        for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def image_request(rng: random.Random, key: str) -> bytes:
    """A changed image or a bomb by any way that images come."""
    data = bomb(rng) if rng.random() < 0.02 else mutated(rng)
    text = base64.b64encode(data).decode()
    match rng.randrange(5):
        case 0:
            return request("POST", "/v1/detect", data, "image/png", key)
        case 1:
            head = 'Content-Disposition: form-data; name="f"; filename="a"'
            files = [(head, data), (head, rng.choice(GOOD))][: rng.choice((1, 2))]
            return request("POST", "/v1/detect:batch", *form(files), key)
        case 2:
            body = json.dumps({"image": text, "return": "map,overlay,boxes"}).encode()
            return request("POST", "/v1/detect", body, "application/json", key)
        case 3:
            one = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
            body = json.dumps({"inputs": [one]}).encode()
            return request("POST", INFER, body, "application/json", key)
    task = {"data": {"image": f"data:image/png;base64,{text}"}}
    body = json.dumps({"tasks": [task]}).encode()
    return request("POST", "/label-studio/predict", body, "application/json", key)


def wild_value(rng: random.Random, depth: int = 0) -> object:
    """Any JSON, often of the names that are looked for."""
    names = ("image", "images", "url", "inputs", "tasks", "data", "label_config", "parameters")
    match rng.randrange(7 if depth < 4 else 4):
        case 0:
            return rng.choice((None, True, -1, 1e308, 2**63, 2**80, 0.5))
        case 1 | 2:
            return rng.choice(WILD)
        case 3:
            return base64.b64encode(rng.choice(GOOD)).decode()
        case 4:
            return [wild_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice((*names, "shape", "name", "x")): wild_value(rng, depth + 1) for _ in "abc"}


def json_request(rng: random.Random, key: str) -> bytes:
    """JSON of any shape, or none."""
    bodies: tuple[Callable[[], bytes], ...] = (
        lambda: json.dumps(wild_value(rng)).encode(),
        lambda: json.dumps({"images": wild_value(rng), "inputs": wild_value(rng)}).encode(),
        lambda: b"[" * rng.randrange(1, 100_000),
        lambda: b'{"a":' * rng.randrange(1, 10_000),
        lambda: b"[" + b"{}," * rng.randrange(1, 200_000) + b"0]",
        lambda: b'{"image": "' + b"A" * rng.randrange(1, 900_000) + b'"}',
        lambda: b'{"image": "\\ud800"}',
        lambda: rng.randbytes(rng.randrange(200)),
    )
    weights = (30, 30, 2, 2, 1, 1, 5, 20)
    body = rng.choices(bodies, weights)[0]()
    return request("POST", rng.choice(WORK), body, "application/json", key)


def form_request(rng: random.Random, key: str) -> bytes:
    """Forms with odd parts, odd headers and odd boundaries."""
    head = 'Content-Disposition: form-data; name="f"; filename="a"'
    parts = rng.choice(
        (
            [(f'Content-Disposition: form-data; name="{i}"', b"x") for i in range(200)],
            [(head, rng.choice(GOOD))] * 50,
            [(f"X-{i}: y", b"") for i in range(20)],
            [("X: " + "y" * 50_000, b"")],
            [(head.replace('"a"', f'"{rng.choice(WILD)}"'), mutated(rng))],
            [(head + "\r\nContent-Transfer-Encoding: base64", mutated(rng))],
            [('Content-Disposition: form-data; name="min_score"', b"\xff\xfe"), (head, GOOD[0])],
            [],
        )
    )
    body, kind = form(parts, rng.choice(("b", "b", "b" * 70, "-", "'")))
    if rng.random() < 0.3:
        body = body[: rng.randrange(len(body) + 1)]
    if rng.random() < 0.1:
        kind = rng.choice(
            ("multipart/form-data", kind + "; charset=utf-32", kind.replace("b", "c"))
        )
    return request("POST", rng.choice(WORK[:2]), body, kind, key)


def header_request(rng: random.Random, key: str) -> bytes:
    """Shapes of headers and framing that confuse servers, and proxies before them."""
    body = GOOD[0]
    plain = f"POST /v1/detect HTTP/1.1\r\nHost: h\r\n{KEY}: {key}\r\nContent-Type: image/png\r\n"
    n = len(body)
    chunked = b"%x\r\n" % n + body + b"\r\n0\r\n\r\n"
    te = "Transfer-Encoding: chunked\r\n"
    shapes: list[tuple[str, bytes]] = [
        (f"Content-Length: {n}\r\n{te}", chunked),
        (f"Content-Length: {n}\r\nContent-Length: {n + 1}\r\n", body),
        (f"Content-Length: {n}, {n}\r\n", body),
        ("Content-Length: +5\r\n", body),
        ("Content-Length: -5\r\n", body),
        ("Content-Length: 0x10\r\n", body),
        (f"Content-Length: {'9' * 30}\r\n", body),
        ("Transfer-Encoding: xchunked\r\n", chunked),
        ("Transfer-Encoding: chunked, identity\r\n", chunked),
        (f"{te}{te}", chunked),
        ("Transfer-Encoding : chunked\r\n", chunked),
        ("Transfer-Encoding:\tchunked\r\n", chunked),
        (te, b"zz\r\n" + body),
        (te, b"ffffffffffffffff1\r\n" + body),
        (te, b"-1\r\n" + body),
        (te, b"5;" + b"x" * 20_000 + b"\r\n" + body[:5] + b"\r\n0\r\n\r\n"),
        (te, chunked[:-5] + b"0\r\nX: " + b"y" * 5000 + b"\r\n\r\n"),
        (te, chunked[:20]),
        (f"Content-Length: {n}\r\n" + "".join(f"X-{i}: y\r\n" for i in range(3000)), body),
        (f"Content-Length: {n}\r\nX: {'y' * rng.choice((30_000, 70_000, 300_000))}\r\n", body),
        (f"Content-Length: {n}\r\n folded: yes\r\n", body),
        (f"Content-Length: {n}\r\nX: a\0b\r\n", body),
        (f"Content-Length: {n}\r\nNo colon\r\n", body),
        (f"Content-Length: {n}\r\nExpect: 100-continue\r\n", body),
        (f"Content-Length: {n}\r\nExpect: nonsense\r\n", body),
        (f"Content-Length: {n}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", body),
        (f"Content-Length: {n}\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n", body),
        (f"Content-Length: {n}\r\nContent-Encoding: gzip\r\n", body),
        (f"Content-Length: {n}\r\nX-Request-Id: a\r\nX-Request-Id: {'b' * 99}\r\n", body),
    ]
    head, tail = rng.choice(shapes)
    lines = rng.choice((plain,) * 8 + tuple(_first_lines(plain, rng)))
    end = "" if "Upgrade" in head else "Connection: close\r\n"
    return f"{lines}{head}{end}\r\n".encode("latin-1") + tail


def _first_lines(plain: str, rng: random.Random) -> list[str]:
    rest = plain.partition("\r\n")[2]
    lines = (
        *("POST /v1/detect HTTP/9.9", "POST  /v1/detect HTTP/1.1", "POST /v1/detect", "\0"),
        *("PRI * HTTP/2.0", f"GET /{'a' * 100_000} HTTP/1.1", "GET http://[::1 HTTP/1.1"),
        *(
            "OPTIONS * HTTP/1.1",
            "CONNECT h:1 HTTP/1.1",
            "\x16\x03\x01\x02\0\x01",
            "BREW / HTTP/1.1",
        ),
        "POST //v1/detect HTTP/1.1",
    )
    return [f"{rng.choice(lines)}\r\n{rest}"]


def path_request(rng: random.Random, key: str) -> bytes:
    """Any method, path and query; the key is good, missing or wrong."""
    method = rng.choice(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"))
    path = rng.choice((*PATHS, *(f"/{quote(wild)}" for wild in WILD), "/v2/models/" + "a/" * 500))
    names = ("model", "min_score", "cutoff", "classes", "max_detections", "return", "x", "")
    pairs = [
        f"{rng.choice(names)}={quote(rng.choice(WILD), errors='replace')}"
        for _ in range(rng.choice((0, 1, 1, 3, 200)))
    ]
    wrong = rng.choice((key, key, "", key[:-1], "wsol_", "Basic x", "é" * 50))
    body = rng.choice((b"", b"", rng.choice(GOOD)))
    kind = rng.choice(("", "image/png", "application/json", "text/plain", "a/b;" * 100))
    return request(method, f"{path}?{'&'.join(pairs)}", body, kind, wrong)


KINDS: tuple[tuple[str, int, Callable[[random.Random, str], bytes]], ...] = (
    ("changed images", 40, image_request),
    ("JSON", 15, json_request),
    ("forms", 15, form_request),
    ("headers and framing", 15, header_request),
    ("paths, options and keys", 15, path_request),
)
"""Name, weight and maker of each kind of request."""
