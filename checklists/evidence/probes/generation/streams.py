"""A streamed answer as it comes: when content came first, and what the server counted."""

from __future__ import annotations

import json
from typing import Any

from checklists.evidence.probes.base import dict_of, list_of, number_of

MAX_EVENTS = 2_000  # a tiny answer has a few dozen
MAX_LINE = 256 * 1024  # bytes of one event; what is longer is no event of a tiny answer


class Stream:
    """Server-sent events of a chat or text completion, TGI's token events, or Ollama's lines of JSON.

    Role chunks and empty chunks are no content; reasoning is kept apart from it. Chunks are not tokens: tokens are what
    the server's own count says. Times are seconds since the request was sent.
    """

    def __init__(self) -> None:
        self.rest = bytearray()  # what no line feed has ended yet: it may come byte by byte
        self.first_content_s: float | None = None
        self.first_reasoning_s: float | None = None
        self.last_s: float | None = None
        self.events = 0
        self.content_chunks = 0
        self.text = ""
        self.usage: dict[str, Any] = {}
        self.error = ""
        self.done = False  # the stream said that it is over

    @property
    def has_content(self) -> bool:
        return self.first_content_s is not None or self.first_reasoning_s is not None

    @property
    def tokens(self) -> float | None:
        return number_of(self.usage.get("completion_tokens"))

    @property
    def per_token_s(self) -> tuple[float, float] | None:
        """Seconds from one token to the next, at least and at most.

        The server counts the tokens of the first chunk and those without text, such as the end mark, too: there were at
        least as many after the first chunk as there were chunks. ``None`` where all came in one chunk, where the server
        counted none, or where its count includes reasoning that came before the first content.
        """
        tokens = self.tokens
        if not tokens or tokens < 2 or self.first_content_s is None or self.last_s is None or self.first_reasoning_s:
            return None
        if self.content_chunks < 2:
            return None
        span = self.last_s - self.first_content_s
        return span / (tokens - 1), span / min(tokens - 1, self.content_chunks - 1)

    def feed(self, seconds: float, data: bytes) -> bool:
        """Take the next bytes; True when the stream has said that it is over."""
        self.rest += data
        if b"\n" in data:
            *lines, self.rest = self.rest.split(b"\n")
            for line in lines[: MAX_EVENTS + 1]:
                self._line(seconds, bytes(line.strip()))
        if len(self.rest) > MAX_LINE:
            self.error, self.rest = "sent an event without an end", bytearray()
            return True
        if self.events > MAX_EVENTS:
            self.error = f"sent more than {MAX_EVENTS} events for a tiny answer"
            return True
        return self.done

    def end(self, seconds: float) -> None:
        """The body is over: its last line may lack a line feed."""
        self.feed(seconds, b"\n")

    def _line(self, seconds: float, line: bytes) -> None:
        if line.startswith(b"data:"):
            line = line[5:].strip()
        elif not line.startswith(b"{"):  # a comment, an event's name, or an empty line
            return
        self.events += 1
        if line == b"[DONE]":  # some servers never send it: the end of the body is as good
            self.done = True
            return
        try:
            event = dict_of(json.loads(line))
        except (ValueError, RecursionError):
            return
        if event.get("error"):
            self.error = "reported an error in the stream"
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        if event.get("done") is True:  # Ollama's last line counts
            self.done = True
            self.usage = {"completion_tokens": event.get("eval_count"), "prompt_tokens": event.get("prompt_eval_count")}
        if isinstance(details := event.get("details"), dict):  # TGI's last event counts
            self.usage = {"completion_tokens": details.get("generated_tokens")}
        content, reasoning = _pieces(event)
        if content:
            self.first_content_s = seconds if self.first_content_s is None else self.first_content_s
            self.last_s = seconds
            self.content_chunks += 1
            self.text = (self.text + content)[:4000]
        if reasoning and self.first_reasoning_s is None:
            self.first_reasoning_s = seconds


def _pieces(event: dict[str, Any]) -> tuple[str, str]:
    """What an event adds to the content, and to the reasoning."""
    content: list[Any] = []
    reasoning: list[Any] = []
    for choice in map(dict_of, list_of(event.get("choices"))):
        delta = dict_of(choice.get("delta"))
        content += [delta.get("content"), choice.get("text")]
        reasoning += [delta.get("reasoning_content") or delta.get("reasoning")]
    message = dict_of(event.get("message"))  # Ollama /api/chat
    content += [message.get("content"), event.get("response"), dict_of(event.get("token")).get("text")]
    reasoning += [message.get("thinking"), event.get("thinking")]
    return (
        "".join(piece for piece in content if isinstance(piece, str)),
        "".join(piece for piece in reasoning if isinstance(piece, str)),
    )
