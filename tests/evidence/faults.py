"""A server on loopback that behaves as badly as servers can: the first path segment of its address says how.

``/drip/…`` is bad whatever is asked; ``/drip.post/…`` only answers a POST badly, ``/drip.later/…`` only from the third
POST on, and ``/drip.query/…`` is a Prometheus server that knows its names and is bad at every query. Otherwise these
three behave like a small vLLM server.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import itertools
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
SECONDS = 20.0  # no fault goes on for longer than this, whatever its client does
LATER = 3  # the POST that is the first to go wrong
INJECTED = b"X-Injected"
Fault = Callable[[socket.socket, str], None]


@dataclass
class FaultServer:
    """A process of its own, so that what it does costs the tested process nothing."""

    port: int

    def url(self, fault: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{fault}"

    def seen(self) -> dict[str, Any]:
        """How many requests came for each fault (``asked``), and how many carried a header of its making."""
        with urllib.request.urlopen(self.url("_seen"), timeout=5) as answer:
            return dict(json.load(answer))


def _until(seconds: float = SECONDS) -> Iterator[None]:
    ended = time.monotonic() + seconds
    while time.monotonic() < ended:
        yield


def _reply(sock: socket.socket, body: bytes, kind: bytes = b"application/json", more: bytes = b"") -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n" % (
        kind,
        more,
        len(body),
    )
    sock.sendall(head + body)


def _stream(sock: socket.socket, pieces: Iterable[bytes], kind: bytes = b"application/json") -> None:
    """Without a length, until the pieces end or the client has had enough."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n" % kind)
    for piece, _ in zip(pieces, _until(), strict=False):
        sock.sendall(piece)


def _redirect(sock: socket.socket, location: bytes) -> None:
    sock.sendall(b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location)


# Time and size


def drip(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    for _ in _until():
        sock.sendall(b" ")
        time.sleep(0.05)


def silent(sock: socket.socket, path: str) -> None:
    for _ in _until():
        sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            if not sock.recv(1024):
                return


def endless(sock: socket.socket, path: str) -> None:
    _stream(sock, itertools.repeat(b"x" * 65536))


def huge_string(sock: socket.socket, path: str) -> None:
    """JSON that holds one string of 50 MB."""
    _stream(sock, itertools.chain((b'{"object": "list", "data": "',), itertools.repeat(b"x" * 65536, 763), (b'"}',)))


def one_line(sock: socket.socket, path: str) -> None:
    """A metrics page of a single line of 2 MB, which is the length of one label."""
    _reply(sock, b'vllm:num_requests_running{model_name="' + b"x" * 2_000_000 + b'"} 1\n', b"text/plain")


def label_bomb(sock: socket.socket, path: str) -> None:
    _reply(sock, b"vllm:num_requests_running{" + _labels() + b"} 1\n", b"text/plain")


@functools.cache
def _labels() -> bytes:
    return b",".join(b'l%d="\\\\\\""' % number for number in range(30_000))


def million_series(sock: socket.socket, path: str) -> None:
    rows = (
        b"".join(b'vllm:e2e_request_latency_seconds_count{r="%d"} %d\n' % (n, n) for n in range(start, start + 2000))
        for start in range(0, 1_000_000, 2000)
    )
    _stream(sock, rows, b"text/plain")


def sse_line(sock: socket.socket, path: str) -> None:
    """A stream of events whose first event has no end, sent a byte at a time."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    sock.sendall(b"6\r\ndata: \r\n")
    for _ in _until():
        sock.sendall(b"1\r\nx\r\n" * 10_000)


def sse_events(sock: socket.socket, path: str) -> None:
    """A million events that say nothing."""
    _stream(sock, itertools.repeat(b"data: {}\n\n" * 5000, 200), b"text/event-stream")


def sse_chatter(sock: socket.socket, path: str) -> None:
    """Content that does not end, however few tokens were asked for."""
    _stream(sock, itertools.repeat(_event("more ") * 500), b"text/event-stream")


# Compression


def _packed(sock: socket.socket, encoding: bytes, body: bytes, kind: bytes = b"application/json") -> None:
    _reply(sock, body, kind, b"Content-Encoding: %s\r\n" % encoding)


def bomb(sock: socket.socket, path: str) -> None:
    _packed(sock, b"gzip", _bomb(31))


def deflate_bomb(sock: socket.socket, path: str) -> None:
    _packed(sock, b"deflate", _bomb(15))


def members_bomb(sock: socket.socket, path: str) -> None:
    """Gzip in members, each of which would be small enough."""
    _packed(sock, b"gzip", _members())


@functools.cache
def _bomb(bits: int) -> bytes:
    """100 MB of nothing, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(100)) + packer.flush()


