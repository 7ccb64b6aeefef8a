"""Events of the journal in words: what somebody did, to be read after their name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from checklists.assessments.models import Status
from checklists.journal.models import Event
from checklists.people.models import OrganisationRole, TeamRole
from checklists.registry.models import Stage
from checklists.signoff.models import Decision, Outcome, Role

Items = Mapping[str, str]
Words = Callable[[Event, dict[str, Any], Items], str]

FIELDS = {
    "artifact_digest": "artefact digest",
    "launch_date": "launch date",
    "assignee_id": "assignee",
    "metrics_url": "metrics address",
    "prometheus_url": "Prometheus address",
    "alertmanager_url": "Alertmanager address",
    "labels": "labels in Prometheus",
    "url": "address",
    "stack": "serving stack",
    "may_generate": "permission to generate",
    "may_burst": "permission of a burst",
    "series_length": "length of the latency series",
    "is_active": "may sign in",
}


def sentence(event: Event, items: Items | None = None) -> str:
    """What happened, to be read after the actor's name: ``answered 3.1 Latency: met``.

    ``items`` maps an item's key to how it is called; without it the key stands. A verb not known here is told by its
    own words. Never fails on what an older version wrote.
    """
    words = SENTENCES.get(event.verb)
    data = event.data if isinstance(event.data, dict) else {}
    if words is not None:
        try:
            return words(event, data, items or {})
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            pass
    return event.verb.rpartition(".")[0].replace(".", " ").replace("_", " ") + f" {event.verb.rpartition('.')[2]}"


def mark(event: Event) -> str:
    """The state whose colour the event wears in a timeline; empty for none."""
    data = event.data if isinstance(event.data, dict) else {}
    if event.verb == "signoff.signoff.given":
        return "verified" if data.get("decision") in ("approve", "approve_with_conditions") else "contradicted"
    if event.verb == "signoff.submission.decided":
        return "verified" if data.get("outcome") == "approved" else "contradicted"
    if event.verb in ("evidence.findings.recorded", "evidence.run.finished"):
        return "contradicted" if data.get("contradicted") else "verified" if data.get("verified") else ""
    if event.verb.startswith("assessments.waiver."):
        return "waived"
    return "partly" if event.verb in ("signoff.signoff.voided", "signoff.approval.expired") else ""


def pretty(data: Any) -> str:
    """JSON for people to read."""
    return json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True)


def _last(event: Event, back: int = 1) -> str:
    return event.subject.split("/")[-back]


def _listed(names: list[str], most: int = 4) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _fields(names: list[str]) -> str:
    return _listed([FIELDS.get(name, name.replace("_", " ")) for name in names])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _day(iso: str) -> str:
    return f"{date.fromisoformat(iso):%-d %B %Y}"


def _item(data: dict[str, Any], items: Items) -> str:
    return items.get(data["item"], data["item"])


def _changes(event: Event, data: dict[str, Any], items: Items) -> str:
    said = [
        f"{FIELDS.get(name, name.replace('_', ' '))} from {_value(before)} to {_value(after)}"
        if name != "description"
        else "the description"
        for name, (before, after) in data.items()
    ]
    thing = "the model" if event.verb.startswith("registry.model") else "the release"
    return f"changed {thing}: {_listed(said)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value not in (None, "") else "nothing"


def _answered(event: Event, data: dict[str, Any], items: Items) -> str:
    changed, after = data["changed"], data["after"]
    if "status" in changed:
        status = Status(after["status"]).label.lower()
        rest = [name for name in changed if name != "status"]
        return f"answered {_item(data, items)}: {status}" + (f", with {_fields(rest)}" if rest else "")
    if not changed:
        return f"confirmed {_item(data, items)} as carried over"
    return f"changed the {_fields(changed)} of {_item(data, items)}"


def _reviewed(event: Event, data: dict[str, Any], items: Items) -> str:
    parts = []
    if accepted := [items.get(key, key) for key in data["accepted"]]:
        parts.append(f"accepted {_listed(accepted)}")
    if flagged := [items.get(key, key) for key in data["flagged"]]:
        parts.append(f"flagged {_listed(flagged)}")
    return "; ".join(parts)


def _tier(data: dict[str, Any]) -> str:
    return f" on tier {data['tier']}" if data["tier"] else ""


def _found(event: Event, data: dict[str, Any], items: Items) -> str:
    parts = [f"{data[verdict]} {verdict}" for verdict in ("verified", "contradicted", "inconclusive") if data[verdict]]
    return f"measured {data['endpoint'] or 'the release itself'}: {', '.join(parts) or 'nothing'}"


def _rejudged(event: Event, data: dict[str, Any], items: Items) -> str:
    return f"judged {items.get(_last(event), _last(event))} again: " + _listed(
        [f"{c['before']} became {c['after']} at {c['endpoint'] or 'the release itself'}" for c in data["changes"]]
    )


def _run_finished(event: Event, data: dict[str, Any], items: Items) -> str:
    if data["state"] == "failed":
        return f"gave probe run {data['run']} up: {data['error']}"
    counts = f"{data['verified']} verified, {data['contradicted']} contradicted, {data['inconclusive']} inconclusive"
    return f"finished probe run {data['run']}: {counts}"


def _stage(event: Event, data: dict[str, Any], items: Items) -> str:
    before, after = (Stage(stage).label.lower() for stage in data["stage"])
    return f"moved the release from {before} to {after}" + (f" ({data['why']})" if data.get("why") else "")


def _signed(event: Event, data: dict[str, Any], items: Items) -> str:
    decision = Decision(data["decision"]).label.lower()
    conditions = f", {_count(data['conditions'], 'condition')}" if data.get("conditions") else ""
    return f"signed submission {data['number']} as {Role(data['role']).label}: {decision}{conditions}"


def _role_of(data: dict[str, Any]) -> str:
    return str(OrganisationRole(data["role"]).label)


def _member(event: Event, data: dict[str, Any], items: Items) -> str:
    who, team = _last(event), _last(event, 3)
    if data["role"] is None:
        return f"took {who} out of the team {team}"
    return f"made {who} {TeamRole(data['role']).label.lower()} of the team {team}"


def _opened(event: Event, data: dict[str, Any], items: Items) -> str:
    source = f", starting from the answers of {data['carry_over_from']}" if data.get("carry_over_from") else ""
    return f"opened release {_last(event)} on edition {data['edition']}{source}"


SENTENCES: dict[str, Words] = {
    "registry.model.created": lambda e, d, i: f"registered the model {d['name']} for {d['team']}",
    "registry.model.changed": _changes,
    "registry.release.created": _opened,
    "registry.release.changed": _changes,
    "registry.release.stage_changed": _stage,
    "registry.release.architecture_changed": lambda e, d, i: (
        f"put the model's config.json ({d['model_type'] or 'no model type'}) on file"
        if d["digest"]
        else "took the model's config.json off file"
    ),
    "registry.release.modelspec_changed": lambda e, d, i: "put a ModelSpec document on file",
    "registry.endpoint.created": lambda e, d, i: f"added the endpoint {d['name']}, {d['url']}",
    "registry.endpoint.changed": lambda e, d, i: f"changed the endpoint {d['name']}: {_fields(d['changed'])}",
    "registry.endpoint.deleted": lambda e, d, i: f"removed the endpoint {d['name']}",
    "assessments.answer.saved": _answered,
    "assessments.answer.assigned": lambda e, d, i: (
        f"gave {_item(d, i)} to somebody else" if d["after"]["assignee_id"] else f"left {_item(d, i)} to nobody"
    ),
    "assessments.answers.confirmed": lambda e, d, i: (
        f"confirmed {_count(len(d['items']), 'answer')} that had been carried over"
    ),
    "assessments.answers.reviewed": _reviewed,
    "assessments.acceptances.expired": lambda e, d, i: (
        f"noted that {_count(len(d['items']), 'acceptance')} came to an end"
    ),
    "assessments.comment.added": lambda e, d, i: f"commented on {_item(d, i)}",
    "assessments.waiver.requested": lambda e, d, i: (
        f"asked for a waiver for {_item(d, i)} until {_day(d['expires_on'])}"
    ),
    "assessments.waiver.decided": lambda e, d, i: (
        f"{ {'approve': 'approved', 'decline': 'declined', 'revoke': 'revoked'}[d['decision']] } "
        f"the waiver for {_item(d, i)}"
    ),
    "assessments.waiver.expired": lambda e, d, i: (
        f"noted that the waiver for {_item(d, i)} ran out on {_day(d['expires_on'])}"
    ),
    "evidence.run.requested": lambda e, d, i: (
        f"{'asked for' if d['reason'] == 'manual' else 'scheduled'} probe run {d['run']} "
        f"over {_count(d['endpoints'], 'endpoint')}"
    ),
    "evidence.run.finished": _run_finished,
    "evidence.findings.recorded": _found,
    "evidence.findings.rejudged": _rejudged,
    "evidence.finding.expired": lambda e, d, i: f"noted that {_count(d['findings'], 'finding')} went out of date",
    "evidence.freshness.set": lambda e, d, i: (
        f"set how long findings for {_item(d, i)} count{_tier(d)}: {_count(d['hours'], 'hour')}"
    ),
    "evidence.freshness.removed": lambda e, d, i: (
        f"left how long findings for {_item(d, i)} count{_tier(d)} to the probes again"
    ),
    "evidence.network.allowed": lambda e, d, i: f"allowed probes to reach {d['cidr']}",
    "evidence.network.removed": lambda e, d, i: f"no longer allows probes to reach {d['cidr']}",
    "signoff.submission.created": lambda e, d, i: (
        f"submitted the release for sign-off: submission {d['number']}, readiness {_value(d['readiness'])}"
    ),
    "signoff.submission.decided": lambda e, d, i: (
        f"settled submission {d['number']}: {Outcome(d['outcome']).label.lower()}"
    ),
    "signoff.signoff.given": _signed,
    "signoff.signoff.voided": lambda e, d, i: (
        f"voided what {_listed([str(Role(role).label) for role in d['roles']])} had signed ({d['reason']})"
    ),
    "signoff.condition.done": lambda e, d, i: f"ticked off a condition: {d['condition']}",
    "signoff.approval.expired": lambda e, d, i: f"noted that the approval of submission {d['number']} ran out",
    "signoff.route.changed": lambda e, d, i: f"changed the sign-off route for tier {_last(e)}",
    "catalog.edition.published": lambda e, d, i: f"published an edition of the checklist, {e.subject}",
    "people.user.created": lambda e, d, i: f"added {d.get('name') or _last(e)}",
    "people.user.changed": lambda e, d, i: f"changed {_last(e)}: {_fields(d['changed'])}",
    "people.role.granted": lambda e, d, i: f"made {_last(e)} {_role_of(d)}",
    "people.role.taken": lambda e, d, i: f"took the role {_role_of(d)} from {_last(e)}",
    "people.team.created": lambda e, d, i: f"created the team {d['name']}",
    "people.team.changed": lambda e, d, i: f"changed the team {_last(e)}: {_fields(sorted(d))}",
    "people.membership.changed": _member,
    "people.token.created": lambda e, d, i: f"made the API token {d['name']}",
    "people.token.revoked": lambda e, d, i: f"revoked an API token of {_last(e, 3)}",
}
