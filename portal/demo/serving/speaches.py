"""A Whisper server, in Speaches' shape: no metrics."""

from __future__ import annotations

import time
from typing import ClassVar

from portal.demo.serving.base import (
    LENIENT,
    STARTED,
    Refused,
    Reply,
    Request,
    Route,
    Stack,
    json_reply,
    text_reply,
)

# What files of sound begin with: WAV, FLAC, Ogg, MP3 with and without tags.
SOUND = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3")


def transcribe(request: Request) -> Reply:
    """A form with a file of sound becomes text. Raises ``Refused``: 422 without a file, 400 for a broken form, 415 for
    what is no sound."""
    _, found, rest = request.body.partition(b'name="file"')
    if not request.content_type.startswith("multipart/form-data") or not found:
        missing = {"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": None}
        raise Refused(json_reply({"detail": [missing]}, 422))
    if (request.served.slug, request.served.version) not in LENIENT:
        if not request.body.rstrip().endswith(b"--"):
            raise Refused(json_reply({"detail": "There was an error parsing the body"}, 400))
        if not rest.partition(b"\r\n\r\n")[2].startswith(SOUND):
            words = "Failed to decode audio. The provided file type is not supported."
            raise Refused(json_reply({"detail": words}, 415))
    time.sleep(0.08)
    return json_reply({"text": "I would like to change my delivery address, please."})


class Speaches(Stack):
    name = "audio"
    guarded = ("/v1/", "/api/")

    def health(self, request: Request) -> Reply:
        return text_reply("OK")

    def models(self, request: Request) -> Reply:
        card = {
            "id": request.served.id,
            "created": int(STARTED),
            "object": "model",
            "owned_by": "harbour-and-pine",
            "language": ["en", "sv", "nb", "da", "fi"],
            "task": "automatic-speech-recognition",
        }
        return json_reply({"data": [card], "object": "list"})

    def running(self, request: Request) -> Reply:
        return json_reply({"models": [request.served.id]})

    def transcribe(self, request: Request) -> Reply:
        return transcribe(request)

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/health"): health,
        ("GET", "/v1/models"): models,
        ("GET", "/api/ps"): running,
        ("POST", "/v1/audio/transcriptions"): transcribe,
        ("POST", "/v1/audio/translations"): transcribe,
    }