@functools.cache
def _members() -> bytes:
    return gzip.compress(b" " * 200_000) * 1000


def cut_gzip(sock: socket.socket, path: str) -> None:
    """Half of a packed page, as if it were the whole."""
    _packed(sock, b"gzip", gzip.compress(b"# nothing\n" + b"vllm:num_requests_running 1\n" * 400)[:-20], b"text/plain")


# What HTTP does not allow


def many_headers(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n")


def some_headers(sock: socket.socket, path: str) -> None:
    """Few enough for one read, more than any server needs."""
    sock.sendall(HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"Content-Length: 2\r\n\r\n{}")


def bad_chunks(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffffff\r\n{"data": []}\r\nzz\r\n')


def short_body(sock: socket.socket, path: str) -> None:
    """Less than its length says."""
    sock.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"data": [')


def long_body(sock: socket.socket, path: str) -> None:
    """More than its length says: what follows is a second answer that nobody asked for."""
    stray = b'HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{"data": [{"id": "stray-1"}]}'
    sock.sendall(HEAD + b'Content-Length: 8\r\n\r\n{"data":' + stray)


def two_lengths(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}")


def early_hints(sock: socket.socket, path: str) -> None:
    """Answers before the answer, without end."""
    for _ in _until():
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" * 500)


def reset(sock: socket.socket, path: str) -> None:
    sock.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"data": [')
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def noise(sock: socket.socket, path: str) -> None:
    sock.sendall(b"<html>HTTP/0.9 knows no headers</html>\n" + bytes(range(256)))


# Redirects


def redirect_loop(sock: socket.socket, path: str) -> None:
    _redirect(sock, path.encode())


def redirect_header(sock: socket.socket, path: str) -> None:
    """Whoever decodes this address into the next request sends a header of the server's making."""
    _redirect(sock, b"/redirect_header/x%0d%0a" + INJECTED + b":%20yes%0d%0a")


def redirect_folded(sock: socket.socket, path: str) -> None:
    _redirect(sock, b"/redirect_folded/\x0b\r" + INJECTED + b": yes")


def redirect_tab(sock: socket.socket, path: str) -> None:
    _redirect(sock, b"/redirect_tab/x\t" + INJECTED + b": yes")


FORBIDDEN: dict[str, bytes] = {
    "redirect_metadata": b"http://169.254.169.254/latest/meta-data/",
    "redirect_mapped": b"http://[::ffff:169.254.169.254]/",
    "redirect_private": b"http://10.0.0.1/",
    "redirect_nothing": b"http://0.0.0.0:8000/",
    "redirect_decimal": b"http://2852039166/",
    "redirect_hex": b"http://0xa9fea9fe/",
    "redirect_wide": "http://①⑥⑨.254.169.254/".encode(),
    "redirect_unicode": "http://metadata。google。internal/".encode(),
    "redirect_port": b"http://127.0.0.1:6379/",
    "redirect_file": b"file:///etc/passwd",
    "redirect_user": b"http://admin:admin@127.0.0.1:8000/",
    "redirect_inside": b"http://inside.example/",
}


# Bodies that are not what they seem


def wrong_type(sock: socket.socket, path: str) -> None:
    _reply(sock, b"\x89PNG\r\n\x1a\n" + b"\0" * 200, b"image/png")


def invalid_utf8(sock: socket.socket, path: str) -> None:
    _reply(sock, b'{"data": [{"id": "\xff\xfe\xc0\x80"}]}')


def deep_json(sock: socket.socket, path: str) -> None:
    _reply(sock, b'{"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}")


def deep_enough(sock: socket.socket, path: str) -> None:
    """As deep as a parser of JSON just takes."""
    _reply(sock, b'{"data":' + b'[{"x":' * 400 + b"1" + b"}]" * 400 + b"}")


def huge_integer(sock: socket.socket, path: str) -> None:
    _reply(sock, b'{"data": [{"id": "tiny", "max_model_len": ' + b"9" * 10_000 + b"}]}")


def large_integers(sock: socket.socket, path: str) -> None:
    """As long as Python reads them; everywhere."""
    number = b"9" * 4000
    keys = ("object", "id", "max_model_len", "status", "usage", "choices", "models", "error", "sha")
    row = b", ".join(b'"%s": %s' % (key.encode(), number) for key in keys)
    _reply(sock, b'{%s, "data": [{%s}], "x": 1e999, "y": NaN}' % (row, row))


def twice_named(sock: socket.socket, path: str) -> None:
    """Two keys of one name: which one counts is up to who reads it."""
    _reply(sock, b'{"status": "success", "data": [{"id": "tiny"}], "data": 7, "status": []}')


def not_numbers(sock: socket.socket, path: str) -> None:
    name = "vllm:time_to_first_token_seconds"
    page = "".join(f'{name}_bucket{{le="{le}"}} {value}\n' for le, value in (("0.5", "NaN"), ("+Inf", "+Inf")))
    page += f"{name}_count NaN\n{name}_sum -Inf\nvllm:kv_cache_usage_perc NaN\nvllm:generation_tokens_total 1e999\n"
    _reply(sock, page.encode(), b"text/plain")


# What a Prometheus server may answer to a query


def _result(sock: socket.socket, path: str, value: str, labels: str = '"model_name": "tiny"') -> None:
    """That value for everything that the query asks for."""
    one, many = f'"value": [1764000000, "{value}"]', f'"values": [[1764000000, "{value}"], [1764000300, "{value}"]]'
    kind, points = ("matrix", many) if "/query_range" in path else ("vector", one)
    asked = re.findall(r'"preflight", "([^"]+)"', urllib.parse.unquote(path)) or ["x"]
    rows = ", ".join(f'{{"metric": {{{labels}, "preflight": "{key}"}}, {points}}}' for key in asked)
    _reply(sock, f'{{"status": "success", "data": {{"resultType": "{kind}", "result": [{rows}]}}}}'.encode())


def query_nan(sock: socket.socket, path: str) -> None:
    _result(sock, path, "NaN")


def query_infinite(sock: socket.socket, path: str) -> None:
    _result(sock, path, "+Inf")


def query_exponent(sock: socket.socket, path: str) -> None:
    _result(sock, path, "1e999999")


def query_labels(sock: socket.socket, path: str) -> None:
    """Labels that are no texts, and values that are no numbers."""
    _result(sock, path, "twelve", '"model_name": ["a"], "pod": {"b": 1}, "le": 7')


def query_series(sock: socket.socket, path: str) -> None:
    head = b'{"status": "success", "data": {"resultType": "vector", "result": ['
    row = b'{"metric": {"pod": "p-%d"}, "value": [1764000000, "1"]},'
    rows = (b"".join(row % n for n in range(start, start + 1000)) for start in range(0, 1_000_000, 1000))
    _stream(sock, itertools.chain((head,), rows))


FAULTS: dict[str, Fault] = {
    **{
        fault.__name__: fault
        for fault in (
            *(drip, silent, endless, huge_string, one_line, label_bomb, million_series, sse_line, sse_events),
            *(sse_chatter, bomb, deflate_bomb, members_bomb, cut_gzip, many_headers, some_headers, bad_chunks),
            *(short_body, long_body, two_lengths, early_hints, reset, noise, redirect_loop, redirect_header),
            *(redirect_folded, redirect_tab, wrong_type, invalid_utf8, deep_json, deep_enough, huge_integer),
            *(large_integers, twice_named, not_numbers),
            *(query_nan, query_infinite, query_exponent, query_labels, query_series),
        )
    },
    **{name: lambda sock, path, to=location: _redirect(sock, to) for name, location in FORBIDDEN.items()},
}

PAGE = b"""# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{model_name="tiny"} 100
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="tiny"} 0
"""
NAMES = ["up", "vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:num_requests_running"]
NAMES += ["vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:request_success_total", "DCGM_FI_DEV_GPU_UTIL"]
NAMES += [
    f"vllm:{name}_{end}"
    for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds")
    for end in ("bucket", "count", "sum")
]


def _event(content: str) -> bytes:
    return b"data: %s\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": content}}]}).encode()


