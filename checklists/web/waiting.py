"""What waits for a reviewer: the submissions that one of their roles has still to sign."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from checklists.people.models import User
from checklists.signoff.models import APPROVING, Party, Submission


def counted(rows: QuerySet[Any]) -> Coalesce:
    """How many rows, as a column of another query."""
    number = rows.order_by().annotate(n=Func(F("pk"), function="COUNT")).values("n")
    return Coalesce(Subquery(number, output_field=IntegerField()), 0)


def waiting_submissions(user: User) -> list[int]:
    """Pending submissions (primary keys) that this reviewer can sign for a role that has not signed in full; one query.

    The count beside “Reviews”; it says what ``signoff.standing.standing_of`` says, which the queue itself asks.
    """
    roles = user.access.reviewer_roles
    rows = Submission.objects.visible_to(user).pending().exclude(parties__user=user)
    for role in roles:
        standing = Party.objects.filter(
            submission__release=OuterRef("release"),
            part=Party.Part.SIGNER,
            role=role,
            decision__in=APPROVING,
            voided_at=None,
            role_digest=OuterRef(f"digest_{role}"),
        )
        rows = rows.annotate(**{f"digest_{role}": KT(f"role_digests__{role}"), f"signed_{role}": counted(standing)})
    return [
        row["pk"]
        for row in rows.values("pk", "required", *(f"signed_{role}" for role in roles))
        if any(need["role"] in roles and row[f"signed_{need['role']}"] < need["count"] for need in row["required"])
    ]
