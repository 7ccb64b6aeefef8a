import pytest
from django.db import connection

from checklists.journal.errors import Forbidden, Invalid, WrongStage
from checklists.journal.models import Event
from checklists.registry.models import Endpoint, Model, Release
from checklists.registry.services import (
    KEPT,
    change_endpoint,
    change_model,
    change_release,
    clean_url,
    create_model,
    delete_endpoint,
    retire_release,
)
from tests.build import make_endpoint, make_model, make_release

pytestmark = pytest.mark.django_db

SECRET = "Bearer hidden-key-0123456789"


@pytest.fixture
def model(team, alice):
    return make_model(team, alice)


@pytest.fixture
def release(model, alice, edition):
    return make_release(model, alice)


def test_only_writers_of_the_team_register_a_model_for_it(team, bob, carol, mallory, root):
    make_model(team, bob, "one")
    make_model(team, root, "two")
    for outsider in (carol, mallory):
        with pytest.raises(Forbidden):
            make_model(team, outsider, "three")


def test_bad_fields_come_back_by_name(team, alice):
    with pytest.raises(Invalid) as caught:
        create_model(slug="Bad Slug", name="x", team=team, family="toaster", tier=9, by=alice)
    assert {"slug", "family", "tier"} <= set(caught.value.errors)


def test_a_restricted_model_is_for_its_team_reviewers_auditors_and_administrators(team, model, cast):
    change_model(model=model, by=cast.alice, restricted=True)
    sees = {name for name in vars(cast) if Model.objects.visible_to(getattr(cast, name)).exists()}
    assert sees == {"alice", "bob", "carol", "mo", "sam", "rita", "ada", "root"}


def test_only_owners_restrict(model, bob):
    with pytest.raises(Forbidden):
        change_model(model=model, by=bob, restricted=True)


def test_the_family_is_fixed_once_there_is_a_release(model, release, alice):
    with pytest.raises(Invalid):
        change_model(model=model, by=alice, family="audio")


def test_a_model_moves_only_to_a_team_where_one_may_register(model, other_team, alice, root):
    with pytest.raises(Forbidden):
        change_model(model=model, by=alice, team=other_team)
    assert change_model(model=model, by=root, team=other_team).team == other_team


def test_a_version_is_released_once(model, release, alice):
    with pytest.raises(Invalid) as caught:
        make_release(model, alice)
    assert "version" in caught.value.errors


@pytest.mark.parametrize("digest", ["sha256", "sha256:xyz", "SHA256:" + "a" * 64, "sha256:" + "a" * 10])
def test_an_artefact_digest_names_its_algorithm(model, alice, edition, digest):
    with pytest.raises(Invalid):
        make_release(model, alice, artifact_digest=digest)


def test_items_of_other_families_get_no_answer(team, alice, edition):
    audio = make_release(make_model(team, alice, "voice", family="audio"), alice)
    keys = set(audio.answers.values_list("item__key", flat=True))
    assert "compute.parallelism" not in keys
    assert "identity.name-version" in keys


def test_a_retired_release_takes_no_changes(release, alice):
    retire_release(release=release, by=alice)
    with pytest.raises(WrongStage):
        change_release(release=release, by=alice, revision="abc")
    with pytest.raises(WrongStage):
        make_endpoint(release, alice)


def test_header_values_are_unreadable_in_the_database_and_absent_from_the_journal(release, alice):
    endpoint = make_endpoint(release, alice, headers={"Authorization": SECRET})
    with connection.cursor() as cursor:
        cursor.execute("SELECT headers FROM registry_endpoint WHERE id = %s", [endpoint.pk])
        stored = cursor.fetchone()[0]
    assert SECRET not in stored
    assert "hidden" not in stored
    assert Endpoint.objects.get().headers == {"Authorization": SECRET}
    assert "hidden" not in str(list(Event.objects.values()))


def test_a_header_sent_back_masked_keeps_its_value(release, alice):
    endpoint = make_endpoint(release, alice, headers={"Authorization": SECRET})
    change_endpoint(endpoint=endpoint, by=alice, headers={"authorization": KEPT, "X-Team": "search"})
    assert Endpoint.objects.get().headers == {"authorization": SECRET, "X-Team": "search"}


def test_a_kept_secret_does_not_follow_the_address_to_another_server(release, alice):
    endpoint = make_endpoint(release, alice, headers={"Authorization": SECRET})
    with pytest.raises(Invalid) as caught:
        change_endpoint(endpoint=endpoint, by=alice, url="https://evil.example.net")
    assert "headers" in caught.value.errors
    with pytest.raises(Invalid):
        change_endpoint(endpoint=endpoint, by=alice, url="https://evil.example.net", headers={"Authorization": KEPT})
    with pytest.raises(Invalid):
        change_endpoint(endpoint=endpoint, by=alice, metrics_url="https://evil.example.net/metrics")
    change_endpoint(endpoint=endpoint, by=alice, url="https://llm.example.org/v2")
    change_endpoint(
        endpoint=endpoint, by=alice, url="https://other.example.net", headers={"Authorization": "Bearer typed-again"}
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"Bad Name": "x"},
        {"X": "a\nb"},
        {"X": "é"},
        {"X": 1},
        ["X"],
        {f"X{n}": "a" for n in range(21)},
        {"New": KEPT},
    ],
)
def test_headers_that_could_change_the_request_are_refused(release, alice, headers):
    with pytest.raises(Invalid):
        make_endpoint(release, alice, headers=headers)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example",
        "https://",
        "example.org",
        "https://user:pw@example.org",
        "https://exa mple.org",
        "https://x:port/",
        "file:///etc/passwd",
        "https://[::1",
    ],
)
def test_addresses_that_are_none_are_refused_in_words(url):
    with pytest.raises(ValueError, match=r"[A-Z]"):
        clean_url(url)


def test_members_and_reviewers_only_see_endpoints_change(release, carol, bob, alice):
    endpoint = make_endpoint(release, bob)
    with pytest.raises(Forbidden):
        change_endpoint(endpoint=endpoint, by=carol, name="x")
    delete_endpoint(endpoint=endpoint, by=alice)
    assert not Endpoint.objects.exists()


def test_endpoints_and_answers_are_carried_over_to_the_next_release(release, model, alice):
    make_endpoint(release, alice, headers={"Authorization": SECRET})
    following = make_release(model, alice, "2.0", carry_over_from=release)
    assert following.endpoints.get().headers == {"Authorization": SECRET}
    assert Release.objects.get(version="2.0").carried_over_from == release


@pytest.mark.parametrize("name", ["api_key", "access_token", "sig", "X-Amz-Credential", "password"])
def test_an_address_that_carries_a_secret_is_refused(release, alice, name):
    with pytest.raises(Invalid) as caught:
        make_endpoint(release, alice, metrics_url=f"https://m.example.org/metrics?{name}=abc")
    assert "put it into a header" in caught.value.errors["metrics_url"][0]
    make_endpoint(release, alice, metrics_url="https://m.example.org/metrics?format=prometheus")


def test_words_that_are_addresses_of_our_own_are_no_names(team, model, alice, edition):
    with pytest.raises(Invalid):
        make_model(team, alice, "new")
    with pytest.raises(Invalid):
        make_release(model, alice, "new")
