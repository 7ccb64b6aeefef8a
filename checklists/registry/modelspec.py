"""ModelSpec documents: the configuration object of the CNCF model specification (ModelPack).

Here is only the document: reading it, checking it, writing one from plain facts. What its fields mean for a checklist
is said in ``assessments.services.modelspec``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from checklists.journal.errors import Invalid

MEDIA_TYPE = "application/vnd.cncf.model.config.v1+json"
MAX_BYTES = 64 * 1024
MAX_DEPTH, MAX_EVENTS = 20, 4000
MODALITIES = ("text", "image", "audio", "video", "embedding", "other")
UNKNOWN = "unknown"  # stands for the layer hashes, which the specification requires, when none is known

Spec = dict[str, Any]


def _object(**properties: Spec) -> Spec:
    return {"type": "object", "properties": properties}


_TEXT: Spec = {"type": "string"}
_TEXTS: Spec = {"type": "array", "items": _TEXT}
_FLAG: Spec = {"type": "boolean"}
_COUNT: Spec = {"type": "integer", "minimum": 1}
_TIME: Spec = {"type": "string", "format": "date-time"}
_MODALITIES: Spec = {"type": "array", "items": {"enum": list(MODALITIES)}}

# The fields of the specification and their types. Unknown fields are the reader's to report, not an error.
SCHEMA: Spec = _object(
    descriptor=_object(
        createdAt=_TIME,
        authors=_TEXTS,
        vendor=_TEXT,
        family=_TEXT,
        name={"type": "string", "minLength": 1},
        version=_TEXT,
        revision=_TEXT,
        title=_TEXT,
        description=_TEXT,
        docURL=_TEXT,
        sourceURL=_TEXT,
        datasetsURL=_TEXTS,
        licenses=_TEXTS,
    ),
    config=_object(
        architecture=_TEXT,
        format=_TEXT,
        paramSize=_TEXT,
        precision=_TEXT,
        quantization=_TEXT,
        transformerConfig=_object(
            attentionType={"enum": ["mha", "gqa", "mla"]},
            mlpType={"enum": ["dense", "moe"]},
            numLayers=_COUNT,
            numAttentionHeads=_COUNT,
            numKVHeads=_COUNT,
            hiddenSize=_COUNT,
            intermediateSize=_COUNT,
        ),
        capabilities=_object(
            inputTypes=_MODALITIES,
            outputTypes=_MODALITIES,
            knowledgeCutoff=_TIME,
            reasoning=_FLAG,
            toolUsage=_FLAG,
            reward=_FLAG,
            languages={"type": "array", "items": {"type": "string", "pattern": "^[a-z]{2}$"}},
        ),
    ),
    modelfs=_object(type={"enum": ["layers"]}, diffIds={**_TEXTS, "minItems": 1}),
)
# A document to be imported may leave out the hashes of its layers; one that we write may not.
_INCOMING = {**SCHEMA, "anyOf": [{"required": ["descriptor"]}, {"required": ["config"]}]}
_COMPLETE = {
    **SCHEMA,
    "required": ["descriptor", "config", "modelfs"],
    "properties": {
        **SCHEMA["properties"],
        "modelfs": {**SCHEMA["properties"]["modelfs"], "required": ["type", "diffIds"]},
    },
}
# Earlier drafts of the specification wrote these names with underscores.
_OLD_NAMES = {
    "diff_ids": "diffIds",
    "input_types": "inputTypes",
    "output_types": "outputTypes",
    "knowledge_cutoff": "knowledgeCutoff",
    "tool_usage": "toolUsage",
}


def read_yaml(text: str) -> Any:
    """A YAML document as plain values, every scalar as text. Raises ``Invalid``: bad YAML, aliases, too deep.

    Text keeps ``version: 1.10`` from becoming 1.1; aliases are refused because they can stand for any size.
    """
    try:
        yaml = YAML(typ="safe", pure=True)
        depth = 0
        for count, event in enumerate(
            yaml.parse(text)
        ):  # read bit by bit: what is too much ends it before it costs time
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent):
                raise Invalid("Aliases (*name) are not taken. Write the value out.")
            if depth > MAX_DEPTH or count > MAX_EVENTS:
                raise Invalid("The document is nested too deeply, or has too many parts.")
        root = YAML(typ="safe", pure=True).compose(text)
        return _plain(root) if root is not None else None
    except (YAMLError, ValueError) as error:
        raise Invalid(f"This is not YAML: {getattr(error, 'problem', None) or error}.") from error
    except RecursionError as error:
        raise Invalid("The document is nested too deeply.") from error


def _plain(node: Node) -> Any:
    if isinstance(node, ScalarNode):
        is_null = node.style is None and node.value in ("", "~", "null", "Null", "NULL")
        return None if is_null else str(node.value)
    if not isinstance(node, MappingNode):
        return [_plain(child) for child in node.value]
    found: dict[str, Any] = {}
    for key, child in node.value:
        if not isinstance(key, ScalarNode) or str(key.value) in found:
            raise Invalid(f"Line {key.start_mark.line + 1}: a name stands twice, or is not text.")
        found[str(key.value)] = _plain(child)
    return found


def check(document: Any, *, complete: bool = False) -> tuple[Spec, list[str]]:
    """The known fields of a document, and the dotted paths of those the specification does not know.

    Nulls count as left out. ``complete``: as the specification demands it, with its layer hashes. Raises ``Invalid``
    with errors by dotted path.
    """
    if not isinstance(document, Mapping):
        raise Invalid("A ModelSpec document is an object with descriptor, config and modelfs.")
    unknown: list[str] = []
    known = _known(document, SCHEMA, "", unknown)
    validator = Draft202012Validator(_COMPLETE if complete else _INCOMING, format_checker=_FORMATS)
    errors: dict[str, list[str]] = {}
    for error in validator.iter_errors(known):
        path = ".".join(str(part) for part in error.absolute_path) or "body"
        text = "Neither descriptor nor config is there." if error.validator == "anyOf" else error.message[:300]
        errors.setdefault(path, []).append(text)
    if errors:
        raise Invalid("This is not a valid ModelSpec document. Nothing was changed.", errors=errors)
    return known, unknown


_FORMATS = Draft202012Validator.FORMAT_CHECKER.__class__(formats=())


def _is_time(value: object) -> bool:
    return not isinstance(value, str) or ("T" in value.upper() and datetime.fromisoformat(value) is not None)


_FORMATS.checks("date-time", raises=ValueError)(_is_time)


def _known(value: Any, schema: Spec, path: str, unknown: list[str]) -> Any:
    """``value`` without what ``schema`` does not know; text from YAML becomes the flags and counts asked for."""
    if isinstance(value, Mapping) and "properties" in schema:
        found: Spec = {}
        for name, inner in value.items():
            known_name = _OLD_NAMES.get(str(name), str(name))
            here = f"{path}.{name}" if path else str(name)
            if known_name not in schema["properties"]:
                unknown.append(here[:200])
            elif inner is not None:
                found[known_name] = _known(inner, schema["properties"][known_name], here, unknown)
        return found
    if isinstance(value, str) and schema is _FLAG and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, str) and schema is _COUNT and value.isascii() and value.isdigit() and len(value) <= 12:
        return int(value)
    return value


def leaves(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field with a value, by its dotted path; a list is one value."""
    for name, value in document.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from leaves(value, here)
        elif value not in (None, "", []):
            yield here, value


def build(fields: Mapping[str, Any], *, diff_ids: Sequence[str] = ()) -> Spec:
    """A complete document from fields by dotted path; empty ones are left out."""
    document: Spec = {
        "descriptor": {},
        "config": {},
        "modelfs": {"type": "layers", "diffIds": list(diff_ids) or [UNKNOWN]},
    }
    for path, value in fields.items():
        if value not in (None, "", []):
            *parents, name = path.split(".")
            here = document
            for parent in parents:
                here = here.setdefault(parent, {})
            here[name] = value
    return document


def timestamp(moment: datetime) -> str:
    """RFC 3339, in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
