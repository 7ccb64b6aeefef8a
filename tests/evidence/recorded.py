"""The recorded facts of ``fixtures/``, and a loopback server that answers with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from checklists.evidence.recognition import Seen
from tests.evidence.loopback import Handler, Request, Server, serving

FOLDER = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Recording:
    """``answers``: request line → ``{status, json or text, headers}``; whatever is not there is a 404."""

    name: str
    stack: str
    version: str
    source: str
    answers: dict[str, dict[str, Any]]

    @property
    def handler(self) -> Handler:
        def handle(request: Request) -> None:
            answer = self.answers.get(f"{request.method} {request.path.partition('?')[0]}")
            if answer is None:
                return request.reply(404, {"detail": "Not Found"})
            body = json.dumps(answer["json"]).encode() if "json" in answer else answer["text"]
            return request.reply(answer.get("status", 200), body, answer.get("headers"))

        return handle

    @contextmanager
    def served(self) -> Iterator[Server]:
        """The recording on loopback until the block ends."""
        with serving(self.handler) as server:
            yield server

    def seen(self, path: str) -> Seen:
        """The recorded answer to a GET, as recognition reads it."""
        answer = self.answers.get(f"GET {path}")
        if answer is None:
            return Seen(404)
        text = json.dumps(answer["json"]) if "json" in answer else answer["text"]
        return Seen(answer.get("status", 200), text, answer.get("json"), answer.get("headers") or {})


@cache
def recordings() -> dict[str, Recording]:
    """Every recording by the name of its folder."""
    found = {}
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        data = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        answers = data["answers"]
        page = folder / "metrics.txt"
        if page.exists():
            answers[f"GET {data['metrics_path']}"] = {"text": page.read_text(encoding="utf-8")}
        found[folder.name] = Recording(folder.name, data["stack"], data["version"], data["source"], answers)
    return found
