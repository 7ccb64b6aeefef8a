"""Image generation: SGLang's diffusion server with OpenAI's images route, and ComfyUI behind a gateway."""

from __future__ import annotations

import base64
import re
import struct
import threading
import time
import zlib
from typing import ClassVar

from portal.demo.serving.base import (
    STARTED,
    Refused,
    Reply,
    Request,
    Route,
    Served,
    Stack,
    json_reply,
    openai_error,
    whole_number,
)
from portal.demo.serving.meters import Histogram, Meter, exposition, stable

MAX_SIDE = 2_048  # pixels
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)


def png(side: int = 8, grey: int = 176) -> bytes:
    """A small grey square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + bytes([grey]) * side for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Model(Served):
    def __init__(self, slug: str, version: str) -> None:
        super().__init__(slug, version, threading.Lock())
        total = stable(f"{slug}/{version}", 800, 12_000)
        self.requests = Meter("sglang:diffusion_requests_total", "counter", "Diffusion requests.")
        self.requests.put(float(total), status="success", is_warmup="false")
        self.requests.put(3.0, status="success", is_warmup="true")
        self.latency = Histogram("sglang:diffusion_request_latency_seconds", "Seconds per request.", SECONDS).seed(
            total, {2.0: 0.3, 4.0: 0.66, 8.0: 0.04}
        )
        self.queue = Histogram("sglang:diffusion_queue_time_seconds", "Seconds in the queue.", SECONDS).seed(
            total, {0.1: 0.9, 0.5: 0.1}
        )
        self.stage = Histogram("sglang:diffusion_stage_host_latency_seconds", "Seconds per stage.", SECONDS).seed(
            total, {1.0: 0.4, 2.0: 0.6}
        )
        self.waiting = Meter("sglang:num_queue_reqs", "gauge", "Requests in the queue.", {(): 0.0})
        self.startup = Meter("sglang:startup_time_seconds", "gauge", "Seconds from start to ready.", {(): 74.0})


class Images(Stack):
    name = "images"
    guarded = ("/v1/", "/server_info", "/metrics")

    def make(self, slug: str, version: str) -> Model:
        return Model(slug, version)

    def health(self, request: Request) -> Reply:
        return Reply(b"")

    def models(self, request: Request) -> Reply:
        served: Model = request.served
        card = {
            "id": served.id,
            "object": "model",
            "created": int(STARTED),
            "owned_by": "sglang",
            "root": served.repository,
            "parent": None,
            "max_model_len": None,
        }
        return json_reply({"object": "list", "data": [card]})

    def info(self, request: Request) -> Reply:
        return json_reply(
            {
                "model_path": request.served.repository,
                "served_model_name": request.served.id,
                "version": "0.6.4",
                "dtype": "bfloat16",
                "num_gpus": 1,
            }
        )

    def metrics(self, request: Request) -> Reply:
        served: Model = request.served
        with served.lock:
            text = exposition(
                [served.requests, served.latency, served.queue, served.stage, served.waiting, served.startup],
                {"model_name": served.id},
            )
        return Reply(text.encode(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def generate(self, request: Request) -> Reply:
        served: Model = request.served
        content = request.json()
        if not isinstance(content.get("prompt"), str) or not content["prompt"].strip():
            raise Refused(openai_error("Field required: prompt"))
        if content.get("model", served.id) != served.id:
            raise Refused(openai_error(f"The model `{content['model']}` does not exist.", 404, 404, "NotFoundError"))
        size = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", str(content.get("size", "1024x1024")))
        if size is None or max(map(int, size.groups())) > MAX_SIDE:
            raise Refused(openai_error(f"size must be at most {MAX_SIDE}x{MAX_SIDE} pixels."))
        number = whole_number(content, "n", default=1)
        if number > 4:
            raise Refused(openai_error("n must be at most 4."))
        begun = time.monotonic()
        time.sleep(0.15 * number)
        took = time.monotonic() - begun
        with served.lock:
            served.requests.add(1, status="success", is_warmup="false")
            served.latency.observe(took)
            served.queue.observe(0.001)
            served.stage.observe(took)
        return json_reply(
            {"created": int(time.time()), "data": [{"b64_json": base64.b64encode(png()).decode()}] * number}
        )

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/health"): health,
        ("GET", "/ready"): health,
        ("GET", "/server_info"): info,
        ("GET", "/metrics"): metrics,
        ("GET", "/v1/models"): models,
        ("POST", "/v1/images/generations"): generate,
    }


class ComfyUI(Stack):
    """ComfyUI knows no key and no metrics; the gateway before it asks for the key on every route."""

    name = "comfyui"
    software = "Python/3.12 aiohttp/3.12.15"
    guarded = ("/",)

    def system_stats(self, request: Request) -> Reply:
        device = {
            "name": "cuda:0 NVIDIA L40S : cudaMallocAsync",
            "type": "cuda",
            "index": 0,
            "vram_total": 47_697_362_944,
            "vram_free": 21_474_836_480,
            "torch_vram_total": 24_696_061_952,
            "torch_vram_free": 1_073_741_824,
        }
        system = {
            "os": "posix",
            "ram_total": 134_987_595_776,
            "ram_free": 98_784_247_808,
            "comfyui_version": "0.3.75",
            "python_version": "3.12.11 (main)",
            "pytorch_version": "2.9.1+cu128",
            "embedded_python": False,
            "argv": ["main.py", "--listen"],
        }
        return json_reply({"system": system, "devices": [device]})

    def queue(self, request: Request) -> Reply:
        return json_reply({"queue_running": [], "queue_pending": []})

    def prompt(self, request: Request) -> Reply:
        return json_reply({"exec_info": {"queue_remaining": 0}})

    def object_info(self, request: Request) -> Reply:
        loader = {
            "input": {"required": {"ckpt_name": [[f"{request.served.id}.safetensors"], {}]}},
            "output": ["MODEL", "CLIP", "VAE"],
            "output_name": ["MODEL", "CLIP", "VAE"],
            "name": "CheckpointLoaderSimple",
            "display_name": "Load Checkpoint",
            "category": "loaders",
        }
        return json_reply({"CheckpointLoaderSimple": loader})

    routes: ClassVar[dict[tuple[str, str], Route]] = {
        ("GET", "/system_stats"): system_stats,
        ("GET", "/queue"): queue,
        ("GET", "/prompt"): prompt,
        ("GET", "/object_info"): object_info,
    }
