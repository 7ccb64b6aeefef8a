"""The claimed digest where images are published, and in the cluster that runs them, as Prometheus tells of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from checklists.evidence.probes.base import (
    CONTRADICTED,
    INCONCLUSIVE,
    NONE,
    VERIFIED,
    Judgement,
    dict_of,
    joined,
    list_of,
    number_of,
    text_of,
)
from checklists.evidence.probes.hub import NAME, ImageRegistry, _digests, _manifest, _moved_on, digest_of
from checklists.evidence.probes.prometheus.base import scope_of
from checklists.evidence.probes.visit import Answer, Claims, Observation, Visit
from checklists.evidence.stacks import Stack

MAX_ENDPOINTS, MAX_IMAGES = 5, 20
RULE = (
    "every pod runs an image of the claimed digest: verified; every pod runs another image of the claimed name, and "
    "both are images in the registry: contradicted"
)
_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
# docker.io/team/assist@sha256:…, docker-pullable://…, or the bare id that some runtimes give.
_IMAGE = re.compile(r"(?:[a-z-]+://)?(?:(?P<name>[^@\s]{1,300})@)?(?P<digest>sha256:[0-9a-f]{64})\Z")


class RunningImage(ImageRegistry):
    """The claimed digest in the registry, and among the images that the pods behind the endpoints run now."""

    version = 2
    reads: ClassVar[tuple[str, ...]] = ("registry", "prometheus", "kubernetes")
    sends = (
        "GETs of manifests, without credentials, from the configured registry: by claimed digest, by version, and of "
        "what runs; a few reading queries to the Prometheus server."
    )

    async def observe(self, visit: Visit) -> Observation:
        seen, running = await super().observe(visit), await running_images(visit)
        base, name = text_of(seen.get("registry")), text_of(dict_of(seen.get("asked")).get("model_id"))
        if not seen.get("error") and seen.get("known") is True and running.get("images"):
            claimed = digest_of(text_of(dict_of(seen["asked"]).get("artifact_digest")))
            alike = [digest for digest, image in dict_of(running["images"]).items() if _same_name(image, name)]
            running["families"] = {
                digest: _digests(answer)
                for digest in (claimed, *alike[:3])
                if _is_image(answer := await _manifest(visit, base, name, digest))
            }
        return {**seen, "running": running}

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        published = super().judge(item_key, claims, observation, others)
        running, claimed = dict_of(observation.get("running")), digest_of(text_of(claims.get("artifact_digest")))
        if not claimed or _moved_on(claims, observation) or not running.get("images"):
            return published
        return _running(claimed, text_of(claims.get("model_id")), running, published)

    def speaks_to(self, observation: Observation) -> tuple[str | None, ...]:
        return self.items if dict_of(observation.get("running")).get("images") else super().speaks_to(observation)

    def settles(self, item_key: str, stack: Stack) -> str:
        if item_key != NAME:
            return super().settles(item_key, stack)
        return "What runs only the server can tell, or a Prometheus server that knows the images of its pods."


def _is_image(answer: Answer) -> bool:
    """Whether a manifest is of an image, or of several: weights may be published as manifests too."""
    body = answer.object()
    config = text_of(dict_of(body.get("config")).get("mediaType"))
    return not body.get("artifactType") and (
        config in _CONFIGS or (not config and bool(list_of(body.get("manifests"))))
    )


async def running_images(visit: Visit) -> Observation:
    """The images of the pods behind the release's endpoints: how many ``pods``, which ``images`` (names by digest), and
    in how many of the pods each is (``held``); or what went wrong."""
    images: dict[str, str] = {}
    held: Counter[str] = Counter()
    pods = 0
    where: list[str] = []
    for sibling in visit.target.siblings[:MAX_ENDPOINTS]:
        if not sibling.prometheus_url:
            continue
        scope, head = await scope_of(visit.beside(sibling))
        if scope is None:
            return head
        if not scope.pods:
            continue
        reading = await scope.prometheus.instant(scope.on_pods("kube_pod_container_info"))
        if reading.error:
            return reading.problem
        of_pod: dict[tuple[str, str], set[str]] = {}
        for series in reading.series:
            match = _IMAGE.match(series.labels.get("image_id", ""))
            digests = of_pod.setdefault((series.label("namespace"), series.label("pod")), set())
            if match is not None:
                digests.add(match["digest"])
                images.setdefault(match["digest"], match["name"] or series.labels.get("image", "")[:300])
        pods += len(of_pod)
        held.update(digest for digests in of_pod.values() for digest in digests)
        where.append(text_of(head.get("where")))
    kept = dict(sorted(images.items(), key=lambda item: -held[item[0]])[:MAX_IMAGES])
    return {"pods": pods, "images": kept, "held": {key: held[key] for key in kept}, "where": joined(where, 2)}


def _running(claimed: str, name: str, running: Observation, published: Judgement) -> Judgement:
    """What runs, against the claimed digest; what is published, where that decides nothing."""
    pods, images, held = number_of(running.get("pods")) or 0, dict_of(running["images"]), dict_of(running.get("held"))
    where, shown = f"kube_pod_container_info, {text_of(running.get('where'))}", joined(sorted(images), 2)
    words: dict[str, Any] = {"claimed": claimed, "rule": RULE, "samples": int(pods)}
    there = number_of(held.get(claimed)) or 0
    if there and there >= pods:
        reason = f"Each of {int(pods)} pods runs {text_of(images.get(claimed)) or 'an image'} of this digest; {where}."
        return Judgement(VERIFIED, observed=claimed, reason=reason, **words)
    if there:
        reason = f"{int(there)} of {int(pods)} pods run an image of this digest, others do not; {where}."
        return Judgement(INCONCLUSIVE, observed=claimed, reason=reason, **words)
    families = {key: {text_of(one) for one in list_of(row)} for key, row in dict_of(running.get("families")).items()}
    alike = [digest for digest, image in images.items() if _same_name(image, name)]
    # An index and the images in it have digests of their own, and mean one thing.
    apart = [one for one in alike if one in families and not ({one, *families[one]} & {claimed, *families[claimed]})]
    if claimed in families and alike and apart == alike and sum(number_of(held.get(one)) or 0 for one in alike) >= pods:
        reason = f"Each of {int(pods)} pods runs {name} as {joined(alike, 2)}, not as the claimed digest; {where}."
        return Judgement(CONTRADICTED, observed=joined(alike, 2), reason=reason, **words)
    why = f"Its pods run {len(images)} images, none of this digest ({where}); it may be that of the weights."
    return Judgement(INCONCLUSIVE, observed=shown, reason=f"{why} {published.reason}", **words)


def _same_name(image: Any, name: str) -> bool:
    """Whether an image is of a repository of that name, in whatever registry, with whatever tag."""
    path = re.sub(r"[:@][^/]*\Z", "", text_of(image))
    return bool(name) and (path == name or path.endswith(f"/{name}"))
