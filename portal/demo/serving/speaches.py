"""A Whisper server, in Speaches' shape: no metrics."""

from __future__ import annotations

import time
from typing import ClassVar

from portal.demo.serving.base import (
    STARTED,
    Refused,
    Reply,
    Request,
    Route,
    Stack,
    json_reply,
    text_reply,
)


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
        if not request.content_type.startswith("multipart/form-data") or b'name="file"' not in request.body:
            raise Refused(
                json_reply(
                    {"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": None}]},
                    422,
                )
            )
        time.sleep(0.08)
        return json_reply({"text": "I would like to change my delivery address, please."})

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/health"): health,
        ("GET", "/v1/models"): models,
        ("GET", "/api/ps"): running,
        ("POST", "/v1/audio/transcriptions"): transcribe,
        ("POST", "/v1/audio/translations"): transcribe,
    }
