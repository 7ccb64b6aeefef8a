from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from checklists.evidence.client import FetchError
from checklists.evidence.redaction import MASK
from tests.evidence.loopback import Request, fetch, loopback_client, run, serving


def test_an_allowed_server_is_reached_and_told_its_own_name() -> None:
    with serving(lambda request: request.reply(200, {"ok": True}, {"X-Answer": "yes"})) as server:
        client = loopback_client(resolver=lambda host, port: ["127.0.0.1"])
        response = fetch(
            client, "GET", f"http://models.example:{server.port}/v1/models?x=1#frag", headers={"X-Team": "search"}
        )
    request = server.seen[0]
    assert (request.path, request.headers["host"]) == ("/v1/models?x=1", f"models.example:{server.port}")
    assert (request.headers["accept-encoding"], request.headers["x-team"]) == ("identity", "search")
    assert "cookie" not in request.headers
    assert (response.status, response.json(), response.header("x-answer")) == (200, {"ok": True}, "yes")
    assert response.request_line == "GET /v1/models"
    assert "x=1" not in response.url
    assert (response.peer, response.tls, response.truncated, response.hops) == ("127.0.0.1", None, False, ())
    assert 0 < response.first_byte_s <= response.elapsed_s


def test_proxies_and_other_settings_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with serving(lambda request: request.reply(200, "direct")) as server:
        assert fetch(loopback_client(), "GET", server.url).text == "direct"


def test_multiple_headers_of_one_name_are_all_kept() -> None:
    def handle(request: Request) -> None:
        request.raw.send_response(200)
        request.raw.send_header("Set-Cookie", "a=1")
        request.raw.send_header("Set-Cookie", "b=2")
        request.raw.send_header("Content-Length", "0")
        request.raw.end_headers()

    with serving(handle) as server:
        response = fetch(loopback_client(), "GET", server.url)
    assert [value for name, value in response.headers if name == "set-cookie"] == ["a=1", "b=2"]


def test_a_get_is_redirected_within_its_origin_with_its_headers() -> None:
    def handle(request: Request) -> None:
        if request.path == "/":
            return request.reply(307, headers={"Location": "/deeper"})
        return request.reply(200, "here")

    with serving(handle) as server:
        response = fetch(loopback_client(), "GET", server.url, headers={"Authorization": "Bearer topsecret"})
    assert response.text == "here"
    assert response.hops == (f"{server.url}/deeper",)
    assert [request.headers.get("authorization") for request in server.seen] == ["Bearer topsecret"] * 2


def test_credentials_never_follow_to_another_origin() -> None:
    with (
        serving(lambda request: request.reply(200, "other")) as other,
        serving(lambda request: request.reply(302, headers={"Location": other.url})) as server,
    ):
        headers = {"Authorization": "Bearer topsecret", "X-Api-Key": "alsosecret"}
        assert fetch(loopback_client(), "GET", server.url, headers=headers).text == "other"
    assert not {"authorization", "x-api-key"} & set(other.seen[0].headers)


def test_credentials_come_back_only_with_the_first_origin() -> None:
    with serving(lambda request: None) as placeholder:
        first_url: list[str] = []
        with (
            serving(lambda request: request.reply(302, headers={"Location": first_url[0] + "/back"})) as other,
            serving(
                lambda request: (
                    request.reply(200, "back")
                    if request.path == "/back"
                    else request.reply(302, headers={"Location": other.url})
                )
            ) as first,
        ):
            first_url.append(first.url)
            assert fetch(loopback_client(), "GET", first.url, headers={"X-Key": "secretsecret"}).text == "back"
        assert "x-key" not in other.seen[0].headers
        assert placeholder.seen == []


def test_more_than_three_redirects_are_too_many() -> None:
    with (
        serving(lambda request: request.reply(302, headers={"Location": request.path + "x"})) as server,
        pytest.raises(FetchError) as failure,
    ):
        fetch(loopback_client(), "GET", server.url + "/")
    assert failure.value.kind == "redirect"
    assert len(server.seen) == 4


