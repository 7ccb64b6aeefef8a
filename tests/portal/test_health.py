import pytest
from django.test import Client


@pytest.mark.django_db
def test_it_is_ready_when_the_database_and_the_broker_answer(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "failed": []})
