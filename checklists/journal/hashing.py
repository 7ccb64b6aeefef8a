"""Canonical JSON and SHA-256: one way to turn content into a digest, for the journal and for submissions."""

import hashlib
import json
from typing import Any


def canonical_json(content: Any) -> str:
    """Keys sorted, no white space, UTF-8 kept, NaN refused (``ValueError``): equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(content: Any) -> str:
    """Lower-case hexadecimal SHA-256 of the canonical JSON of ``content``."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()
