"""A true and a false claim for what is told of a release rather than of an endpoint, whatever serves it.

A row is ``(probe, item, true, false, facts, others)``: claims as elsewhere, what the portal knows, and the claims of
other items; ``{server}`` in any of them is the address of a server that answers by ``PAGES``.
"""

from __future__ import annotations

from typing import Any

from tests.evidence import configs
from tests.evidence.test_release_probes import AGREEING, SPEC

Row = tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]

# Two dependencies, and two documents of which one is of another model.
PAGES: dict[str, Any] = {
    "/up": {"status": "UP"},
    "/down": {"status": "DOWN"},
    "/modelspec": SPEC,
    "/other": {**SPEC, "descriptor": {**SPEC["descriptor"], "name": "translate-3b"}},
}
SEARCH = {"name": "Search", "path": "/1/2/", "members": 3}

RELEASE: list[Row] = [
    (
        *("release.owner", "operations.owner"),
        {"team": "Search", "on_call": "search-primary"},
        {"team": "Billing", "on_call": "search-primary"},
        {"team": {"own": SEARCH, "named": [SEARCH, {"name": "Billing", "path": "/3/", "members": 4}]}},
        {},
    ),
    (
        *("release.dependencies", "operations.dependencies"),
        {"names": "vector store", "health_url": "{server}/up"},
        {"names": "vector store", "health_url": "{server}/down"},
        *({}, {}),
    ),
    (
        *("release.modelspec", "operations.resource-contract"),
        {"document_url": "{server}/modelspec"},
        {"document_url": "{server}/other"},
        {},
        AGREEING,
    ),
    (
        *("capacity.arithmetic", "compute.parallelism"),
        {"tensor_parallel": 1, "gpus": 1},
        {"tensor_parallel": 3, "gpus": 3},
        {"architecture": configs.LLAMA_8B},
        {
            "identity.gpu-precision": {"gpu_types": "H100", "precisions": ["bf16"]},
            "operations.runtime-constraints": {"context_tokens": 8192, "max_concurrency": 4},
        },
    ),
]
