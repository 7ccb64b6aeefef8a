import pytest

from tests.build import answer_everything, make_endpoint, make_model, make_release


@pytest.fixture
def release(team, alice, bob, edition):
    """A release of tier 1, answered by bob, ready to be submitted by alice."""
    release = make_release(make_model(team, alice), alice)
    make_endpoint(release, alice)
    answer_everything(release, bob)
    return release
