"""Findings as JSON, whole: everything needed to dispute them, for those who may see it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from checklists.evidence.models import Finding, Transcript
from checklists.evidence.places import Places
from checklists.evidence.transcripts import Exchange

NO_ANSWERS: Mapping[int, Exchange] = MappingProxyType({})


def requests_of(finding: Finding) -> list[dict[str, Any]]:
    """The requests a finding rests on."""
    detail = finding.detail if isinstance(finding.detail, dict) else {}
    return [entry for entry in detail.get("requests") or [] if isinstance(entry, dict)]


def answers_of(finding: Finding) -> dict[int, Exchange]:
    """The answers a finding was read from, by their numbers, as far as they are still kept (one query)."""
    numbers = {entry["answer"] for entry in requests_of(finding) if isinstance(entry.get("answer"), int)}
    if not numbers or finding.run_id is None:
        return {}
    visit = Transcript.objects.filter(run=finding.run_id, endpoint_name=finding.endpoint_name).first()
    kept = visit.exchanges if visit else []
    return {number: exchange for number, exchange in enumerate(kept) if number in numbers}


def as_json(finding: Finding, *, hidden: Places | None, answers: Mapping[int, Exchange] = NO_ANSWERS) -> dict[str, Any]:
    """A finding with what was seen, the requests, the rule and the samples.

    ``hidden``: the release's places, for readers who may not see where endpoints are; else ``None``. ``answers``: what
    was kept of the servers' answers, for those who may. No query, if ``observation`` and ``detail`` are loaded.
    """
    detail = finding.detail if isinstance(finding.detail, dict) else {}
    whole: dict[str, Any] = {
        "id": finding.pk,
        "item": finding.item_key or None,
        "verdict": finding.verdict,
        "claimed": finding.claimed,
        "observed": finding.observed,
        "unit": finding.unit,
        "reason": finding.reason,
        "probe": finding.probe,
        "probe_version": finding.probe_version,
        "endpoint": finding.endpoint_name,
        "run": finding.run_id,
        "current": finding.current,
        "measured_at": finding.measured_at,
        "expires_at": finding.expires_at,
        "rule": str(detail.get("rule") or ""),
        "samples": detail.get("samples"),
        "histogram": detail.get("histogram"),
        "requests": requests_of(finding),
        "observation": finding.observation,
        "answers": [
            {
                "answer": number,
                "line": exchange.line,
                "status": exchange.status,
                "content_type": exchange.content_type,
                "truncated": exchange.truncated,
                "body": exchange.body,
            }
            for number, exchange in answers.items()
        ]
        if hidden is None
        else [],
    }
    if hidden is None:
        return whole
    told = ("observed", "reason", "rule", "histogram", "requests", "observation")
    return {**whole, **hidden.hide({name: whole[name] for name in told})}
