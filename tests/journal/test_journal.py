import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from checklists import journal
from checklists.journal.models import Chain, Event
from checklists.journal.services import verify

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def write(count, release_id=7):
    with transaction.atomic():
        return [
            journal.record(
                verb="test.happened", actor=None, subject=f"things/{n}", release_id=release_id, data={"n": n}
            )
            for n in range(count)
        ]


def faults():
    return [(f.release_id, f.text) for f in verify()]


def test_events_of_a_release_form_one_chain():
    first, second, third = write(3)
    assert (first.sequence, second.sequence, third.sequence) == (1, 2, 3)
    assert first.previous_hash == ""
    assert second.previous_hash == first.hash
    assert third.previous_hash == second.hash
    assert faults() == []


def test_what_is_appended_during_the_walk_is_no_fault(monkeypatch):
    from checklists.journal import services

    write(2)
    original, calls = services.event_hash, []

    def meanwhile(event):
        if not calls:
            calls.append(event)
            monkeypatch.setattr(services, "event_hash", original)
            write(2)
        return original(event)

    monkeypatch.setattr(services, "event_hash", meanwhile)
    assert faults() == []


def test_an_edited_event_is_found():
    write(3)
    Event.objects.filter(sequence=2).update(data={"n": 99})
    assert faults() == [(7, "was edited after it was written")]


def test_a_deleted_event_is_found():
    write(4)
    Event.objects.filter(sequence=2).delete()
    assert faults() == [(7, "events 2 to 2 are missing")]


def test_a_deleted_end_of_the_chain_is_found():
    write(4)
    Event.objects.filter(sequence__gte=3).delete()
    assert faults() == [(7, "ends after 2 events, but 4 were written")]


def test_a_chain_deleted_altogether_is_found():
    write(2)
    Event.objects.all().delete()
    assert faults() == [(7, "ends after 0 events, but 2 were written")]


def test_reordered_events_are_found():
    write(3)
    Event.objects.filter(sequence=2).update(sequence=9)
    Event.objects.filter(sequence=3).update(sequence=2)
    Event.objects.filter(sequence=9).update(sequence=3)
    assert any("reordered" in text or "edited" in text for _, text in faults())


def test_an_event_slipped_in_is_found():
    write(2)
    last = Event.objects.get(sequence=2)
    last.pk, last.sequence = None, 3
    last.save(force_insert=True)
    assert faults()


def test_events_without_the_record_of_their_end_are_found():
    write(2)
    Chain.objects.all().delete()
    assert faults() == [(7, "has events but no record of its end")]


def test_the_command_says_whether_the_journal_holds(capsys):
    write(2)
    call_command("journal", "verify")
    assert "The journal holds: 2 events." in capsys.readouterr().out
    Event.objects.filter(sequence=1).update(verb="test.other")
    with pytest.raises(CommandError, match="does not hold"):
        call_command("journal", "verify")


def test_an_event_vanishes_with_the_change_it_tells():
    with transaction.atomic():
        journal.record(verb="test.happened", actor=None, subject="things/1")
        transaction.set_rollback(True)
    assert not Event.objects.exists()
    assert not Chain.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_refused():
    with pytest.raises(transaction.TransactionManagementError):
        journal.record(verb="test.happened", actor=None, subject="things/1")


@pytest.mark.django_db(transaction=True)
def test_appends_at_the_same_time_all_find_their_place():
    errors = []

    def work():
        try:
            for _ in range(10):
                write(1)
        except Exception as error:  # told to the test below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Event.objects.count() == 40
    assert faults() == []
