"""How fast endpoints are probed, beside a bare HTTP client and Debian's blackbox exporter.

``python -m tests.bench.probes [--sizes 1000 3000 10000]``

Everything runs on loopback, on whatever database the tests run on. Each size probes that many endpoints, every one with
an address of its own, with the cheap set of probes, by two workers that do real scheduled runs (claim, visit, judge,
record): once for the first time and once again when all of it is due; rates and memory are those of the second time.
The same number of requests is then sent to the same addresses by a bare HTTP client (httpcore2, on the h11 that probes
use too), and the exporter is asked to probe them. Absolute numbers mean little on a shared machine; the ratios are
taken within one run of this program. The processor time of each side (``cpu_ms``, by request; of the exporter with
whoever asks it) tells what a rate would be if nothing else ran.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

SIZES = (1000, 3000, 10_000)
WORKERS = 2
AT_ONCE = 50
PER_RELEASE = 20
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PREFLIGHT_PROBE_AT_ONCE": str(AT_ONCE)}


def address(number: int) -> str:
    """One of 64,516 loopback addresses."""
    return f"127.1.{number // 254}.{number % 254 + 1}"


# The server: as little work as possible, so that what asks is what is measured


class Answers(asyncio.Protocol):
    asked = 0

    def __init__(self, replies: dict[bytes, bytes]) -> None:
        self.replies = replies
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not transport.get_extra_info("sockname")[0].startswith("127."):
            transport.abort()  # all of 127/8 can only be had with every other address; nobody else is answered

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            if len(self.rest) < length:  # the body is on its way
                self.rest = head + b"\r\n\r\n" + self.rest
                return
            self.rest = self.rest[length:]
            path = head.split(b" ", 2)[1]
            if path == b"/asked":
                self.transport.write(reply(str(Answers.asked).encode()))
                continue
            Answers.asked += 1
            key = path if b"authorization: bearer bench-key" in head.lower() or path in OPEN else b"401"
            self.transport.write(self.replies.get(key, self.replies[b"404"]))


OPEN = {b"/health"}


def reply(body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (status, kind, len(body)) + body


def replies() -> dict[bytes, bytes]:
    import django

    django.setup()
    from tests.evidence.known_servers import VLLM

    found = {}
    for route, body in VLLM.items():
        method, _, path = route.rpartition(" ")
        if method in ("", "GET") and not callable(body):
            if isinstance(body, bytes | str):
                found[path.encode()] = reply(body.encode() if isinstance(body, str) else body, kind=b"text/plain")
            else:
                found[path.encode()] = reply(json.dumps(body).encode())
    return {
        **found,
        b"401": reply(b'{"error": "Unauthorized"}', b"401 Unauthorized"),
        b"404": reply(b'{"detail": "Not Found"}', b"404 Not Found"),
    }


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    table = replies()
    server = await loop.create_server(lambda: Answers(table), "0.0.0.0", port, backlog=4096)
    async with server:
        await server.serve_forever()


# What is measured


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def cpu_s(pid: int | None = None) -> float:
    """Processor seconds of this process, or of another one (Linux)."""
    if pid is None:
        return time.process_time()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def work(ids: list[int]) -> dict[str, Any]:
    """One worker: real runs, and what memory they took."""
    import django

    django.setup()
    from checklists.evidence.runner import perform_runs
    from portal.celery import settle

    settle()  # as Celery's worker does
    before, cpu = peak_mib(), cpu_s()
    started = time.monotonic()
    done = perform_runs(run_ids=ids, only=lambda probe: probe.cheap and not probe.generates)
    seconds, cpu = time.monotonic() - started, cpu_s() - cpu
    return {"done": done, "seconds": seconds, "cpu_s": cpu, "before_mib": before, "peak_mib": peak_mib()}


def timed(asking: Coroutine[Any, Any, None]) -> dict[str, float]:
    """Seconds on the wall and of the processor."""
    started, cpu = time.monotonic(), cpu_s()
    asyncio.run(asking)
    return {"seconds": time.monotonic() - started, "cpu_s": cpu_s() - cpu}


async def bare(first: int, count: int, each: int, port: int) -> None:
    """``each`` GETs to every address over one connection, by a bare HTTP client and nothing else."""
    import httpcore2

    numbers = iter(range(first, first + count))

    async def one() -> None:
        for number in numbers:
            async with httpcore2.AsyncConnectionPool() as pool:
                for _ in range(each):
                    answer = await pool.request(
                        "GET",
                        f"http://{address(number)}:{port}/v1/models",
                        headers={"Authorization": "Bearer bench-key"},
                    )
                    assert answer.status == 200

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))


async def exported(first: int, count: int, each: int, port: int, exporter: int) -> None:
    """``each`` probes of every address by the exporter."""
    import httpcore2

    numbers = iter(number for number in range(first, first + count) for _ in range(each))

    async with httpcore2.AsyncConnectionPool(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE) as pool:

        async def one() -> None:
            for number in numbers:
                url = f"http://127.0.0.1:{exporter}/probe?module=http_2xx&target=http://{address(number)}:{port}/health"
                answer = await pool.request("GET", url)
                assert b"probe_success 1" in answer.content, answer.content[-300:]

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))


# Putting it together


def register(size: int, port: int) -> list[int]:
    """That many endpoints in releases of ``PER_RELEASE``; the ids of the releases."""
    from django.utils import timezone

    from checklists.assessments.models import Answer
    from checklists.catalog.editions import current_edition, view
    from checklists.people.models import Team
    from checklists.registry.models import Endpoint, Model, Release

    now, edition = timezone.now(), current_edition()
    team = Team.objects.first() or Team.objects.create(slug="bench", name="Bench", path="/1/")
    stem = f"bench-{size}-{os.getpid()}"
    models = [
        Model(slug=f"{stem}-{n}", name=stem, team=team, family="llm", tier=2, created_at=now)
        for n in range(size // PER_RELEASE)
    ]
    Model.objects.bulk_create(models)
    releases = [
        Release(model=model, version="1", edition=edition, created_at=now, changed_at=now, stage="draft")
        for model in models
    ]
    Release.objects.bulk_create(releases)
    claims = {
        "identity.input-limits": {"max_input": 8192, "unit": "tokens"},
        "security.access-control": {"scheme": "api_key"},
    }
    for start in range(0, len(releases), 50):
        Answer.objects.bulk_create(
            Answer(release=release, item_id=item.id, status="met", claims=claims.get(item.key, {}))
            for release in releases[start : start + 50]
            for item in view(edition).items
        )
    Endpoint.objects.bulk_create(
        [
            Endpoint(
                release=releases[number // PER_RELEASE],
                name=f"e{number % PER_RELEASE}",
                url=f"http://{address(number)}:{port}",
                stack="vllm",
                headers={"Authorization": "Bearer bench-key"},
            )
            for number in range(size)
        ],
        batch_size=1000,
    )
    return [release.pk for release in releases]


def queue_runs(releases: list[int]) -> list[int]:
    """A scheduled run of each release, for which everything is due; their ids."""
    from django.utils import timezone

    from checklists.evidence.models import Finding, ProbeRun

    now = timezone.now()
    Finding.objects.filter(release__in=releases).update(expires_at=now)
    runs = [ProbeRun(release_id=pk, created_at=now, reason="scheduled", lease_until=now) for pk in releases]
    ProbeRun.objects.bulk_create(runs)
    return [run.pk for run in runs]


def split(ids: list[int]) -> list[list[int]]:
    return [ids[n::WORKERS] for n in range(WORKERS)]


def side_by_side(commands: list[list[str]]) -> list[dict[str, Any]]:
    """Run this module's commands as processes of their own; what each printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.probes", *command],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        for command in commands
    ]
    try:
        said = [process.communicate(timeout=3600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(process.returncode for process in processes):
        raise SystemExit("one of the measured processes failed")
    return [json.loads(text.splitlines()[-1]) for text in said]


def rates(name: str, count: int, rows: list[dict[str, Any]], more_cpu_s: float = 0.0) -> dict[str, float]:
    """What processes side by side came to that sent so many requests together."""
    return {
        f"{name}requests_per_s": count / max(row["seconds"] for row in rows),
        f"{name}cpu_ms": (sum(row["cpu_s"] for row in rows) + more_cpu_s) * 1000 / count,
    }


@contextlib.contextmanager
def running(command: list[str], url: str) -> Iterator[int]:
    """A server until the block ends: its process id."""
    import httpx2

    environment = {**os.environ, **ENVIRONMENT}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _ in range(1200):
            with contextlib.suppress(httpx2.HTTPError):
                httpx2.get(url, trust_env=False)
                break
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def measure(size: int, port: int, exporter: tuple[int, int] | None) -> dict[str, Any]:
    """One row of figures; ``exporter``: its port and process id."""
    import httpx2

    def asked() -> int:
        return int(httpx2.get(f"http://127.0.0.1:{port}/asked", trust_env=False).text)

    def probed() -> tuple[int, list[dict[str, Any]]]:
        before = asked()
        workers = side_by_side([["work", json.dumps(part)] for part in split(queue_runs(releases))])
        return asked() - before, workers

    releases = register(size, port)
    first = max(worker["seconds"] for worker in probed()[1])
    requests, workers = probed()
    each = max(1, round(requests / size))
    half = size // WORKERS
    parts = [[str(n * half), str(half)] for n in range(WORKERS)]
    row: dict[str, Any] = {
        "endpoints": size,
        "runs": sum(worker["done"] for worker in workers),
        "first_endpoints_per_s": size / first,
        "endpoints_per_s": size / max(worker["seconds"] for worker in workers),
        "requests": requests,
        **rates("", requests, workers),
        "worker_mib_before": max(worker["before_mib"] for worker in workers),
        "worker_mib_peak": max(worker["peak_mib"] for worker in workers),
    }
    others = {"bare": (each, side_by_side([["bare", *part, str(each), str(port)] for part in parts]), 0.0)}
    if exporter is not None:
        share = min(each, 3)  # its rate does not depend on how often it is asked
        before = cpu_s(exporter[1])
        rows = side_by_side([["exported", *part, str(share), str(port), str(exporter[0])] for part in parts])
        others["exporter"] = share, rows, cpu_s(exporter[1]) - before
    for name, (times, rows, more) in others.items():
        row |= rates(f"{name}_", half * WORKERS * times, rows, more)
        row[f"share_of_{name}"] = row["requests_per_s"] / row[f"{name}_requests_per_s"]
        row[f"cpu_share_of_{name}"] = row[f"{name}_cpu_ms"] / row["cpu_ms"]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    sizes = parser.parse_args().sizes
    os.environ |= ENVIRONMENT
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from checklists.evidence.models import AllowedNetwork

    call_command("migrate", verbosity=0)
    call_command("sync_catalog", verbosity=0)
    AllowedNetwork.objects.get_or_create(cidr="127.0.0.0/8", defaults={"created_at": timezone.now()})
    port, exporter_port = free_port(), free_port()
    program = shutil.which("prometheus-blackbox-exporter")
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            running([sys.executable, "-m", "tests.bench.probes", "serve", str(port)], f"http://127.0.0.1:{port}/asked")
        )
        if program:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / "blackbox.yml").write_text("modules: {http_2xx: {prober: http, timeout: 5s}}\n")
            options = [f"--config.file={folder / 'blackbox.yml'}", f"--web.listen-address=127.0.0.1:{exporter_port}"]
            pid = stack.enter_context(running([program, *options], f"http://127.0.0.1:{exporter_port}/-/healthy"))
        else:
            print("prometheus-blackbox-exporter is not on PATH: it is left out.")
        for size in sizes:
            row = measure(size, port, (exporter_port, pid) if program else None)
            print(json.dumps({key: round(value, 2) for key, value in row.items()}), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", number]:
            asyncio.run(serve(int(number)))
        case ["work", ids]:
            print(json.dumps(work(json.loads(ids))))
        case ["bare", *numbers]:
            print(json.dumps(timed(bare(*map(int, numbers)))))
        case ["exported", *numbers]:
            print(json.dumps(timed(exported(*map(int, numbers)))))
        case _:
            main()
