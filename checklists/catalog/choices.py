"""The words of the catalog, in their fixed order."""

from collections.abc import Mapping
from types import MappingProxyType

from django.db.models import TextChoices


class Family(TextChoices):
    LLM = "llm", "LLM"
    DIFFUSION = "diffusion", "Diffusion"
    EMBEDDING = "embedding", "Embedding and retrieval"
    MULTIMODAL = "multimodal", "Multimodal"
    AUDIO = "audio", "Audio"
    VISION = "vision", "Vision"


class Role(TextChoices):
    """The reviewers who own an item and must agree to it."""

    MLOPS = "mlops", "MLOps"
    SECURITY = "security", "Security"
    SRE = "sre", "SRE"


class Quality(TextChoices):
    PERFORMANT = "performant", "Performant"
    RELIABLE = "reliable", "Reliable"
    OBSERVABLE = "observable", "Observable"
    COST_EFFICIENT = "cost_efficient", "Cost-efficient"
    SAFE = "safe", "Safe"
    PRODUCTION_READY = "production_ready", "Production-ready"


class Requirement(TextChoices):
    MUST = "must", "Must"
    SHOULD = "should", "Should"
    MAY = "may", "May"


class Mode(TextChoices):
    """Who can settle an item."""

    PROBE = "probe", "A probe can decide"
    ASSISTED = "assisted", "A probe helps, a person confirms"
    PERSON = "person", "Only a person can decide"


class ClaimType(TextChoices):
    INTEGER = "integer", "Whole number"
    NUMBER = "number", "Number"
    TEXT = "text", "Text"
    CHOICE = "choice", "Choice"
    MULTI_CHOICE = "multi_choice", "Several choices"
    BOOLEAN = "boolean", "Yes or no"
    URL = "url", "Address"
    DATE = "date", "Date"


class JustificationRule(TextChoices):
    NONE = "none", "Not asked for"
    OPTIONAL = "optional", "Optional"
    REQUIRED = "required", "Required"


class EditionStatus(TextChoices):
    DRAFT = "draft", "Draft"
    PUBLISHED = "published", "Published"
    SUPERSEDED = "superseded", "Superseded"


TIERS = ("1", "2", "3")
WEIGHTS: Mapping[str, int] = MappingProxyType({"must": 3, "should": 2, "may": 1})
# Which answers need words beside them, unless an item says otherwise.
JUSTIFICATION: Mapping[str, str] = MappingProxyType(
    {"met": "optional", "partly": "required", "not_met": "required", "not_applicable": "required"}
)
