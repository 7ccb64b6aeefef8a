"""What no page can take is refused in words, and never fails."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.assessments.models import Comment
from tests.build import make_model, make_release
from tests.web.steps import HTMX, RESTORED, at, signed_in, text

pytestmark = pytest.mark.usefixtures("edition")


def test_nul_is_refused_in_addresses_filters_and_forms(team: Any, alice: Any, root: Any) -> None:
    release = make_release(make_model(team, alice), alice)
    client = signed_in(root)
    for path in ("/models/%00/", "/settings/teams/a%00/", f"/models/{release.model.slug}/releases/%00/evidence/"):
        assert client.get(path).status_code == 404
    for path in ("/search/?q=%00", "/items/?state=%00", "/journal/?subject=%00", "/settings/people/?q=a%00"):
        response = client.get(path)
        assert response.status_code == 422
        assert "NUL character" in text(response)
    response = signed_in(alice).post(at("comments", release, "identity.lineage"), {"body": "a\x00b"})
    assert response.status_code == 422
    assert not Comment.objects.exists()


def test_numbers_with_thousands_of_digits_are_refused(alice: Any) -> None:
    client = signed_in(alice)
    assert client.post("/inbox/", {"notice": "9" * 5000}).status_code == 302
    assert client.post("/settings/tokens/", {"revoke": "9" * 5000}).status_code == 404


def test_signed_out_a_page_leads_to_the_sign_in_and_a_fragment_is_refused(team: Any, alice: Any, client: Any) -> None:
    release = make_release(make_model(team, alice), alice)
    read, saved = at("evidence", release), at("answer", release, "identity.lineage")
    for headers in ({}, RESTORED):
        assert client.get(read, **headers)["Location"].startswith("/accounts/login/")
    # A redirect would be followed, and the form taken for saved.
    for answer in (client.get(read, **HTMX), client.post(saved, {"claims.base_model": "Llama"}, **HTMX)):
        assert answer.status_code == 401


@pytest.mark.parametrize("page", ["evidence", "history", "release", "findings_json"])
def test_a_page_that_is_only_read_takes_nothing(team: Any, alice: Any, page: str) -> None:
    release = make_release(make_model(team, alice), alice)
    client = signed_in(alice)
    for method in (client.post, client.put, client.delete):
        assert method(at(page, release)).status_code == 405


def test_a_body_too_large_is_refused_in_words(team: Any, alice: Any) -> None:
    release = make_release(make_model(team, alice), alice)
    response = signed_in(alice).post(at("endpoint_create", release), {"name": "x" * 2_700_000})
    assert response.status_code == 400
    assert "Nothing was changed" in text(response)
