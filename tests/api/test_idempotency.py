"""The same Idempotency-Key: the same answer, one effect."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.api.conftest import R

KEY = {"Idempotency-Key": "f47ac10b"}
COMMENTS = f"{R}answers/identity.lineage/comments/"


@pytest.mark.django_db
def test_a_repeated_request_gives_the_first_answer_and_has_no_second_effect(api: Any, alice: Any, release: Any) -> None:
    from checklists.assessments.models import Comment
    from checklists.journal.models import Event

    first = api(alice).post(COMMENTS, {"body": "Once."}, **KEY)
    events = Event.objects.count()
    second = api(alice).post(COMMENTS, {"body": "Once."}, **KEY)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert first["Location"] == second["Location"]
    assert (Comment.objects.count(), Event.objects.count()) == (1, events + 1)  # + 1: the second token of alice


@pytest.mark.django_db
def test_every_post_that_creates_takes_a_key(api: Any, alice: Any, release: Any) -> None:
    bodies = {
        "teams/": {"slug": "below", "name": "Below", "parent": "search"},
        "models/": {"slug": "next", "name": "Next", "team": "search", "family": "llm", "tier": 3},
        "models/assist/releases/": {"version": "9.0"},
        f"{R}endpoints/": {"name": "main", "url": "http://127.0.0.1:9/"},
        f"{R}probe-runs/": {},
    }
    for n, (path, body) in enumerate(bodies.items()):
        answers = [api(alice).post(path, body, **{"Idempotency-Key": f"key-{n}"}) for _ in range(2)]
        assert answers[0].status_code in (201, 202), answers[0].content
        assert answers[0].status_code == answers[1].status_code
        assert answers[0].json() == answers[1].json()


@pytest.mark.django_db
def test_a_key_used_for_something_else_is_refused(api: Any, alice: Any, bob: Any, release: Any) -> None:
    api(alice).post(COMMENTS, {"body": "Once."}, **KEY)
    for path, body in (
        (COMMENTS, {"body": "Twice."}),
        (f"{R}answers/identity.name-version/comments/", {"body": "Once."}),
    ):
        refused = api(alice).post(path, body, **KEY)
        assert (refused.status_code, refused["Content-Type"]) == (422, "application/problem+json")
    assert api(bob).post(COMMENTS, {"body": "Mine."}, **KEY).status_code == 201  # keys are each person's own


@pytest.mark.django_db
def test_a_refused_request_leaves_its_key_free(api: Any, alice: Any, release: Any) -> None:
    assert api(alice).post(COMMENTS, {"body": ""}, **KEY).status_code == 400
    assert api(alice).post(COMMENTS, {"body": "Now."}, **KEY).status_code == 201


@pytest.mark.django_db
def test_a_key_is_forgotten_after_a_day(api: Any, alice: Any, release: Any) -> None:
    from checklists.api.models import IdempotencyRecord
    from checklists.assessments.models import Comment

    api(alice).post(COMMENTS, {"body": "Again."}, **KEY)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    api(alice).post(COMMENTS, {"body": "Again."}, **KEY)
    assert (Comment.objects.count(), IdempotencyRecord.objects.count()) == (2, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "a" * 201, "schlüssel", "tab\there"])
def test_a_key_that_cannot_be_one_is_refused(api: Any, alice: Any, release: Any, key: str) -> None:
    assert api(alice).post(COMMENTS, {"body": "Hm."}, **{"Idempotency-Key": key}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_eight_requests_at_once_with_one_key_have_one_effect(api: Any, alice: Any, release: Any) -> None:
    from checklists.assessments.models import Comment

    people = [api(alice) for _ in range(8)]
    together = Barrier(8)

    def post(person: Any) -> tuple[int, Any]:
        try:
            together.wait()
            answer = person.post(COMMENTS, {"body": "Once."}, **KEY)
            return answer.status_code, answer.json()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, people))
    assert [status for status, _ in answers] == [201] * 8
    assert len({body["id"] for _, body in answers}) == 1
    assert Comment.objects.count() == 1
