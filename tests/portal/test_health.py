import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings

from portal.servers import free_port


@pytest.mark.django_db
def test_it_is_ready_when_the_database_and_the_broker_answer(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "failed": []})


@pytest.mark.django_db
def test_it_is_not_ready_without_its_broker_and_says_so_without_the_address(client: Client) -> None:
    port = free_port()
    location = f"redis://:a-secret@127.0.0.1:{port}/0"
    with override_settings(CACHES={"default": {**settings.CACHES["default"], "LOCATION": location}}):
        response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "failed", "failed": ["broker"]})
    assert "a-secret" not in response.content.decode()


@pytest.mark.django_db
def test_it_is_not_ready_without_its_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("no database here")

    monkeypatch.setattr(connection, "cursor", refuse)
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "failed", "failed": ["database"]})


def test_it_is_alive_without_asking_the_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
