"""The smallest files that are what they say: a grey picture, a second of silence, a form that carries them."""

from __future__ import annotations

import base64
import struct
import zlib

BOUNDARY = "preflight-7d1f5a0c"


def png(width: int = 64, height: int = 64) -> bytes:
    """A grey picture of one bit per pixel; 64 pixels a side, because some models refuse smaller ones."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\x00" + b"\xaa" * ((width + 7) // 8)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def wav(seconds: float = 1.0, rate: int = 8000) -> bytes:
    """Silence: one channel of 8 bits at ``rate`` samples per second."""
    samples = b"\x80" * int(seconds * rate)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples + b"\x00" * (len(samples) % 2)
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def form(fields: dict[str, str], name: str, content: bytes, kind: str) -> tuple[bytes, str]:
    """A multipart body with these fields and one ``file``, and its content type."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {kind}\r\n'
    parts += [head.encode(), b"\r\n", content, f"\r\n--{BOUNDARY}--\r\n".encode()]
    return b"".join(parts), f"multipart/form-data; boundary={BOUNDARY}"