def well(sock: socket.socket, path: str, body: bytes) -> None:
    """What a small vLLM server, or a Prometheus server that knows it, answers."""
    route = "/" + path.partition("?")[0].split("/", 2)[-1]
    answers = {
        "/v1/models": {"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 512}]},
        "/version": {"version": "0.11.0"},
        "/v1/chat/completions": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "ready"}}]},
        "/api/v1/label/__name__/values": {"status": "success", "data": NAMES},
    }
    if route == "/metrics":
        _reply(sock, PAGE, b"text/plain")
    elif b'"stream": true' in body:
        _stream(sock, (_event("ready"), b"data: [DONE]\n\n"), b"text/event-stream")
    elif route in answers:
        _reply(sock, json.dumps(answers[route]).encode())
    elif route == "/health":
        _reply(sock, b"")
    else:
        sock.sendall(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def fault_server() -> Iterator[FaultServer]:
    """Runs until the block ends; a connection is closed after one answer. What does not speak HTTP, such as a TLS
    handshake, waits for an answer that never comes."""
    command = [sys.executable, "-m", "tests.evidence.faults"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield FaultServer(int(process.stdout.readline()))
        finally:
            process.kill()


@dataclass
class _Seen:
    asked: Counter[str]
    posts: Counter[str]
    injected: int = 0


def _answer(sock: socket.socket, seen: _Seen) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := sock.recv(65536)):
            return None
        head += data
    head, _, body = head.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    while len(body) < min(length, 100_000):
        if not (data := sock.recv(65536)):
            return None
        body += data
    method, path = head.decode("latin-1").split(" ", 2)[:2]
    place = path.split("/")[1].partition("?")[0]
    if place == "_seen":
        return _reply(sock, json.dumps({"asked": seen.asked, "injected": seen.injected}).encode())
    seen.asked[place] += 1
    seen.posts[place] += method == "POST"
    seen.injected += any(line.startswith(INJECTED.lower() + b":") for line in lines)
    fault, _, when = place.partition(".")
    post = method == "POST"
    when = when.partition("-")[0]  # what follows only tells one place from another
    bad = {"": True, "post": post, "later": post and seen.posts[place] >= LATER, "query": "/api/v1/query" in path}
    return FAULTS[fault](sock, path) if bad[when] else well(sock, path, body)


def _serve() -> None:
    """Answer until whoever started this has ended."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    _bomb(31), _bomb(15), _members(), _labels()  # made before anybody waits for them
    seen = _Seen(Counter(), Counter())
    print(listener.getsockname()[1], flush=True)

    def answer(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(SECONDS)
            _answer(sock, seen)

    def accept() -> None:
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    _serve()
