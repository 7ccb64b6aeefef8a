"""What would help, as a link to the very place where it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.urls import reverse

from checklists.evidence.remedies import Remedy
from checklists.registry.models import Endpoint


@dataclass(frozen=True)
class Action:
    """The one thing to do: a link, or with ``form`` the id of a form on the page that a button sends."""

    label: str
    url: str = ""
    form: str = ""


@dataclass(frozen=True)
class Words:
    """A remedy in words: what the link says, the sentence beside it, and the field of the endpoint form it leads to."""

    label: str
    text: str
    anchor: str = ""


WORDS: Mapping[Remedy, Words] = {
    Remedy.ENDPOINT: Words("Add an endpoint", "Tell where the release can be reached."),
    Remedy.PROBE: Words("Probe now", "Start a run: these were not measured yet, or their claims changed since."),
    Remedy.CLAIM: Words("Answer it", "Answer what these items ask: nothing is claimed yet that could be compared."),
    Remedy.PROMETHEUS: Words(
        "Give the Prometheus address",
        "Give the address of a Prometheus server that answers and collects the endpoint’s metrics.",
        "id_prometheus_url",
    ),
    Remedy.ALERTMANAGER: Words(
        "Give the Alertmanager address", "Give the address of the Alertmanager.", "id_alertmanager_url"
    ),
    Remedy.LABELS: Words(
        "Give the labels", "Say by which labels Prometheus knows this endpoint’s series.", "id_labels"
    ),
    Remedy.METRICS: Words(
        "Give the metrics address", "Give the address of a metrics page that can be read.", "id_metrics_url"
    ),
    Remedy.GENERATION: Words(
        "Allow generation", "Allow probes to send small requests that the model answers.", "id_may_generate"
    ),
    Remedy.BURST: Words(
        "Allow a burst", "Allow one declared burst of requests, when somebody starts a run.", "id_may_burst"
    ),
    Remedy.CREDENTIALS: Words(
        "Check the headers", "Give credentials that the server accepts: ours were refused.", "headers"
    ),
    Remedy.ADDRESS: Words("Check the endpoint", "Give an address at which the server can be reached.", "id_url"),
    Remedy.NETWORK: Words("Probe policy", "Have an administrator allow the private network in which the server is."),
}


def action(remedy: Remedy, endpoint: Endpoint | None, where: list[str]) -> Action | None:
    """The link to where a remedy is done; ``where``: slug and version. ``None`` where it takes an endpoint.

    For a claim the caller knows the item, see ``claim_action``.
    """
    words = WORDS[remedy]
    if remedy == Remedy.PROBE:
        return Action(words.label, form="probe-now")
    if remedy == Remedy.ENDPOINT:
        return Action(words.label, reverse("web:endpoint_create", args=where))
    if remedy == Remedy.NETWORK:
        return Action(words.label, reverse("web:networks"))
    if endpoint is None:
        return None
    return Action(words.label, f"{reverse('web:endpoint_edit', args=[*where, endpoint.pk])}#{words.anchor}")


def claim_action(section_key: str, item_key: str, where: list[str]) -> Action:
    """To the item in the checklist whose answer lacks the claim."""
    url = reverse("web:checklist", args=[*where, section_key])
    return Action(WORDS[Remedy.CLAIM].label, f"{url}#{item_key}")
