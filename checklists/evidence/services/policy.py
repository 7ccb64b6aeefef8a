from __future__ import annotations

from ipaddress import IPv4Network, ip_network

from django.db import IntegrityError, transaction
from django.utils import timezone

from checklists import journal
from checklists.evidence.addresses import Policy, never_reachable
from checklists.evidence.models import AllowedNetwork
from checklists.journal.errors import Invalid
from checklists.people.models import User
from checklists.people.rules import require

SUBJECT = "settings/probe-policy"
# Nothing wider than the widest private range: "everything" is not a network of one's own.
WIDEST = {4: 8, 6: 7}


def current_policy() -> Policy:
    """What probes may reach now (one query)."""
    rows = AllowedNetwork.objects.values_list("cidr", flat=True)
    return Policy(allowed=tuple(ip_network(cidr) for cidr in rows))


@transaction.atomic
def allow_network(*, cidr: str, by: User, note: str = "") -> AllowedNetwork:
    """Let probes reach a private network. Administrators only; ``Invalid`` for what probes never reach."""
    require(by, "policy.change", message="Only an administrator can change which networks probes may reach.")
    refusal = "The network was not added."
    try:
        network = ip_network(cidr.strip(), strict=False)
    except ValueError:
        raise Invalid(refusal, errors={"cidr": ["Write a network such as 10.20.0.0/16 or fd12:3456::/48."]}) from None
    if never_reachable(network):
        what = "This network holds link-local, metadata or otherwise special addresses, which probes never reach."
        raise Invalid(refusal, errors={"cidr": [what]})
    if network.prefixlen < WIDEST[network.version]:
        example = "/8" if isinstance(network, IPv4Network) else "/7"
        raise Invalid(
            refusal, errors={"cidr": [f"This covers too much. Name your own networks, of {example} or smaller."]}
        )
    if len(note) > 200:
        raise Invalid(refusal, errors={"note": ["At most 200 characters."]})
    try:
        with transaction.atomic():
            row = AllowedNetwork.objects.create(
                cidr=str(network), note=note.strip(), created_by=by, created_at=timezone.now()
            )
    except IntegrityError:
        raise Invalid(refusal, errors={"cidr": ["This network is allowed already."]}) from None
    journal.record(
        verb="evidence.network.allowed", actor=by, subject=SUBJECT, data={"cidr": row.cidr, "note": row.note}
    )
    return row


@transaction.atomic
def remove_network(*, network: AllowedNetwork, by: User) -> None:
    """Close a private network to probes again."""
    require(by, "policy.change", message="Only an administrator can change which networks probes may reach.")
    journal.record(verb="evidence.network.removed", actor=by, subject=SUBJECT, data={"cidr": network.cidr})
    network.delete()