def test_a_post_is_not_redirected() -> None:
    with (
        serving(lambda request: request.reply(307, headers={"Location": "/elsewhere"})) as server,
        pytest.raises(FetchError) as failure,
    ):
        fetch(loopback_client(), "POST", server.url, payload={"a": 1})
    assert failure.value.kind == "redirect"
    assert server.seen[0].json() == {"a": 1}


def test_a_redirect_can_itself_be_the_answer() -> None:
    with serving(lambda request: request.reply(302, headers={"Location": "/sign-in"})) as server:
        response = fetch(loopback_client(), "GET", server.url, max_redirects=0)
    assert (response.status, response.header("location"), len(server.seen)) == (302, "/sign-in", 1)


def drip(request: Request) -> None:
    request.raw.send_response(200)
    request.raw.send_header("Content-Length", "100000")
    request.raw.end_headers()
    for _ in range(200):
        request.raw.wfile.write(b"x")
        time.sleep(0.05)


def drip_headers(request: Request) -> None:
    for _ in range(200):
        request.raw.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


def silence(request: Request) -> None:
    time.sleep(3)


@pytest.mark.parametrize("handler", [drip, drip_headers, silence])
def test_a_server_that_drips_or_keeps_silent_ends_at_the_deadline(handler: Any) -> None:
    with serving(handler) as server:
        started = time.monotonic()
        with pytest.raises(FetchError) as failure:
            fetch(loopback_client(timeout_s=0.5), "GET", server.url)
        assert time.monotonic() - started < 2
    assert failure.value.kind == "timeout"


def test_the_deadline_covers_all_hops_together() -> None:
    def handle(request: Request) -> None:
        time.sleep(0.3)
        request.reply(302, headers={"Location": request.path + "x"})

    with serving(handle) as server:
        started = time.monotonic()
        with pytest.raises(FetchError) as failure:
            fetch(loopback_client(timeout_s=0.5), "GET", server.url + "/")
        assert time.monotonic() - started < 1.5
    assert failure.value.kind == "timeout"


def endless(request: Request) -> None:
    request.raw.send_response(200)
    request.raw.end_headers()
    for _ in range(100_000):
        request.raw.wfile.write(b"x" * 10_000)


def bomb(request: Request) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(200)) + packer.flush()
    request.reply(200, body, {"Content-Encoding": "gzip"})


@pytest.mark.parametrize("handler", [endless, bomb])
def test_an_endless_body_and_a_compressed_bomb_are_cut_at_the_cap(handler: Any) -> None:
    with serving(handler) as server:
        response = fetch(loopback_client(), "GET", server.url, max_bytes=50_000)
    assert response.truncated
    assert len(response.body) == 50_000
    assert response.json() is None


def test_a_body_compressed_against_our_wish_is_still_read() -> None:
    packed = gzip.compress(b'{"data": []}')
    with serving(lambda request: request.reply(200, packed, {"Content-Encoding": "gzip"})) as server:
        assert fetch(loopback_client(), "GET", server.url).json() == {"data": []}


def test_gzip_in_several_members_is_read_to_its_end() -> None:
    packed = gzip.compress(b'{"data": ') + gzip.compress(b"[1, 2]") + gzip.compress(b"}")
    with serving(lambda request: request.reply(200, packed, {"Content-Encoding": "gzip"})) as server:
        response = fetch(loopback_client(), "GET", server.url)
    assert (response.json(), response.truncated) == ({"data": [1, 2]}, False)


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"a" * 5000)[:-9], gzip.compress(b"a") * 2000], ids=["without its end", "many members"]
)
def test_a_compressed_body_without_its_end_or_in_endless_members_is_no_answer(packed: bytes) -> None:
    with (
        serving(lambda request: request.reply(200, packed, {"Content-Encoding": "gzip"})) as server,
        pytest.raises(FetchError) as failure,
    ):
        fetch(loopback_client(), "GET", server.url)
    assert failure.value.kind == "protocol"


