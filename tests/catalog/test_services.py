"""Publishing: once, never altered, superseded by a newer edition, journaled."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checklists.catalog.choices import EditionStatus
from checklists.catalog.content import content_of, digest_of
from checklists.catalog.editions import current_edition, get_edition, view
from checklists.catalog.loader import BUNDLED, load
from checklists.catalog.models import Checklist, ClaimField, Edition, Item, Section
from checklists.catalog.services import sync_catalog
from checklists.journal.errors import Conflict, Forbidden, WrongStage
from checklists.journal.models import Event

pytestmark = pytest.mark.django_db

PUBLISHED = "catalog.edition.published"


@pytest.fixture
def altered(tmp_path: Path) -> Any:
    """Writes the bundled file with replacements and gives its path."""

    def write(*replacements: tuple[str, str]) -> Path:
        text = BUNDLED.read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "altered.yaml"
        path.write_text(text)
        return path

    return write


def test_the_first_run_publishes_and_journals_the_edition() -> None:
    result = sync_catalog()
    assert (result.created, result.items) == (True, 45)
    assert (Section.objects.count(), Item.objects.count()) == (9, 45)
    edition = current_edition()
    assert edition == result.edition
    assert edition.published_at is not None
    event = Event.objects.get(verb=PUBLISHED)
    assert event.subject == "checklists/genai-readiness/0.1"
    assert event.data == {"digest": edition.digest, "items": 45, "supersedes": None}


def test_the_second_run_writes_nothing() -> None:
    sync_catalog()
    with CaptureQueriesContext(connection) as queries:
        result = sync_catalog()
    assert not result.created
    written = [query["sql"] for query in queries if query["sql"].split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert written == []
    assert Event.objects.filter(verb=PUBLISHED).count() == 1


def test_what_is_stored_says_what_the_file_says_and_its_digest_proves_it() -> None:
    edition = sync_catalog().edition
    stored = content_of(view(edition))
    assert stored == load()
    assert digest_of(stored) == edition.digest


def test_a_published_edition_is_not_altered(altered: Any) -> None:
    sync_catalog()
    before = list(Item.objects.order_by("pk").values())
    path = altered(("How much must it serve?", "How much should it serve?"), ("Ready means warm", "Warm"))
    with pytest.raises(Conflict) as refusal:
        sync_catalog(path=path)
    assert "item performance.throughput: question\n" in refusal.value.message
    assert "item reliability.warmup-validated: short\n" in refusal.value.message
    assert "new edition number" in refusal.value.message
    assert list(Item.objects.order_by("pk").values()) == before


def test_items_that_left_or_came_are_named_in_the_refusal(altered: Any) -> None:
    sync_catalog()
    with pytest.raises(Conflict) as refusal:
        sync_catalog(path=altered(("key: operations.slos", "key: operations.promises")))
    assert "item operations.slos: missing from the file" in refusal.value.message
    assert "item operations.promises: not in the published edition" in refusal.value.message


def test_a_newer_edition_supersedes_and_leaves_the_older_one_readable(altered: Any) -> None:
    old = sync_catalog().edition
    path = altered(('edition: "0.1"', 'edition: "0.10"'), ("How much must it serve?", "What must it serve?"))
    new = sync_catalog(path=path).edition
    old.refresh_from_db()
    assert old.status == EditionStatus.SUPERSEDED
    assert current_edition() == new
    assert view(old).item("performance.throughput").question == "How much must it serve?"
    assert view(new).item("performance.throughput").question == "What must it serve?"
    assert Event.objects.filter(verb=PUBLISHED).latest("pk").data["supersedes"] == "0.1"
    assert not sync_catalog().created, "the older file is still in place, and changes nothing"
    assert current_edition() == new


def test_an_edition_older_than_the_published_one_is_refused(altered: Any) -> None:
    sync_catalog(path=altered(('edition: "0.1"', 'edition: "0.10"')))
    with pytest.raises(Conflict, match=r"0\.10 is published; 0\.9 is older"):
        sync_catalog(path=altered(('edition: "0.1"', 'edition: "0.9"')))
    assert Edition.objects.count() == 1


def test_a_faulty_file_leaves_nothing_behind(altered: Any) -> None:
    path = altered(("unit: GiB, ", ""))
    with pytest.raises(
        CommandError, match=r"line \d+: item compute\.peak-memory: unit is missing for number field gib"
    ):
        call_command("sync_catalog", str(path))
    assert not Checklist.objects.exists()


def test_the_command_says_what_it_did_in_a_sentence() -> None:
    said = StringIO()
    call_command("sync_catalog", stdout=said)
    call_command("sync_catalog", stdout=said)
    first, second = said.getvalue().splitlines()
    assert first.startswith("Published genai-readiness 0.1: 45 items")
    assert second.endswith("Nothing changed.")


def test_only_maintainers_and_administrators_may_publish(alice: Any, root: Any) -> None:
    with pytest.raises(Forbidden):
        sync_catalog(by=alice)
    assert sync_catalog(by=root).created
    assert Event.objects.get(verb=PUBLISHED).actor == root


def test_without_an_edition_it_says_how_to_get_one() -> None:
    with pytest.raises(WrongStage, match="sync_catalog"):
        current_edition()


def test_an_edition_is_read_in_four_queries_and_then_in_none(django_assert_num_queries: Any) -> None:
    edition = sync_catalog().edition
    # Another digest, so that no other test has put it into the cache before.
    Edition.objects.filter(pk=edition.pk).update(digest="f" * 64)
    edition.refresh_from_db()
    with django_assert_num_queries(4):
        first = view(edition)
    with django_assert_num_queries(0):
        assert view(edition) is first
    with django_assert_num_queries(1):
        assert get_edition(edition.pk) is first


def test_a_draft_is_read_afresh() -> None:
    edition = sync_catalog().edition
    draft = Edition.objects.create(checklist=edition.checklist, edition="0.2")
    section = Section.objects.create(edition=draft, key="identity", number=1, title="Identity")
    assert view(draft).items == ()
    Item.objects.create(
        edition=draft, section=section, key="identity.name", number="1.1", position=1, families=["llm"],
        requirement={"1": "must", "2": "should", "3": "may"}, mode="person", role="mlops",
    )  # fmt: skip
    assert [item.key for item in view(draft).items] == ["identity.name"]


def test_items_are_found_by_key_and_by_id_and_know_their_weight() -> None:
    edition = view(sync_catalog().edition)
    item = edition.item("observability.cache")
    row = Item.objects.get(pk=item.id)
    assert edition.item_by_id(item.id) is item
    assert item.section_key == "observability"
    assert item.number == row.number == "6.3"
    for one in (item, row):
        assert [one.applies_to(family) for family in ("llm", "embedding")] == [True, False]
        assert [one.requirement_for(tier) for tier in (1, 2, 3)] == ["should", "should", "may"]
        assert [one.weight_for(tier) for tier in (1, 2, 3)] == [2, 2, 1]
    assert edition.item("identity.name-version").weight_for(3) == 3
    assert edition.section("observability").items[2] is item
    for missing in (edition.item, edition.section):
        with pytest.raises(KeyError):
            missing("identity.unknown")


def test_fields_stand_in_the_order_of_the_file() -> None:
    edition = view(sync_catalog().edition)
    claims = edition.item("reliability.load-test").claims
    assert [claim.key for claim in claims] == ["tool", "date", "revision", "report_url"]
    assert ClaimField.objects.filter(item__key="reliability.load-test").count() == 4
    assert [item.number for item in edition.items[:6]] == ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1"]
