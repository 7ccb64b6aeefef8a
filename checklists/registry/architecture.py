"""A model's ``config.json`` as the Hugging Face Hub keeps it: reading it, checking it, and the shape it describes.

Only what the capacity arithmetic needs is kept of a document. What the shape means for memory is said in
``evidence.capacity``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from checklists.journal.errors import Invalid

MAX_BYTES = 256 * 1024
MAX_LAYERS = 2000
MAX_COUNT = 10**9
MAX_DIGITS = 30


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What is kept of a document: numbers, short words, flags; nested groups by name.
_SCALARS = _words("""
    model_type torch_dtype dtype hidden_size n_embd d_model dim num_hidden_layers n_layer n_layers num_layers
    num_attention_heads n_head n_heads num_key_value_heads num_kv_heads n_head_kv kv_n_heads multi_query
    multi_query_attention multi_query_group_num new_decoder_architecture head_dim kv_channels intermediate_size n_inner
    ffn_dim ffn_hidden_size hidden_dim vocab_size padded_vocab_size type_vocab_size tie_word_embeddings
    max_position_embeddings n_positions n_ctx seq_length max_seq_len max_sequence_length sliding_window
    use_sliding_window max_window_layers sliding_window_pattern attention_chunk_size num_kv_shared_layers kv_lora_rank
    q_lora_rank qk_rope_head_dim qk_nope_head_dim v_head_dim num_local_experts num_experts n_routed_experts
    n_shared_experts moe_intermediate_size shared_expert_intermediate_size first_k_dense_replace moe_layer_freq
    decoder_sparse_step interleave_moe_layer_step attention_bias is_encoder_decoder mamba_d_state ssm_state_size
    state_size full_attention_interval quant_method bits quant_algo load_in_4bit factor rope_type type
""")
_GROUPS = ("text_config", "llm_config", "language_config")  # the language model inside a multimodal one
_NESTED = (*_GROUPS, "attn_config", "rope_scaling", "rope_parameters", "quantization_config")
_LISTS = ("architectures", "layer_types", "mlp_only_layers", "no_rope_layers", "cross_attention_layers")

_ENCODERS = _words("""
    bert roberta xlm-roberta camembert distilbert electra mpnet albert deberta deberta-v2 modernbert nomic_bert new xlm
    vit clip siglip siglip_vision_model dinov2
""")
_LEARNED_POSITIONS = _words("gpt2 gpt_bigcode opt bert roberta xlm-roberta camembert distilbert electra")
_STATE_SPACE = _words("""
    mamba mamba2 falcon_mamba jamba zamba zamba2 bamba nemotron_h rwkv rwkv5 recurrent_gemma granitemoehybrid falcon_h1
    minimax nemotron-nas kimi_linear
""")
# Layers of other kinds too, which these name under a key of their own.
_MIXED = {"lfm2": "layer_types", "lfm2_moe": "layer_types", "mllama_text_model": "cross_attention_layers"}
_PLAIN_MLP = _words("gpt2 gpt_bigcode gpt_neo gpt_neox gptj bloom opt falcon mpt phi starcoder2")
_FULL, _LOCAL = ("full_attention", "global"), ("sliding_attention", "chunked_attention", "local")

# Families whose number of parameters follows from the document; checked against published numbers in the tests.
COUNTED = _words("""
    llama mistral mixtral qwen2 qwen3 qwen3_moe gemma2 gemma3 gemma3_text deepseek_v3 gpt_oss phi3 gpt2 bert
