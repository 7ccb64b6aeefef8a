from __future__ import annotations

from typing import Any

import pytest

from checklists.journal.models import Event
from checklists.registry.models import Endpoint, Release
from checklists.registry.services import change_endpoint
from tests.build import make_endpoint, make_model, make_release
from tests.conftest import Cast
from tests.web.steps import at, signed_in, text

pytestmark = pytest.mark.django_db
SECRET = "Bearer sk-very-secret-0123456789"


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice, "assist-chat"), cast.alice, "4.2")


def form(**changed: str) -> dict[str, str]:
    return {"name": "eu-1", "url": "https://llm.example.org/v1", "stack": "auto", **changed}


def test_an_endpoint_is_added_with_secret_headers(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    assert client.get(at("endpoint_create", release)).status_code == 200
    data = form(
        header_name_0="Authorization",
        header_value_0=SECRET,
        header_name_2="X-Team",
        header_value_2="one",
        may_generate="on",
    )
    response = client.post(at("endpoint_create", release), data)
    assert response["Location"] == at("evidence", release)
    endpoint = Endpoint.objects.get()
    assert endpoint.headers == {"Authorization": SECRET, "X-Team": "one"}
    assert endpoint.may_generate


def test_a_header_value_is_in_no_page_no_journal_and_no_error(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, headers={"Authorization": SECRET})
    client = signed_in(cast.alice)
    pages = [
        client.get(at("endpoint_edit", release, endpoint.pk)),
        client.get(at("endpoint_delete", release, endpoint.pk)),
        client.get(at("evidence", release)),
        client.get(at("history", release)),
        client.get(at("checklist", release, "security")),
        client.post(at("endpoint_edit", release, endpoint.pk), form(url="nonsense", header_value_0=SECRET + "-new")),
        client.post(at("endpoint_create", release), form(url="", header_name_0="Authorization", header_value_0=SECRET)),
    ]
    assert [page.status_code for page in pages] == [200, 200, 200, 200, 200, 422, 422]
    for page in pages:
        assert "sk-very-secret" not in text(page)
    assert "Authorization" in text(pages[0])
    assert "•••" in text(pages[0])
    assert not [event for event in Event.objects.all() if "sk-very-secret" in str(event.data)]


def test_stored_headers_are_kept_replaced_or_removed(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, headers={"A": "1", "B": "2", "C": "3"})
    data = form(
        url=endpoint.url,
        header_name_0="A",
        header_name_1="B",
        header_value_1="changed",
        header_name_2="C",
        header_remove_2="on",
        header_name_3="D",
        header_value_3="4",
    )
    assert signed_in(cast.bob).post(at("endpoint_edit", release, endpoint.pk), data).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.headers == {"A": "1", "B": "changed", "D": "4"}


def test_a_header_is_replaced_by_its_name_even_when_another_came_in_before_it(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, headers={"B": "2", "C": "3"})
    shown = form(url=endpoint.url, header_name_0="B", header_value_0="changed", header_name_1="C", header_remove_1="on")
    change_endpoint(endpoint=endpoint, by=cast.alice, headers={"A": "1", "B": "2", "C": "3"})
    assert signed_in(cast.bob).post(at("endpoint_edit", release, endpoint.pk), shown).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.headers == {"A": "1", "B": "changed"}


def test_kept_headers_do_not_follow_the_address_to_another_server(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice, headers={"Authorization": SECRET})
    client = signed_in(cast.alice)
    response = client.post(at("endpoint_edit", release, endpoint.pk), form(url="https://elsewhere.example.org/"))
    assert response.status_code == 422
    assert "type the headers again" in text(response)
    endpoint.refresh_from_db()
    assert endpoint.url == "https://llm.example.org"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"url": "llm.example.org"}, "beginning with https"),
        ({"url": "https://a:b@llm.example.org"}, "Leave user names and passwords out"),
        ({"metrics_url": "ftp://x"}, "beginning with https"),
        ({"header_name_0": "Authorization"}, "type its value"),
        ({"header_value_0": "x"}, "no name beside it"),
        ({"header_name_0": "Host", "header_value_0": "x"}, "not allowed"),
        ({"stack": "magic"}, "not one of the available choices"),
    ],
)
def test_a_refused_endpoint_says_why_and_keeps_what_was_typed(
    cast: Cast, release: Release, changed: dict[str, str], says: str
) -> None:
    response = signed_in(cast.bob).post(at("endpoint_create", release), form(name="kept-name") | changed)
    assert response.status_code == 422
    assert says in text(response)
    assert 'value="kept-name"' in text(response)
    assert 'role="alert"' in text(response)
    assert not Endpoint.objects.exists()


