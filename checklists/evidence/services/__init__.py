"""Every write of the evidence room."""

from checklists.evidence.services.findings import record_findings, rejudge, retire_findings
from checklists.evidence.services.fingerprints import Fingerprints, keep_fingerprints
from checklists.evidence.services.freshness import remove_freshness, set_freshness
from checklists.evidence.services.local import judge_locally
from checklists.evidence.services.measurements import Measurement, Visited
from checklists.evidence.services.pages import LastPages
from checklists.evidence.services.policy import allow_network, current_policy, remove_network
from checklists.evidence.services.retention import drop_old
from checklists.evidence.services.runs import LeaseLost, claim_run, fail_run, finish_run, renew_leases, request_run
from checklists.evidence.services.schedule import (
    BEFORE_EXPIRY,
    JITTER,
    asked_anew,
    expire_findings,
    keep_schedule,
    plan_next,
    probe_due,
    resume_abandoned,
    schedule_visits,
)

__all__ = [
    "BEFORE_EXPIRY",
    "JITTER",
    "Fingerprints",
    "LastPages",
    "LeaseLost",
    "Measurement",
    "Visited",
    "allow_network",
    "asked_anew",
    "claim_run",
    "current_policy",
    "drop_old",
    "expire_findings",
    "fail_run",
    "finish_run",
    "judge_locally",
    "keep_fingerprints",
    "keep_schedule",
    "plan_next",
    "probe_due",
    "record_findings",
    "rejudge",
    "remove_freshness",
    "remove_network",
    "renew_leases",
    "request_run",
    "resume_abandoned",
    "retire_findings",
    "schedule_visits",
    "set_freshness",
]
