"""The state of an item and the score: their rules, and what must hold for all inputs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checklists.scorecards.scoring import ScoredItem, percent, score, tally
from checklists.scorecards.states import AnswerFacts, FindingFacts, State, state_of

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(days=1), NOW - timedelta(days=1)
VERIFIED, STALE = FindingFacts("verified", LATER), FindingFacts("verified", EARLIER)
CONTRADICTED, OLD_CONTRADICTION = FindingFacts("contradicted", LATER), FindingFacts("contradicted", EARLIER)
INCONCLUSIVE = FindingFacts("inconclusive", LATER)


def state(status="met", findings=(), *, complete=True, **facts):
    return state_of(
        applies=facts.pop("applies", True), answer=AnswerFacts(status, complete), findings=findings, now=NOW, **facts
    )


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        (State.NOT_APPLICABLE, {"applies": False}),
        (State.OPEN, {"status": "unanswered"}),
        (State.OPEN, {"status": "not_met"}),
        (State.OPEN, {"status": "met", "complete": False}),
        (State.OPEN, {"status": "not_applicable", "complete": False}),
        (State.NOT_APPLICABLE, {"status": "not_applicable"}),
        (State.CLAIMED, {}),
        (State.CLAIMED, {"findings": [INCONCLUSIVE]}),
        (State.CLAIMED, {"findings": [STALE]}),
        (State.VERIFIED, {"findings": [VERIFIED]}),
        (State.VERIFIED, {"findings": [VERIFIED, INCONCLUSIVE]}),
        (State.VERIFIED, {"accepted": True}),
        (State.CONTRADICTED, {"findings": [CONTRADICTED]}),
        (State.CONTRADICTED, {"findings": [VERIFIED, CONTRADICTED]}),
        (State.CONTRADICTED, {"findings": [OLD_CONTRADICTION]}),
        (State.CONTRADICTED, {"findings": [CONTRADICTED], "accepted": True}),
        (State.PARTLY, {"status": "partly"}),
        (State.PARTLY, {"status": "partly", "findings": [VERIFIED], "accepted": True}),
        (State.CONTRADICTED, {"status": "partly", "findings": [CONTRADICTED]}),
        (State.OPEN, {"status": "not_met", "findings": [CONTRADICTED]}),
        (State.WAIVED, {"waived": True}),
        (State.WAIVED, {"status": "unanswered", "waived": True}),
        (State.WAIVED, {"findings": [CONTRADICTED], "waived": True}),
        (State.VERIFIED, {"findings": [VERIFIED], "waived": True}),
    ],
)
def test_each_state_follows_from_its_facts(expected, given):
    assert state(**given) == expected


def test_an_item_without_an_answer_is_open():
    assert state_of(applies=True, answer=None, now=NOW) == State.OPEN


answers = st.none() | st.builds(
    AnswerFacts, st.sampled_from(["unanswered", "met", "partly", "not_met", "not_applicable"]), st.booleans()
)
findings = st.lists(
    st.builds(
        FindingFacts, st.sampled_from(["verified", "contradicted", "inconclusive"]), st.sampled_from([LATER, EARLIER])
    ),
    max_size=4,
)
facts = st.fixed_dictionaries(
    {
        "applies": st.booleans(),
        "answer": answers,
        "findings": findings,
        "accepted": st.booleans(),
        "waived": st.booleans(),
    }
)
others = st.lists(
    st.builds(
        ScoredItem,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([1, 2, 3]),
        st.sampled_from(list(State)),
        st.just(("safe",)),
    ),
    max_size=12,
)
weights = st.sampled_from([1, 2, 3])


def readiness(item_state, weight, rest):
    result = score([ScoredItem("a", weight, item_state), *rest])
    return result.readiness, result.mean, result.sections["a"].score


def not_lower(after, before):
    return all(a is not None and (b is None or a >= b) for a, b in zip(after, before, strict=True) if b is not None)


@given(others)
def test_every_score_lies_between_0_and_100_and_readiness_is_the_weakest(rest):
    result = score(rest)
    scores = [t.score for t in result.sections.values() if t.score is not None]
    assert all(0 <= s <= 100 for s in scores)
    assert result.readiness == (min(scores) if scores else None)
    if scores:
        assert result.readiness <= result.mean <= 100
    assert sum(result.total.states.values()) == len(rest)


@given(others)
def test_100_percent_means_that_everything_that_counts_is_proven(rest):
    total = tally(rest)
    counted = [item.state for item in rest if item.state not in (State.WAIVED, State.NOT_APPLICABLE)]
    assert (total.score == 100) == (bool(counted) and set(counted) == {State.VERIFIED})


@given(facts, weights, others)
def test_proving_never_lowers_a_score(given_facts, weight, rest):
    before = state_of(**given_facts, now=NOW)
    proven = state_of(**{**given_facts, "findings": [*given_facts["findings"], VERIFIED]}, now=NOW)
    assert not_lower(readiness(proven, weight, rest), readiness(before, weight, rest))


@given(facts, weights, others)
def test_an_acceptance_never_lowers_a_score(given_facts, weight, rest):
    before = state_of(**{**given_facts, "accepted": False}, now=NOW)
    accepted = state_of(**{**given_facts, "accepted": True}, now=NOW)
    assert not_lower(readiness(accepted, weight, rest), readiness(before, weight, rest))


@given(facts, weights, others)
def test_contradicting_never_raises_a_score(given_facts, weight, rest):
    before = state_of(**given_facts, now=NOW)
    after = state_of(**{**given_facts, "findings": [*given_facts["findings"], CONTRADICTED]}, now=NOW)
    scores = zip(readiness(after, weight, rest), readiness(before, weight, rest), strict=True)
    assert all(a is None or (b is not None and a <= b) for a, b in scores)


@given(facts)
def test_an_inconclusive_finding_changes_nothing(given_facts):
    with_it = {**given_facts, "findings": [*given_facts["findings"], INCONCLUSIVE]}
    assert state_of(**with_it, now=NOW) == state_of(**given_facts, now=NOW)


def test_shares_are_rounded_down():
    assert percent(1199, 300) == 99
    assert percent(1200, 300) == 100
    assert percent(0, 0) is None