""")
_BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8}
_METHOD_BITS = {"fp8": 8, "fbgemm_fp8": 8, "awq": 4, "gptq": 4, "mxfp4": 4, "bitsandbytes": 8, "nvfp4": 4}


@dataclass(frozen=True)
class Cache:
    """What equal layers keep of each token: so many ``numbers`` a layer.

    ``heads`` of keys and values share them, and tensor parallelism can divide those; 0 stands for a latent that every
    GPU keeps whole. With a ``window`` only that many tokens are kept.
    """

    layers: int
    numbers: int
    heads: int
    window: int | None = None


@dataclass(frozen=True)
class Architecture:
    """The shape of a model.

    ``parameters`` were reckoned from the shape, of which ``embeddings`` are embedding and output head; ``counted`` says
    that this holds for the family to within a hundredth. ``partial``: the language model inside a multimodal one, whose
    other parts are not reckoned. ``bits`` a parameter has in the checkpoint. ``context`` as trained, or as scaled by
    the document; positions may be ``learned``, which ends there.
    """

    family: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocab: int
    parameters: int
    embeddings: int
    counted: bool
    partial: bool
    experts: int
    bits: float | None
    context: int | None
    learned: bool
    cache: tuple[Cache, ...]


def read(document: bytes) -> dict[str, Any]:
    """What is kept of an uploaded ``config.json``. Raises ``Invalid``, in words, for what has no usable shape."""
    if len(document) > MAX_BYTES:
        raise Invalid(f"This is more than {MAX_BYTES // 1024} KiB. A model's config.json is a few.")
    try:
        value = json.loads(document.decode("utf-8-sig"), parse_int=_integer, parse_constant=lambda name: None)
    except UnicodeDecodeError:
        raise Invalid("This is not text in UTF-8. Upload the model's config.json.") from None
    except RecursionError:
        raise Invalid("This is nested too deeply for a config.json.") from None
    except ValueError:
        raise Invalid("This is not JSON. Upload the model's config.json as the Hub has it.") from None
    if not isinstance(value, Mapping):
        raise Invalid("A config.json is an object, with fields such as num_hidden_layers.")
    kept = _kept(value, 0)
    shape(kept)
    return kept


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Invalid(f"A number in it has more than {MAX_DIGITS} digits.")
    return int(digits)


def _kept(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, inner in value.items():
        if name in _SCALARS and (_is_number(inner) or _is_word(inner)):
            kept[name] = inner
        elif name in _NESTED and isinstance(inner, Mapping) and depth < 2:
            kept[name] = _kept(inner, depth + 1)
            if name == "quantization_config" and (bits := _group_bits(inner)):
                kept[name]["bits"] = bits
        elif name in _LISTS and isinstance(inner, list) and len(inner) <= MAX_LAYERS:
            kept[name] = [one for one in inner if isinstance(one, bool | int) or _is_word(one)]
    return kept


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 100 and value.isascii() and value.isprintable()


def _group_bits(quantization: Mapping[str, Any]) -> int | None:
    """The bits of the narrowest weights that compressed-tensors declares."""
    groups = quantization.get("config_groups")
    found = [
        bits
        for group in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(group, Mapping) and isinstance(group.get("weights"), Mapping)
        if isinstance(bits := group["weights"].get("num_bits"), int) and not isinstance(bits, bool)
    ]
    return min(found, default=None)


def shape(config: Mapping[str, Any]) -> Architecture:
    """The shape that a document describes. Raises ``Invalid`` with what is missing, or why it cannot be reckoned."""
    inner = next((config[name] for name in _GROUPS if isinstance(config.get(name), Mapping)), None)
    if inner is not None and (_has(inner, "num_hidden_layers", "n_layer", "num_layers") or not _has_layers(config)):
        config = {**{name: config[name] for name in ("torch_dtype", "dtype") if name in config}, **inner} | (
            {"quantization_config": config["quantization_config"]} if "quantization_config" in config else {}
        )
    return _Reader(config, partial=inner is not None).architecture()


def _has(config: Mapping[str, Any], *names: str) -> bool:
    return any(config.get(name) is not None for name in names)


def _has_layers(config: Mapping[str, Any]) -> bool:
    return _has(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")


class _Reader:
    """Reads one document; every number is bounded, and what is missing is named."""

    def __init__(self, config: Mapping[str, Any], *, partial: bool) -> None:
        self.config = config
        self.partial = partial
        self.family = str(config.get("model_type") or "").lower().replace("-text", "_text")
        attention = config.get("attn_config")
        self.attention: Mapping[str, Any] = attention if isinstance(attention, Mapping) else {}

    def architecture(self) -> Architecture:
        family = self.family
        if self.config.get("is_encoder_decoder") is True:
            raise Invalid(
                f"{family or 'This'} is an encoder with a decoder, which keeps another kind of cache. Its memory is "
                "not reckoned here."
            )
        hybrid = self._flag("mamba_d_state", "ssm_state_size", "state_size") and "layer_types" not in self.config
        key = _MIXED.get(family, "layer_types")
        if family in _STATE_SPACE or hybrid or (family in _MIXED and key not in self.config):
            raise Invalid(
                f"Not every layer of {family or 'this model'} keeps keys and values, and the document does not say "
                f"which do ({key}). Its memory is not reckoned here."
            )
        self.layers = self._count("num_hidden_layers", "n_layer", "n_layers", "num_layers", most=MAX_LAYERS)
        self.hidden = self._count("hidden_size", "n_embd", "d_model", "dim")
        self.heads = self._count("num_attention_heads", "n_head", "n_heads")
        self.kv_heads = self._kv_heads()
        self.head_dim = self._maybe("head_dim", "kv_channels") or self._divided_head()
        self.vocab = self._maybe("vocab_size", "padded_vocab_size") or 0
        self.intermediate = (
            self._maybe("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "hidden_dim") or 4 * self.hidden
        )
        self.experts = self._maybe("num_local_experts", "num_experts", "n_routed_experts", zero=True) or 0
        self.latent = self._maybe("kv_lora_rank", zero=True) or 0
        self.rope_dim = self._maybe("qk_rope_head_dim", zero=True) or 0
        embeddings = self._embeddings()
        return Architecture(
            family=family,
            layers=self.layers,
            hidden=self.hidden,
            intermediate=self.intermediate,
            heads=self.heads,
            kv_heads=self.kv_heads,
            vocab=self.vocab,
            parameters=embeddings + self._body(),
            embeddings=embeddings,
            counted=family in COUNTED and self.vocab > 0,
            partial=self.partial,
            experts=self.experts,
            bits=self._bits(),
            context=self._context(),
            learned=family in _LEARNED_POSITIONS,
            cache=tuple(self._cache()),
        )

    # Numbers

    def _raw(self, *names: str) -> tuple[str, Any]:
        for name in names:
            if (value := self.config.get(name)) is not None:
                return name, value
        return names[0], None

    def _maybe(self, *names: str, zero: bool = False, most: int = MAX_COUNT) -> int | None:
        name, value = self._raw(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not (0 if zero else 1) <= value <= most:
            raise Invalid(f"{name} is not a whole number between {0 if zero else 1} and {most:,}.")
        return value

    def _count(self, *names: str, most: int = MAX_COUNT) -> int:
        value = self._maybe(*names, most=most)
        if value is None:
            raise Invalid(
                f"{names[0]} is missing. Upload the config.json of the whole model, with the fields that its "
                "defaults would fill."
            )
        return value

    def _flag(self, *names: str) -> bool:
        return bool(self._raw(*names)[1])

    def _divided_head(self) -> int:
        if self.hidden % self.heads:
            raise Invalid(
                f"head_dim is missing, and hidden_size ({self.hidden:,}) is no multiple of {self.heads} heads."
            )
        return self.hidden // self.heads

    def _kv_heads(self) -> int:
        if self.family in ("falcon", "refinedweb", "refinedwebmodel") and not self._flag("new_decoder_architecture"):
            return 1 if self._flag("multi_query") else self.heads
        if self._flag("multi_query_attention"):
            return self._maybe("multi_query_group_num") or 1
        found = self._maybe("num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads")
        grouped = self.attention.get("kv_n_heads")
        if found is None and isinstance(grouped, int) and not isinstance(grouped, bool) and 0 < grouped < MAX_COUNT:
            found = grouped
        if found is None:
            found = 1 if self._flag("multi_query") else self.heads
        if found > self.heads or self.heads % found:
            raise Invalid(f"{self.heads} attention heads cannot share {found} heads of keys and values.")
        return found

    def _context(self) -> int | None:
        names = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length", "n_ctx")
        context = self._maybe(*names)
        scaling = self.config.get("rope_scaling") or self.config.get("rope_parameters")
        # YaRN's documents keep the length of the training and the factor; the others have it multiplied already.
        if context and isinstance(scaling, Mapping) and "yarn" in (scaling.get("rope_type"), scaling.get("type")):
            factor = scaling.get("factor")
            if isinstance(factor, int | float) and 1 <= factor <= 1000 and self.family.startswith("qwen"):
                return int(context * factor)
        return context

    def _bits(self) -> float | None:
        quantization = self.config.get("quantization_config")
        if isinstance(quantization, Mapping):
            bits = quantization.get("bits")
            if isinstance(bits, int) and not isinstance(bits, bool) and 1 <= bits <= 16:
                return bits
            if quantization.get("load_in_4bit") is True:
                return 4
            algorithm = str(quantization.get("quant_algo") or "").lower()
            if "fp4" in algorithm:
                return 4
            if found := _METHOD_BITS.get(str(quantization.get("quant_method")), 8 if "8" in algorithm else None):
                return found
        return _BITS.get(str(self._raw("torch_dtype", "dtype")[1]).removeprefix("torch."))

    # The cache

    def _cache(self) -> Iterator[Cache]:
        if self.family in _ENCODERS:
            return
        if self.latent:
            yield Cache(self.layers, self.latent + self.rope_dim, 0)
            return
        numbers = 2 * self.kv_heads * self.head_dim
        kinds = self._kinds()[: self.layers - min(self.layers, self._maybe("num_kv_shared_layers", zero=True) or 0)]
        if full := kinds.count("full"):
            yield Cache(full, numbers, self.kv_heads)
        if local := kinds.count("local"):
            yield Cache(local, numbers, self.kv_heads, self._window())

    def _window(self) -> int | None:
        return self._maybe("attention_chunk_size") if self._is_chunked() else self._maybe("sliding_window", zero=True)

    def _is_chunked(self) -> bool:
        return self.family.startswith("llama4")

    def _kinds(self) -> list[str]:
        """``full``, ``local`` or ``none`` for each layer: what it keeps keys and values of."""
        listed = self.config.get("layer_types")
        if isinstance(listed, list) and listed:
            if len(listed) != self.layers:
                raise Invalid(f"layer_types names {len(listed)} layers, num_hidden_layers {self.layers}.")
            return [
                "full" if one in _FULL else "local" if one in _LOCAL and self._window() else "none" for one in listed
            ]
        every = range(self.layers)
        if step := self._maybe("full_attention_interval") or (4 if self.family == "qwen3_next" else None):
            return ["none" if (layer + 1) % step else "full" for layer in every]  # the others are linear
        if isinstance(across := self.config.get("cross_attention_layers"), list):  # they look at the image
            return ["none" if layer in across else "full" for layer in every]
        if not self._window() or self.config.get("use_sliding_window") is False:
            return ["full"] * self.layers
        if self._is_chunked():
            rotary = self.config.get("no_rope_layers") or [(layer + 1) % 4 for layer in every]
            return ["local" if layer < len(rotary) and rotary[layer] else "full" for layer in every]
        if self.family == "qwen2":
            first = self._maybe("max_window_layers", zero=True) or 0
            return ["local" if layer >= first else "full" for layer in every]
        pattern = self._raw("sliding_window_pattern")[1]
        if isinstance(pattern, str) and set(pattern) <= {"L", "G"} and pattern:
            return ["local" if pattern[layer % len(pattern)] == "L" else "full" for layer in every]
        alternate = {"gemma2": 2, "gpt_oss": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}
        step = self._maybe("sliding_window_pattern") if isinstance(pattern, int) else alternate.get(self.family)
        if step:
            return ["full" if (layer + 1) % step == 0 else "local" for layer in every]
        return ["local"] * self.layers

    # Parameters

    def _embeddings(self) -> int:
        architectures = self.config.get("architectures") or [""]
        headless = str(architectures[0]).endswith("Model") and not str(architectures[0]).endswith("LMHeadModel")
        tied = self.config.get("tie_word_embeddings", self.family in ("gemma2", "gemma3_text", "gemma3", "gpt2"))
        once = self.family in _ENCODERS or tied is True or headless
        positions = (self._context() or 0) if self.family in _LEARNED_POSITIONS else 0
        segments = (self._maybe("type_vocab_size", zero=True) or 0) if self.family in _ENCODERS else 0
        return (self.vocab * (1 if once else 2) + positions + segments) * self.hidden

    def _body(self) -> int:
        hidden = self.hidden
        dense = self._mlp(self.intermediate)
        sparse = self._sparse()
        sparse_layers = self._sparse_layers()
        norms = (4 if self.family in ("gemma2", "gemma3", "gemma3_text") else 2) * hidden
        each = self._attention() + norms
        whole = self.layers * each + sparse_layers * sparse + (self.layers - sparse_layers) * dense + hidden
        if self.family in ("bert", "gpt2"):
            whole += hidden + 2 * hidden * self.layers  # layer norms have a bias
        if self.family == "bert":
            whole += hidden * hidden + hidden  # the pooler
        return whole

    def _attention(self) -> int:
        hidden, heads = self.hidden, self.heads
        if self.latent:
            query = self._maybe("q_lora_rank", zero=True) or 0
            nope, value = self._maybe("qk_nope_head_dim") or self.head_dim, self._maybe("v_head_dim") or self.head_dim
            wide = heads * (nope + self.rope_dim)
            down = hidden * query + query + query * wide if query else hidden * wide
            keys = hidden * (self.latent + self.rope_dim) + self.latent + self.latent * heads * (nope + value)
            return down + keys + heads * value * hidden
        queries, pairs = heads * self.head_dim, 2 * self.kv_heads * self.head_dim
        total = 2 * hidden * queries + hidden * pairs
        if self.family in ("qwen2", "gpt_oss", "bert", "gpt2") or self.config.get("attention_bias") is True:
            total += queries + pairs + (0 if self.family == "qwen2" else hidden)
        if self.family == "gpt_oss":
            total += heads  # attention sinks
        if self.family in ("qwen3", "qwen3_moe", "gemma3", "gemma3_text"):
            total += 2 * self.head_dim  # norms of queries and keys
        return total

    def _mlp(self, wide: int) -> int:
        plain = self.family in _PLAIN_MLP or self.family in _ENCODERS
        biases = wide + self.hidden if plain else 0
        return (2 if plain else 3) * self.hidden * wide + biases

    def _sparse(self) -> int:
        if not self.experts:
            return 0
        wide = self._maybe("moe_intermediate_size") or self.intermediate
        shared = (self._maybe("n_shared_experts", zero=True) or 0) * wide
        shared += self._maybe("shared_expert_intermediate_size", zero=True) or 0
        each = self._mlp(wide) + (2 * wide + self.hidden if self.family == "gpt_oss" else 0)
        router = self.hidden * self.experts + (self.experts if self.family in ("gpt_oss", "deepseek_v3") else 0)
        return self.experts * each + router + (self._mlp(shared) if shared else 0)

    def _sparse_layers(self) -> int:
        if not self.experts:
            return 0
        dense = set(range(min(self.layers, self._maybe("first_k_dense_replace", zero=True) or 0)))
        dense |= {layer for layer in self.config.get("mlp_only_layers") or [] if layer in range(self.layers)}
        step = self._maybe("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq") or 1
        dense |= {layer for layer in range(self.layers) if (layer + 1) % step}
        return self.layers - len(dense)
