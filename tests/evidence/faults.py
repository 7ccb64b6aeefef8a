"""A server on loopback that behaves as badly as servers can: one fault per first path segment of its address."""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SECONDS = 20.0  # no fault goes on for longer than this, whatever its client does
Fault = Callable[[socket.socket, str], None]


@dataclass
class FaultServer:
    port: int
    connections: int = 0

    def url(self, fault: str) -> str:
        return f"http://127.0.0.1:{self.port}/{fault}"


def _until(ended: float) -> Iterator[None]:
    while time.monotonic() < ended:
        yield


def drip(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    for _ in _until(time.monotonic() + SECONDS):
        sock.sendall(b" ")
        time.sleep(0.05)


def endless(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b"\r\n")
    for _ in _until(time.monotonic() + SECONDS):
        sock.sendall(b"x" * 65536)


def bomb(sock: socket.socket, path: str) -> None:
    body = _bomb()
    sock.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@functools.cache
def _bomb() -> bytes:
    """200 MB of nothing, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(200)) + packer.flush()


def many_headers(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n")


def redirect_loop(sock: socket.socket, path: str) -> None:
    sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % path.encode())


def redirect_away(sock: socket.socket, path: str) -> None:
    target = b"http://169.254.169.254/latest/meta-data/"
    sock.sendall(b"HTTP/1.1 307 Moved\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")


def _reply(sock: socket.socket, body: bytes, kind: bytes = b"application/json") -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    sock.sendall(head + body)


def wrong_type(sock: socket.socket, path: str) -> None:
    _reply(sock, b"\x89PNG\r\n\x1a\n" + b"\0" * 200, b"image/png")


def invalid_utf8(sock: socket.socket, path: str) -> None:
    _reply(sock, b'{"data": [{"id": "\xff\xfe\xc0\x80"}]}')


def million_series(sock: socket.socket, path: str) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
    for start in range(0, 1_000_000, 2000):
        rows = (f'vllm:e2e_request_latency_seconds_count{{r="{n}"}} {n}\n' for n in range(start, start + 2000))
        sock.sendall("".join(rows).encode())


def not_numbers(sock: socket.socket, path: str) -> None:
    name = "vllm:time_to_first_token_seconds"
    page = "".join(f'{name}_bucket{{le="{le}"}} {value}\n' for le, value in (("0.5", "NaN"), ("+Inf", "+Inf")))
    page += f"{name}_count NaN\n{name}_sum -Inf\nvllm:kv_cache_usage_perc NaN\n"
    _reply(sock, page.encode(), b"text/plain")


def deep_json(sock: socket.socket, path: str) -> None:
    _reply(sock, b'{"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}")


def reset(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"data": [')
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def noise(sock: socket.socket, path: str) -> None:
    sock.sendall(b"<html>HTTP/0.9 knows no headers</html>\n" + bytes(range(256)))


def silent(sock: socket.socket, path: str) -> None:
    for _ in _until(time.monotonic() + SECONDS):
        sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            if not sock.recv(1024):
                return


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        *(drip, endless, bomb, many_headers, redirect_loop, redirect_away, wrong_type, invalid_utf8),
        *(million_series, not_numbers, deep_json, reset, noise, silent),
    )
}


@contextlib.contextmanager
def fault_server() -> Iterator[FaultServer]:
    """Runs until the block ends; a connection is closed after one answer."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = FaultServer(listener.getsockname()[1])

    def answer(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(SECONDS)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := sock.recv(65536)):
                    return
                head += data
            path = head.split(b" ", 2)[1].decode("ascii", "replace")
            FAULTS[path.split("/")[1].partition("?")[0]](sock, path)

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
