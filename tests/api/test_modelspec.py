"""ModelSpec documents in and out."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.journal.errors import Invalid
from checklists.registry import modelspec
from tests.api.conftest import R

pytestmark = pytest.mark.django_db
SPEC: dict[str, Any] = {
    "descriptor": {
        "createdAt": "2026-01-01T00:00:00Z",
        "name": "assist-8b",
        "version": "1.0",
        "revision": "a1f9c0e",
        "family": "llama3",
        "vendor": "Example",
        "licenses": ["Apache-2.0", "MIT"],
    },
    "config": {
        "precision": "bfloat16",
        "quantization": "awq",
        "capabilities": {"inputTypes": ["text", "image"], "outputTypes": ["text"], "toolUsage": True},
    },
    "modelfs": {"type": "layers", "diffIds": ["sha256:" + "b" * 64]},
}
YAML = """
descriptor:
  name: assist-8b
  version: 1.10
  createdAt: 2026-01-01T00:00:00Z
  hardware: {gpus: 4}
config:
  paramSize: 8b
  capabilities: {input_types: [text], output_types: [text], reasoning: true}
"""


def test_a_document_fills_what_is_empty_and_answers_what_it_answers_whole(api: Any, alice: Any, release: Any) -> None:
    answer = api(alice).put(f"{R}modelspec/", SPEC)
    assert answer.status_code == 200, answer.json()
    body = answer.json()
    assert (body["created"], body["conflicts"]) == (False, [])
    assert body["ignored"] == [
        "config.capabilities.toolUsage",
        "descriptor.createdAt",
        "descriptor.vendor",
        "modelfs.diffIds",
        "modelfs.type",
    ]
    assert sorted(body["filled"]) == [
        "compute.quantization",
        "identity.gpu-precision",
        "identity.lineage",
        "identity.modalities",
        "identity.name-version",
        "security.data-governance",
    ]
    whole = api(alice).get(f"{R}answers/identity.name-version/").json()
    assert (whole["status"], whole["claims"]) == (
        "met",
        {"model_id": "assist-8b", "version": "1.0", "revision": "a1f9c0e"},
    )
    half = api(alice).get(f"{R}answers/identity.gpu-precision/").json()
    assert (half["status"], half["claims"]) == (
        "unanswered",
        {"precisions": ["bf16"]},
    )  # the GPU types are not known yet
    again = api(alice).put(f"{R}modelspec/", SPEC).json()
    assert (again["filled"], again["conflicts"]) == ([], [])


def test_a_claim_that_says_otherwise_is_kept_and_listed(api: Any, alice: Any, release: Any) -> None:
    api(alice).put(
        f"{R}answers/identity.lineage/", {"status": "partly", "claims": {"base_model": "Qwen"}, "revision": 0}
    )
    answer = api(alice).put(f"{R}modelspec/", SPEC).json()
    assert answer["conflicts"] == [
        {"item": "identity.lineage", "field": "base_model", "kept": "Qwen", "offered": "llama3"}
    ]
    assert "identity.lineage" not in answer["filled"]
    assert api(alice).get(f"{R}answers/identity.lineage/").json()["claims"] == {"base_model": "Qwen"}


def test_a_document_opens_a_release_that_is_not_there_yet(api: Any, alice: Any, carol: Any, model: Any) -> None:
    path = "models/assist/releases/2.0/"
    assert api(carol).put(f"{path}modelspec/", SPEC).status_code == 403
    answer = api(alice).put(f"{path}modelspec/", SPEC)
    assert (answer.status_code, answer.json()["created"]) == (201, True)
    release = api(alice).get(path).json()
    assert (release["revision"], release["artifact_digest"]) == ("a1f9c0e", "sha256:" + "b" * 64)
    assert api(alice).put("models/none/releases/2.0/modelspec/", SPEC).status_code == 404


@pytest.mark.parametrize("type", ["application/yaml", "text/yaml", "application/yaml; charset=utf-8"])
def test_yaml_is_taken_and_its_scalars_stay_text(api: Any, alice: Any, release: Any, type: str) -> None:
    answer = api(alice).put(f"{R}modelspec/", YAML, type=type)
    assert answer.status_code == 200, answer.json()
    assert answer.json()["filled"] == ["identity.name-version", "identity.modalities"]
    assert "descriptor.hardware" in answer.json()["ignored"]
    assert api(alice).get(f"{R}answers/identity.name-version/").json()["claims"]["version"] == "1.10"


def test_what_comes_out_is_valid_and_goes_in_again(api: Any, alice: Any, release: Any, model: Any) -> None:
    bare = api(alice).get(f"{R}modelspec/").json()
    modelspec.check(bare, complete=True)
    assert bare["descriptor"]["version"] == "1.0"
    assert bare["modelfs"] == {"type": "layers", "diffIds": ["sha256:" + "a" * 64]}
    api(alice).put(f"{R}modelspec/", SPEC)
    full = api(alice).get(f"{R}modelspec/").json()
    assert modelspec.check(full, complete=True)[1] == []
    assert full["descriptor"]["licenses"] == ["Apache-2.0", "MIT"]
    assert full["config"] == {
        "precision": "bf16",
        "quantization": "awq",
        "capabilities": {"inputTypes": ["text", "image"], "outputTypes": ["text"]},
    }
    again = api(alice).put("models/assist/releases/2.0/modelspec/", full).json()
    assert (again["created"], again["conflicts"], len(again["filled"])) == (True, [], 6)


def test_a_release_without_a_digest_still_gives_a_valid_document(api: Any, alice: Any, release: Any) -> None:
    api(alice).patch(R, {"artifact_digest": ""})
    spec = api(alice).get(f"{R}modelspec/").json()
    modelspec.check(spec, complete=True)
    assert spec["modelfs"]["diffIds"] == ["unknown"]


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{b}, *{b}, *{b}, *{b}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
)
BAD_YAML = {
    "billion laughs": LAUGHS,
    "an alias": "descriptor: &d {name: x}\nconfig: *d",
    "deep": "[" * 5000 + "]" * 5000,
    "cut off": "descriptor: {name: ",
    "a tab": "descriptor:\n\tname: x",
    "two documents": "descriptor: {name: x}\n---\nconfig: {}",
    "a name twice": "descriptor: {name: x, name: y}",
    "a list as a name": "? [a]\n: b",
    "NUL": 'descriptor: {name: "a\\0b"}',
    "nothing": "",
    "only text": "hello",
    "a foreign type": "descriptor: !!python/object/apply:os.system [echo]",
}


@pytest.mark.parametrize("what", BAD_YAML)
def test_yaml_that_is_not_a_document_is_400(api: Any, alice: Any, release: Any, what: str) -> None:
    answer = api(alice).put(f"{R}modelspec/", BAD_YAML[what], type="application/yaml")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json"), answer.content


def test_a_document_with_wrong_types_is_refused_by_field(api: Any, alice: Any, release: Any) -> None:
    for field, body in {
        "descriptor.version": {"descriptor": {"version": 1.1}},
        "descriptor": {"descriptor": "text"},
        "body": {"something": "else"},
        "config.capabilities.inputTypes.0": {"config": {"capabilities": {"inputTypes": ["smell"]}}},
        "descriptor.createdAt": {"descriptor": {"createdAt": "yesterday"}},
        "descriptor.name": {"descriptor": {"name": "x" * 3000}},
    }.items():
        answer = api(alice).put(f"{R}modelspec/", body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert api(alice).put(f"{R}modelspec/", "descriptor: " + "x" * 200_000, type="application/yaml").status_code == 413
    assert api(alice).put(f"{R}modelspec/", "<a/>", type="application/xml").status_code == 415


def test_a_carried_over_answer_waits_for_a_person(api: Any, alice: Any, release: Any) -> None:
    api(alice).put(f"{R}answers/identity.lineage/", {"status": "met", "claims": {"base_model": "Qwen"}, "revision": 0})
    api(alice).post("models/assist/releases/", {"version": "2.0", "carry_over_from": "1.0"})
    answer = api(alice).put("models/assist/releases/2.0/modelspec/", SPEC).json()
    assert "descriptor.family" in answer["ignored"]
    assert api(alice).get("models/assist/releases/2.0/answers/identity.lineage/").json()["carried_over"] is True


def test_the_checker_tells_what_the_specification_does_not_know() -> None:
    known, unknown = modelspec.check({"descriptor": {"name": "a", "nick": 1}, "extra": {}, "config": None})
    assert (known, unknown) == ({"descriptor": {"name": "a"}}, ["descriptor.nick", "extra"])
    with pytest.raises(Invalid):
        modelspec.check({"descriptor": {"name": "a"}, "config": {}}, complete=True)