def test_an_endpoint_is_removed_after_a_question(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    client = signed_in(cast.bob)
    assert "no longer counts" in text(client.get(at("endpoint_delete", release, endpoint.pk)))
    assert Endpoint.objects.exists()
    assert client.post(at("endpoint_delete", release, endpoint.pk)).status_code == 302
    assert not Endpoint.objects.exists()


def test_only_writers_change_endpoints_and_only_of_the_release_named(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    for user in (cast.carol, cast.mallory, cast.mo, cast.ada):
        client = signed_in(user)
        assert client.get(at("endpoint_edit", release, endpoint.pk)).status_code == 403
        assert client.post(at("endpoint_delete", release, endpoint.pk)).status_code == 403
    other = make_release(release.model, cast.alice, "5.0")
    assert signed_in(cast.alice).get(at("endpoint_edit", other, endpoint.pk)).status_code == 404
    # Addresses are for the team, reviewers and auditors.
    assert endpoint.url in text(signed_in(cast.carol).get(at("evidence", release)))
    assert endpoint.url not in text(signed_in(cast.mallory).get(at("evidence", release)))


def test_labels_are_lines_of_name_and_value_and_come_back_so(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    data = form(labels='namespace=chat\n\n job = "assist-chat",\n')
    assert client.post(at("endpoint_create", release), data).status_code == 302
    endpoint = Endpoint.objects.get()
    assert endpoint.labels == {"namespace": "chat", "job": "assist-chat"}
    assert "job=assist-chat\nnamespace=chat</textarea>" in text(client.get(at("endpoint_edit", release, endpoint.pk)))
    assert client.post(at("endpoint_edit", release, endpoint.pk), form(labels="")).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.labels == {}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("namespace", "is no name=value"),
        ("namespace=", "is no name=value"),
        ("pod=~chat.*", "is compared by = only"),
        ("pod!=chat", "is compared by = only"),
        ("app.kubernetes.io/name=chat", "cannot name a label"),
        ("1st=a", "cannot name a label"),
        ("a=1\na=2", "stands there twice"),
    ],
)
def test_labels_that_are_none_are_refused_in_words_and_kept_in_the_form(
    cast: Cast, release: Release, typed: str, said: str
) -> None:
    response = signed_in(cast.bob).post(at("endpoint_create", release), form(labels=typed))
    assert response.status_code == 422
    assert said in text(response)
    assert f"{typed.splitlines()[0]}" in text(response)
    assert not Endpoint.objects.exists()


def test_what_probes_may_send_is_declared_and_bounded(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    page = text(client.get(at("endpoint_create", release)))
    assert "One declared burst of at most 20 requests at once for 10 s; only when you press “Probe now”" in page
    for wrong in ("0", "21", "many"):
        response = client.post(at("endpoint_create", release), form(series_length=wrong))
        assert response.status_code == 422
        assert response.context["form"].errors["series_length"]
    data = form(series_length="20", may_burst="on", alertmanager_url="https://alerts.example.org")
    assert client.post(at("endpoint_create", release), data).status_code == 302
    endpoint = Endpoint.objects.get()
    assert (endpoint.series_length, endpoint.may_burst, endpoint.may_generate) == (20, True, False)
    assert endpoint.alertmanager_url.startswith("https://alerts.example.org")
    client.post(at("endpoint_edit", release, endpoint.pk), form(series_length="", may_burst=""))
    endpoint.refresh_from_db()
    assert (endpoint.series_length, endpoint.may_burst) == (5, False)
    told = text(client.get(at("history", release)))
    for name in ("permission of a burst", "length of the latency series", "Alertmanager address"):
        assert name in told


@pytest.mark.parametrize("name", ["a\nb", "a\x07b", "\u202elive", "\u200b", "\u2066x"])
def test_a_name_that_cannot_be_read_is_refused_and_one_in_any_script_is_not(
    cast: Cast, release: Release, name: str
) -> None:
    client = signed_in(cast.bob)
    response = client.post(at("endpoint_create", release), form(name=name))
    assert response.status_code == 422
    assert "without hidden characters" in text(response)
    for legible in ("\U0001f469\u200d\U0001f680", "می\u200cخواهم", "東京-1"):
        assert client.post(at("endpoint_create", release), form(name=legible)).status_code == 302
    assert Endpoint.objects.count() == 3


def test_too_long_a_label_says_how_long_it_may_be(cast: Cast, release: Release) -> None:
    response = signed_in(cast.bob).post(at("endpoint_create", release), form(labels="job=" + "x" * 500))
    assert response.status_code == 422
    assert "values of up to 499" in text(response)


def test_a_form_that_came_empty_is_refused_not_shown_anew(cast: Cast, release: Release) -> None:
    endpoint = make_endpoint(release, cast.alice)
    for url in (at("endpoint_create", release), at("endpoint_edit", release, endpoint.pk)):
        assert signed_in(cast.bob).post(url).status_code == 422