def test_a_long_answer_in_ordinary_pieces_is_read_whole() -> None:
    def handle(request: Request) -> None:
        request.raw.send_response(200)
        request.raw.send_header("Transfer-Encoding", "chunked")
        request.raw.end_headers()
        for _ in range(4000):
            request.raw.wfile.write(b"64\r\n" + b"x" * 100 + b"\r\n")
        request.raw.wfile.write(b"0\r\n\r\n")

    with serving(handle) as server:
        assert len(fetch(loopback_client(), "GET", server.url).body) == 400_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip"])
def test_an_encoding_that_cannot_be_read_is_a_protocol_error(encoding: str) -> None:
    with (
        serving(lambda request: request.reply(200, b"not compressed", {"Content-Encoding": encoding})) as server,
        pytest.raises(FetchError) as failure,
    ):
        fetch(loopback_client(), "GET", server.url)
    assert failure.value.kind == "protocol"


def many_headers(request: Request) -> None:
    request.raw.send_response(200)
    for number in range(150):
        request.raw.send_header(f"X-{number}", "v")
    request.raw.end_headers()


def long_header(request: Request) -> None:
    request.reply(200, headers={"X-Long": "v" * 40_000})


@pytest.mark.parametrize("handler", [many_headers, long_header])
def test_too_many_or_too_long_headers_are_refused(handler: Any) -> None:
    with serving(handler) as server, pytest.raises(FetchError) as failure:
        fetch(loopback_client(), "GET", server.url)
    assert failure.value.kind == "too_large"


@pytest.mark.parametrize(
    "junk", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"\x16\x03\x01\x00\x00", b"HTTP/1.1 abc\r\n\r\n", b""]
)
def test_what_is_not_http_is_a_protocol_error(junk: bytes) -> None:
    def handle(request: Request) -> None:
        request.raw.wfile.write(junk)
        request.raw.close_connection = True

    with serving(handle) as server, pytest.raises(FetchError) as failure:
        fetch(loopback_client(), "GET", server.url)
    assert failure.value.kind in ("protocol", "unreachable")


@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_is_read_although_the_server_takes_no_more_of_the_request(secure: bool, tmp_path: Path) -> None:
    """Gateways refuse too large a body by its length, and may leave the connection open without reading the rest."""
    context = certificate(tmp_path, "models.example", 90) if secure else None
    tls = trusting(tmp_path, "models.example") if secure else ssl.create_default_context()
    over = threading.Event()

    def refuse(listener: socket.socket) -> None:
        for answer in (b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig", b"HTTP/1.1 204 No Content\r\n\r\n"):
            connection, _ = listener.accept()
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                connection.recv(100)
                connection.sendall(answer)
                if b"413" in answer:
                    over.wait(5)

    async def ask() -> list[int]:
        client = loopback_client(timeout_s=3, tls=tls, resolver=lambda host, port: ["127.0.0.1"])
        async with client.session() as session:
            refused = await session.fetch("POST", url, content=bytes(16 * 1024 * 1024))
            over.set()
            return [refused.status, (await session.fetch("GET", url)).status]

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(6)
        url = f"http{'s' if secure else ''}://models.example:{listener.getsockname()[1]}/v1"
        served = pool.submit(refuse, listener)
        assert run(ask()) == [413, 204]
        served.result()


def test_nobody_listening_is_unreachable() -> None:
    with serving(lambda request: None) as server:
        pass
    with pytest.raises(FetchError) as failure:
        fetch(loopback_client(), "GET", server.url)
    assert failure.value.kind == "unreachable"


def test_the_reader_can_stop_a_stream_that_never_ends() -> None:
    def handle(request: Request) -> None:
        request.raw.send_response(200)
        request.raw.end_headers()
        request.raw.wfile.write(b"data: [DONE]\n\n")
        request.raw.wfile.flush()
        time.sleep(3)

    with serving(handle) as server:
        started = time.monotonic()
        response = fetch(loopback_client(), "GET", server.url, on_chunk=lambda seconds, data: b"[DONE]" in data)
        assert time.monotonic() - started < 2
    assert response.body == b"data: [DONE]\n\n"


def test_a_header_with_a_line_break_is_not_sent() -> None:
    with serving(lambda request: request.reply(200)) as server, pytest.raises(FetchError) as failure:
        fetch(loopback_client(), "GET", server.url, headers={"X-Key": "a\r\nX-Other: b"})
    assert failure.value.kind == "protocol"
    assert server.seen == []


def test_a_secret_that_the_server_echoes_is_masked_in_the_response() -> None:
    def handle(request: Request) -> None:
        request.reply(200, {"you sent": request.headers["authorization"]}, {"X-Echo": request.headers["authorization"]})

    with serving(handle) as server:
        response = fetch(loopback_client(), "GET", server.url, headers={"Authorization": "Bearer sesame-sesame"})
    assert "sesame-sesame" not in response.text
    assert "sesame-sesame" not in response.header("x-echo")
    assert MASK in response.text


# TLS, with certificates made on the spot


def certificate(folder: Path, name: str, days: int) -> ssl.SSLContext:
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Preflight tests")])
    now = datetime.now(UTC)
    alternative: x509.GeneralName = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def trusting(folder: Path, name: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / f"{name}.pem"))


