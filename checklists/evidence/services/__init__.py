"""Every write of the evidence room."""

from checklists.evidence.services.findings import Measurement, record_findings, rejudge, retire_findings
from checklists.evidence.services.policy import allow_network, current_policy, remove_network
from checklists.evidence.services.runs import LeaseLost, claim_run, fail_run, finish_run, renew_lease, request_run
from checklists.evidence.services.schedule import expire_findings, probe_due, resume_abandoned

__all__ = [
    "LeaseLost",
    "Measurement",
    "allow_network",
    "claim_run",
    "current_policy",
    "expire_findings",
    "fail_run",
    "finish_run",
    "probe_due",
    "record_findings",
    "rejudge",
    "remove_network",
    "renew_lease",
    "request_run",
    "resume_abandoned",
    "retire_findings",
]
