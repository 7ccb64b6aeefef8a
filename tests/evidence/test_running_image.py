"""The images that run, as kube-state-metrics tells of them, against the claimed digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.evidence.probes import PROBES, Judgement, Target
from tests.evidence.loopback import Request, observe, serving

NAME = "identity.name-version"
PROBE = PROBES["registry.digest"]
CLAIMED, OTHER, CHILD, INDEX, SIDECAR = (f"sha256:{digit * 64}" for digit in "abcde")
CLAIMS = {"model_id": "team/assist", "version": "4.2", "artifact_digest": CLAIMED}
PROXY = ("istio/proxyv2:1.27", f"docker.io/istio/proxyv2@{SIDECAR}")


def image(digest: str, name: str = "registry.example/team/assist", kind: str = "") -> tuple[str, str]:
    """``image`` and ``image_id`` of a container."""
    return f"{name}:4.2", f"{kind}{name}@{digest}"


def cluster(
    pods: Sequence[Sequence[tuple[str, str]]],
    children: Mapping[str, Sequence[str]] | None = None,
    kind: str = "application/vnd.oci.image.config.v1+json",
) -> Any:
    """Prometheus and registry on one address: the containers of each pod, and the manifests with what is in them."""
    manifests = children or {}

    def handle(request: Request) -> None:
        path, query = urlsplit(request.path).path, parse_qs(urlsplit(request.path).query)
        if path.startswith("/v2/"):
            digest = path.rpartition("/")[2]
            if digest not in manifests:
                return request.reply(404, {})
            body: dict[str, Any] = {"config": {"mediaType": kind}}
            if manifests[digest]:
                body = {"manifests": [{"digest": child} for child in manifests[digest]]}
            return request.reply(200, body, {"Docker-Content-Digest": digest})
        expression, rows = query.get("query", [""])[0], []
        for number, containers in enumerate(pods):
            pod = {"namespace": "llm", "pod": f"assist-{number}"}
            if "kube_pod_container_info" in expression:
                named = [{"image": name, "image_id": held} for name, held in containers]
                rows += [{"metric": {**pod, **one, "container": f"c{n}"}} for n, one in enumerate(named)]
            elif expression.startswith("count by (model_name"):
                rows.append({"metric": {**pod, "instance": f"10.0.0.{number}:8000"}})
        data: Any = {"resultType": "vector", "result": [{**row, "value": [1, "1"]} for row in rows]}
        if path.endswith("/values"):
            data = ["vllm:num_requests_running"]
        return request.reply(200, {"status": "success", "data": data})

    return handle


def found(handler: Any, claims: Mapping[str, Any] = CLAIMS, *, oci: bool = True, now: Any = None) -> Judgement:
    with serving(handler) as server:
        endpoint = Target("main", "http://10.9.9.9:8000", prometheus_url=server.url, labels={"job": "assist"})
        facts = {"oci_url": server.url} if oci else {}
        target = Target("", "", claims={NAME: claims}, facts=facts, siblings=(endpoint,))
        observation, _ = observe(PROBE.key, target)
    assert PROBE.speaks_to(observation) == (NAME,)
    return PROBE.judge(NAME, now or claims, observation)


KNOWN = {CLAIMED: [], OTHER: []}
CASES: list[tuple[Any, Mapping[str, Sequence[str]], str, str]] = [
    ([[image(CLAIMED), PROXY], [image(CLAIMED), PROXY]], {}, "verified", "Each of 2 pods runs registry.example/team"),
    ([[image(CLAIMED, kind="docker-pullable://")]], {}, "verified", "Each of 1 pods runs registry.example/team/assist"),
    ([[("x:1", CLAIMED)]], {}, "verified", "Each of 1 pods runs x:1 of this digest"),
    ([[image(CLAIMED)], [image(OTHER)]], KNOWN, "inconclusive", "1 of 2 pods run"),  # in the middle of a roll-out
    ([[image(OTHER), PROXY]], KNOWN, "contradicted", "Each of 1 pods runs team/assist as sha256:bbb"),
    ([[image(OTHER)], [image(OTHER)]], KNOWN, "contradicted", "Each of 2 pods"),
    # Which of them is an image, and whether of the same release, the registry does not tell.
    ([[image(OTHER)]], {}, "inconclusive", "it may be that of the weights"),
    ([[image(OTHER)]], {CLAIMED: []}, "inconclusive", "it may be that of the weights"),
    ([[image(OTHER)]], {OTHER: []}, "inconclusive", "it may be that of the weights"),
    ([[image(OTHER, "vllm/vllm-openai"), PROXY]], KNOWN, "inconclusive", "run 2 images"),
    ([[image(OTHER)], [PROXY]], KNOWN, "inconclusive", "run 2 images, none of this digest"),
    ([[("team/assist:4.2", "")]], KNOWN, "inconclusive", "only the server can tell"),  # not pulled yet
    ([], KNOWN, "inconclusive", "only the server can tell"),
]


@pytest.mark.parametrize(("pods", "manifests", "verdict", "words"), CASES)
def test_what_every_pod_runs_settles_the_claimed_digest(
    pods: Any, manifests: Mapping[str, Sequence[str]], verdict: str, words: str
) -> None:
    judgement = found(cluster(pods, manifests))
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason
    assert judgement.claimed == CLAIMED


@pytest.mark.parametrize(
    "manifests",
    [
        {CLAIMED: [CHILD], CHILD: []},  # the claimed one is an index, the image for this platform runs
        {CLAIMED: [], CHILD: [CLAIMED]},  # the index runs
        {CLAIMED: [INDEX], CHILD: [INDEX]},
    ],
)
def test_an_index_and_an_image_in_it_do_not_contradict_each_other(manifests: Mapping[str, Sequence[str]]) -> None:
    assert found(cluster([[image(CHILD)]], manifests)).verdict == "inconclusive"


def test_the_digest_of_weights_in_a_registry_is_not_contradicted_by_an_image() -> None:
    weights = "application/vnd.cncf.model.config.v1+json"
    assert found(cluster([[image(OTHER)]], KNOWN, weights)).verdict == "inconclusive"


@pytest.mark.parametrize("said", [CLAIMED.removeprefix("sha256:").upper(), f"team/assist@{CLAIMED}"])
def test_a_digest_counts_however_it_is_written(said: str) -> None:
    assert found(cluster([[image(CLAIMED)]], KNOWN), {**CLAIMS, "artifact_digest": said}).verdict == "verified"
    assert found(cluster([[image(OTHER)]], KNOWN), {**CLAIMS, "artifact_digest": said}).verdict == "contradicted"


def test_what_runs_is_told_without_a_registry_too() -> None:
    assert found(cluster([[image(CLAIMED)]]), oci=False).verdict == "verified"
    assert found(cluster([[image(OTHER)]]), oci=False).verdict == "inconclusive"


def test_another_claim_or_none_is_not_judged_by_what_was_seen_for_this_one() -> None:
    changed = found(cluster([[image(CLAIMED)]]), now={**CLAIMS, "artifact_digest": OTHER})
    assert "The claim changed" in changed.reason
    assert found(cluster([[image(CLAIMED)]]), {**CLAIMS, "artifact_digest": ""}).verdict == "inconclusive"
    assert found(cluster([[image(CLAIMED)]]), {**CLAIMS, "artifact_digest": "4.2"}).verdict == "inconclusive"


PARTS = st.sampled_from(
    [None, "x", -1, [], {}, {"a": 1}, {CLAIMED: "team/assist"}, {CLAIMED: 2}, {OTHER: [CLAIMED, 7]}]
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["pods", "images", "held", "where", "families"], PARTS)))
def test_no_observation_makes_the_judgement_fail(running: dict[str, Any]) -> None:
    asked = {"model_id": "team/assist", "version": "4.2", "revision": "", "artifact_digest": CLAIMED}
    judgement = PROBE.judge(NAME, CLAIMS, {"asked": asked, "registry": "http://r", "running": running})
    assert judgement.reason
