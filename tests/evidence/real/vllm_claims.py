"""What a team could claim of one vLLM release, for every topic that is not a person's alone: all true, and all false.

True and false of the endpoint that ``test_vllm_release`` serves, and of the past of ``serving_past`` (job ``vllm``);
what is not written here is taken from the rows of ``prometheus_claims``. ``{wiki}``, ``{grafana}`` and ``{team}`` stand
for addresses on loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.evidence.real.prometheus_claims import PRICE, ROWS, TEST_DAY, Claims, filled

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
# The ModelSpec document at {team}/modelspec.
SPEC: dict[str, Any] = {
    "descriptor": {"name": "Llama-3.1-8B-Instruct", "version": "3.1"},
    "config": {"architecture": "transformer", "format": "safetensors", "paramSize": "8b", "precision": "bfloat16"},
    "modelfs": {"type": "layers", "diffIds": ["sha256:" + "b" * 64]},
}
BEHAVIOUR: dict[str, Claims] = {  # true of a server that behaves, false of one that does not
    "release.compatibility": {"compatible_with": "0.9"},
    "reliability.input-variability": {"tried": ["empty", "unicode", "malformed", "wrong_type", "extreme_shape"]},
    "security.input-sanitisation": {"rules": "types and sizes are checked"},
    "security.safety-behaviour": {"policy_url": "https://wiki/policy", "evaluation": "A red team, twice a year"},
}
TESTED = {"date": TEST_DAY, "report_url": "https://reports/load"}
UNIT = PRICE["compute.unit-throughput"]
TRUE: dict[str, Claims] = {
    **{row.item: row.true.claims for row in reversed(ROWS) if row.stack == "vllm"},
    **BEHAVIOUR,
    "identity.name-version": {"model_id": MODEL, "version": "3.1"},
    "identity.lineage": {"base_model": MODEL},
    "identity.modalities": {"inputs": ["text"], "outputs": ["text"]},
    "identity.input-limits": {"max_input": 32768, "unit": "tokens"},
    "compute.unit-throughput": UNIT,
    "compute.quantization": {"formats": ["none"]},
    "performance.load-profile": {"peak": 15, "steady": 5, "unit": "requests_per_second"},  # the test went beyond it
    "observability.gpu": {"dashboard_url": "{grafana}/d/serving/all"},
    "reliability.load-test": TESTED,
    "security.access-control": {"scheme": "api_key"},
    "operations.owner": {"team": "Search", "on_call": "search-primary"},
    "operations.dependencies": {"names": "vector store", "health_url": "{wiki}/health"},
    "operations.resource-contract": {"document_url": "{team}/modelspec"},
    "operations.runtime-constraints": {"max_concurrency": 256, "context_tokens": 32768},
}
FALSE: dict[str, Claims] = {
    **{row.item: row.false.claims for row in reversed(ROWS) if row.stack == "vllm"},
    **BEHAVIOUR,
    "identity.name-version": {"model_id": "mistralai/Mistral-7B-v0.3", "version": "0.3"},
    "identity.lineage": {"base_model": "Qwen/Qwen3-8B"},
    "identity.modalities": {"inputs": ["text", "image"], "outputs": ["text"]},
    "identity.input-limits": {"max_input": 131072, "unit": "tokens"},
    "compute.unit-throughput": {**UNIT, "per_gpu_second": 50_000},
    "compute.quantization": {"formats": ["awq"]},
    "performance.load-profile": {"peak": 0.5, "unit": "requests_per_second"},
    "observability.gpu": {"dashboard_url": "{grafana}/d/gone/all"},
    "reliability.load-test": TESTED,
    "security.access-control": {"scheme": "none"},
    "operations.owner": {"team": "Billing", "on_call": "billing-primary"},
    "operations.dependencies": {"names": "vector store", "health_url": "{team}/down"},
    "operations.resource-contract": {"document_url": "{team}/modelspec"},  # it names another model
    "operations.runtime-constraints": {"max_concurrency": 256, "context_tokens": 8192},
}
# What cannot be false beside the rest of FALSE.
NEVER_FALSE_HERE = {
    "autoscaling.warmup": "Whether a start was slow is no number that could be claimed wrongly: see the job vllm-cold.",
    "reliability.warmup-validated": "The same.",
    "reliability.load-test": "A peak that is claimed too low was surely reached by the test.",
    "identity.name-version": "An adapter is served beside the model, from a folder that may hold anything.",
    "identity.lineage": "The same.",
    "release.compatibility": "What its server leaves out is a field that no caller relies on.",
}
# What this release cannot verify, and why: the tables of recorded stacks hold a true claim.
NEVER_TRUE_HERE = {"identity.lineage": "The server names a parent of the adapter, not of the model that is claimed."}


def claims_of(table: Mapping[str, Claims], addresses: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {item: filled(claims, addresses) for item, claims in table.items()}