def test_a_valid_certificate_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    context = certificate(tmp_path, "models.example", 90)
    with serving(lambda request: request.reply(200, "secure"), tls=context) as server:
        client = loopback_client(tls=trusting(tmp_path, "models.example"), resolver=lambda host, port: ["127.0.0.1"])
        response = fetch(client, "GET", f"https://models.example:{server.port}/")
    assert response.text == "secure"
    assert response.tls is not None
    assert response.tls.expires_at is not None
    assert (response.tls.issuer, response.tls.hostname_ok, response.tls.version[:4]) == (
        "Preflight tests",
        True,
        "TLSv",
    )


@pytest.mark.parametrize(
    ("made_for", "days", "trusted", "code"),
    [
        ("other.example", 90, True, "wrong_host"),
        ("models.example", -1, True, "expired"),
        ("models.example", 90, False, "unknown_issuer"),
    ],
)
def test_a_bad_certificate_is_told_apart_from_an_unknown_issuer(
    tmp_path: Path, made_for: str, days: int, trusted: bool, code: str
) -> None:
    context = certificate(tmp_path, made_for, days)
    with serving(lambda request: request.reply(200), tls=context) as server:
        options = {"tls": trusting(tmp_path, made_for)} if trusted else {}
        client = loopback_client(resolver=lambda host, port: ["127.0.0.1"], **options)
        with pytest.raises(FetchError) as failure:
            fetch(client, "GET", f"https://models.example:{server.port}/")
    assert (failure.value.kind, failure.value.code) == ("tls", code)


def test_a_server_that_asks_for_a_client_certificate_is_recognised(tmp_path: Path) -> None:
    context = certificate(tmp_path, "127.0.0.1", 90)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(tmp_path / "127.0.0.1.pem"))
    with serving(lambda request: request.reply(200), tls=context) as server, pytest.raises(FetchError) as failure:
        fetch(loopback_client(tls=trusting(tmp_path, "127.0.0.1")), "GET", server.url)
    assert (failure.value.kind, failure.value.code) == ("tls", "client_certificate")


def test_plain_http_on_the_tls_port_is_a_failed_handshake() -> None:
    with serving(lambda request: request.reply(200)) as server, pytest.raises(FetchError) as failure:
        fetch(loopback_client(), "GET", server.url.replace("http:", "https:"))
    assert failure.value.kind in ("tls", "unreachable")


def test_https_does_not_fall_back_to_plain_http(tmp_path: Path) -> None:
    context = certificate(tmp_path, "127.0.0.1", 90)
    with (
        serving(lambda request: request.reply(200)) as plain,
        serving(lambda request: request.reply(302, headers={"Location": plain.url}), tls=context) as server,
        pytest.raises(FetchError) as failure,
    ):
        fetch(loopback_client(tls=trusting(tmp_path, "127.0.0.1")), "GET", server.url)
    assert failure.value.kind == "redirect"
    assert plain.seen == []
