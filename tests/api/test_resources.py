"""The contract, resource by resource: what goes in, what comes out."""

from __future__ import annotations

from typing import Any

import pytest

from checklists.evidence.transcripts import Exchange, packed
from tests.api.conftest import R, answer_all

pytestmark = pytest.mark.django_db


def test_the_checklist_lists_its_editions_and_the_edition_its_items(api: Any, carol: Any, edition: Any) -> None:
    page = api(carol).get("checklists/").json()
    assert set(page) == {"count", "next", "previous", "results"}
    row = page["results"][0]
    assert row == api(carol).get(f"checklists/{row['slug']}/").json()
    assert row["current"] == edition.edition
    assert row["editions"] == [{"edition": edition.edition, "status": "published", "digest": edition.digest}]
    whole = api(carol).get(f"checklists/{row['slug']}/{edition.edition}/").json()
    assert whole["digest"] == edition.digest
    assert [section["key"] for section in whole["sections"]][:2] == ["identity", "compute"]
    assert sum(len(section["items"]) for section in whole["sections"]) == 45
    item = whole["sections"][0]["items"][2]
    assert item["requirement"].keys() == {"1", "2", "3"}
    assert item["claims"][0]["type"] == "multi_choice"
    assert {"value": "text", "label": "Text"} in item["claims"][0]["choices"]


def test_a_team_is_made_renamed_and_moved(api: Any, root: Any, team: Any) -> None:
    made = api(root).post("teams/", {"slug": "vision", "name": "Vision", "parent": "search"})
    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/teams/vision/")
    assert made.json() == {"slug": "vision", "name": "Vision", "parent": "search"}
    changed = api(root).patch("teams/vision/", {"name": "Sight", "parent": None})
    assert (
        changed.json() == {"slug": "vision", "name": "Sight", "parent": None} == api(root).get("teams/vision/").json()
    )
    assert [row["slug"] for row in api(root).get("teams/").json()["results"]] == ["search", "vision"]
    assert api(root).patch("teams/vision/", {"slug": "other"}).json()["errors"] == {"slug": ["This cannot be changed."]}


def test_a_team_is_made_by_administrators_and_below_their_own_by_owners(
    api: Any, alice: Any, bob: Any, team: Any
) -> None:
    assert api(bob).post("teams/", {"slug": "new", "name": "New"}).status_code == 403
    assert api(alice).post("teams/", {"slug": "new", "name": "New"}).status_code == 403
    assert api(alice).post("teams/", {"slug": "new", "name": "New", "parent": "search"}).status_code == 201


def test_a_model_is_registered_read_and_changed(api: Any, bob: Any, edition: Any) -> None:
    body = {"slug": "assist", "name": "Assist", "team": "search", "family": "llm", "tier": 1, "description": "Answers."}
    made = api(bob).post("models/", body)
    assert made.status_code == 201
    assert {**body, "restricted": False}.items() <= made.json().items()
    assert api(bob).get("models/assist/").json() == made.json()
    assert api(bob).patch("models/assist/", {"tier": 3}).json()["tier"] == 3
    taken = api(bob).post("models/", body)
    assert (taken.status_code, list(taken.json()["errors"])) == (400, ["slug"])
    assert api(bob).patch("models/assist/", {"slug": "b"}).status_code == 400
    assert api(bob).patch("models/assist/", {"slug": "assist"}).status_code == 200


def test_models_are_filtered_searched_and_ordered(
    api: Any, alice: Any, release: Any, other_team: Any, root: Any
) -> None:
    from checklists.registry.services import create_model

    create_model(
        slug="draw", name="Draw", team=other_team, family="diffusion", tier=3, by=root, description="Makes pictures"
    )
    alices = api(alice)

    def slugs(query: str) -> list[str]:
        return [row["slug"] for row in alices.get(f"models/?{query}").json()["results"]]

    assert slugs("") == ["assist", "draw"]
    assert slugs("ordering=-slug") == ["draw", "assist"]
    assert slugs("team=search") == ["assist"]
    assert slugs("family=diffusion") == ["draw"]
    assert slugs("tier=2") == ["assist"]
    assert slugs("stage=draft") == ["assist"]
    assert slugs("state=open") == ["assist"]
    assert slugs("state=verified") == []
    assert slugs("search=pictures") == ["draw"]
    for bad in ("team=nobody", "family=cat", "tier=4", "stage=gone", "state=fine", "ordering=colour", "page_size=many"):
        answer = alices.get(f"models/?{bad}")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [bad.partition("=")[0]])


def test_lists_have_pages_of_the_size_asked_for(api: Any, alice: Any, model: Any) -> None:
    from checklists.registry.services import create_release

    for n in range(3):
        create_release(model=model, version=f"1.{n}", by=alice)
    first = api(alice).get("models/assist/releases/?page_size=2").json()
    assert (first["count"], len(first["results"]), first["previous"]) == (3, 2, None)
    assert first["next"].endswith("/api/v1/models/assist/releases/?page=2&page_size=2")
    assert api(alice).get("models/assist/releases/?page=9").status_code == 404
    assert api(alice).get("models/assist/releases/?page_size=100000").status_code == 200


def test_a_release_is_opened_with_the_answers_of_an_earlier_one(api: Any, alice: Any, release: Any) -> None:
    answer_all(release, alice)
    body = {
        "version": "2.0",
        "revision": "a1f9",
        "environment": "staging",
        "launch_date": "2027-01-31",
        "carry_over_from": "1.0",
    }
    made = api(alice).post("models/assist/releases/", body)
    assert made.status_code == 201, made.json()
    assert body.items() <= made.json().items()
    seen = api(alice).get("models/assist/releases/2.0/").json()
    assert seen == made.json()
    assert (seen["stage"], seen["edition"], seen["artifact_digest"]) == ("draft", "0.1", "")
    answer = api(alice).get("models/assist/releases/2.0/answers/identity.lineage/").json()
    assert (answer["carried_over"], answer["status"], answer["state"]) == (True, "met", "open")
    wrong = api(alice).post("models/assist/releases/", {"version": "3.0", "carry_over_from": "0.1"})
    assert list(wrong.json()["errors"]) == ["carry_over_from"]


def test_the_digest_of_a_release_is_that_of_its_present_content(api: Any, alice: Any, submitted: Any) -> None:
    before = api(alice).get(R).json()
    assert before["digest"] == submitted.digest
    assert before["readiness"] == 50
    after = api(alice).patch(R, {"revision": "b2"}).json()
    assert after["digest"] != before["digest"]
    assert after["revision"] == "b2"
    assert api(alice).patch(R, {"version": "1.1"}).status_code == 400


def test_header_values_of_endpoints_are_never_read_back(api: Any, alice: Any, release: Any, caplog: Any) -> None:
    from checklists.registry.models import Endpoint

    body = {
        "name": "main",
        "url": "https://llm.example.org/v1",
        "stack": "vllm",
        "headers": {"Authorization": "Bearer s3cret"},
    }
    made = api(alice).post(f"{R}endpoints/", {**body, "labels": {"job": "llm"}, "may_generate": True})
    assert made.status_code == 201, made.json()
    assert made.json()["headers"] == {"Authorization": "•••"}
    path = f"{R}endpoints/{made.json()['id']}/"
    assert made.headers["Location"] == f"/api/v1/{path}"
    kept = api(alice).patch(path, {"name": "primary", "headers": {"Authorization": "•••", "X-Team": "search"}})
    assert kept.json()["headers"] == {"Authorization": "•••", "X-Team": "•••"}
    assert Endpoint.objects.get().headers == {"Authorization": "Bearer s3cret", "X-Team": "search"}
    moved = api(alice).patch(path, {"url": "https://elsewhere.example.org/"})
    assert (moved.status_code, list(moved.json()["errors"])) == (400, ["headers"])
    for where in (path, f"{R}endpoints/", f"journal/?subject={R}"):
        answer = api(alice).get(where)
        assert answer.status_code == 200
        assert b"s3cret" not in answer.content
    assert api(alice).delete(path).status_code == 204
    assert api(alice).get(path).status_code == 404


def test_endpoints_are_not_for_everybody_who_sees_the_release(
    api: Any, mallory: Any, carol: Any, leo: Any, release: Any
) -> None:
    assert api(carol).get(f"{R}endpoints/").status_code == 200
    assert api(mallory).get(f"{R}endpoints/").status_code == 403
    assert api(leo).get(f"{R}endpoints/").status_code == 403


def test_an_answer_is_saved_and_shows_its_state_and_findings(
    api: Any, bob: Any, alice: Any, release: Any, request: pytest.FixtureRequest
) -> None:
    path = f"{R}answers/identity.name-version/"
    read = api(bob).get(path).json()
    assert (read["status"], read["revision"], read["state"]) == ("unanswered", 0, "open")
    body = {
        "status": "met",
        "claims": {"model_id": "assist", "version": "1.0"},
        "assignee": "alice",
        "revision": 0,
        "links": [],
    }
    saved = api(bob).put(path, body)
    assert saved.status_code == 200, saved.json()
    assert saved.json() == api(bob).get(path).json()
    assert (saved.json()["state"], saved.json()["findings"]) == ("claimed", [])
    request.getfixturevalue("finding")
    answer = api(bob).get(path).json()
    assert {**body, "revision": 1, "justification": ""}.items() <= answer.items()
    assert answer["state"] == "contradicted"
    assert [(f["verdict"], f["claimed"], f["observed"], f["item"]) for f in answer["findings"]] == [
        ("contradicted", "assist", "other", "identity.name-version")
    ]
    rows = {row["item"]: row for row in api(bob).get(f"{R}answers/?page_size=100").json()["results"]}
    assert rows["identity.name-version"] == answer
    assert len(rows) == 45


def test_a_stale_save_is_refused_with_the_present_answer(api: Any, alice: Any, bob: Any, release: Any) -> None:
    path = f"{R}answers/identity.lineage/"
    first = api(alice).put(path, {"status": "met", "claims": {"base_model": "Llama"}, "revision": 0})
    stale = api(bob).put(path, {"status": "not_met", "justification": "No record.", "revision": 0})
    assert stale.status_code == 409
    assert stale["Content-Type"] == "application/problem+json"
    assert stale.json()["current"] == first.json()
    assert api(bob).get(path).json() == first.json()


def test_an_answer_with_a_wrong_claim_is_refused_by_field(api: Any, alice: Any, release: Any) -> None:
    path = f"{R}answers/identity.input-limits/"
    refused = api(alice).put(path, {"status": "met", "claims": {"max_input": "plenty", "colour": 1}, "revision": 0})
    assert refused.status_code == 400
    assert set(refused.json()["errors"]) == {"claims.max_input", "claims.colour"}
    nobody = api(alice).put(path, {"status": "met", "assignee": "zoe", "revision": 0})
    assert list(nobody.json()["errors"]) == ["assignee"]


def test_comments_are_added_by_the_team_and_reviewers(
    api: Any, carol: Any, mo: Any, mallory: Any, release: Any
) -> None:
    path = f"{R}answers/identity.lineage/comments/"
    assert api(carol).post(path, {"body": "Where is the run?"}).status_code == 201
    assert api(mo).post(path, {"body": "Please add it."}).json()["by"] == "mo"
    assert api(mallory).post(path, {"body": "Hm."}).status_code == 403
    assert [row["body"] for row in api(mallory).get(path).json()["results"]] == ["Where is the run?", "Please add it."]


def test_a_probe_run_is_accepted_and_followed(api: Any, alice: Any, release: Any) -> None:
    api(alice).post(f"{R}endpoints/", {"name": "main", "url": "http://127.0.0.1:9/"})
    started = api(alice).post(f"{R}probe-runs/")
    assert started.status_code == 202
    run = started.json()
    assert (run["state"], run["progress"], run["findings"]) == ("queued", {"done": 0, "total": 0}, [])
    assert started.headers["Location"] == f"/api/v1/{R}probe-runs/{run['id']}/"
    assert api(alice).get(f"{R}probe-runs/{run['id']}/").json() == run
    assert api(alice).get(f"{R}probe-runs/").json()["results"] == [run]


def test_findings_list_what_stands_now(api: Any, carol: Any, finding: Any) -> None:
    row = api(carol).get(f"{R}findings/").json()["results"][0]
    wanted = {
        "item",
        "verdict",
        "claimed",
        "observed",
        "unit",
        "reason",
        "probe",
        "endpoint",
        "measured_at",
        "expires_at",
    }
    assert wanted <= set(row)
    assert (row["endpoint"], row["item"]) == ("main", "identity.name-version")
    assert api(carol).get(f"{R}findings/?verdict=verified").json()["count"] == 0
    assert api(carol).get(f"{R}findings/?item=identity.name-version").json()["count"] == 1
    finding.current = False
    finding.save()
    assert api(carol).get(f"{R}findings/").json()["count"] == 0


def test_a_finding_is_read_whole_with_the_answers_it_rests_on(
    api: Any, alice: Any, mallory: Any, release: Any, finding: Any
) -> None:
    line = "GET https://hub.example.org/api/models/assist"
    finding.detail = {"requests": [{"line": line, "key": "none", "status": 200, "answer": 3}], "rule": "Same name."}
    finding.observation = {"where": "https://hub.example.org/api"}
    finding.save()
    answer = Exchange(line, 200, "application/json", '{"id": "other"}', False)
    finding.run.transcripts.create(
        endpoint_name="main", packed=packed([Exchange("GET /", 200, "", "", False)] * 3 + [answer]),
        created_at=finding.measured_at,
    )  # fmt: skip
    path = f"{R}findings/{finding.pk}/"
    whole = api(alice).get(path).json()
    assert (whole["id"], whole["rule"], whole["observed"], whole["run"]) == (
        finding.pk, "Same name.", "other", finding.run_id,
    )  # fmt: skip
    assert whole["requests"][0]["line"] == line
    assert whole["answers"] == [
        {"answer": 3, "line": line, "status": 200, "content_type": "application/json", "truncated": False,
         "body": '{"id": "other"}'},
    ]  # fmt: skip
    outsiders = api(mallory).get(path)
    assert outsiders.json()["answers"] == []
    assert outsiders.json()["requests"][0]["line"] == "GET …/api/models/assist"
    assert "hub.example.org" not in outsiders.content.decode()
    assert api(alice).get(f"{R}findings/999999/").status_code == 404


def test_findings_are_exported_in_one_piece(api: Any, alice: Any, release: Any, finding: Any) -> None:
    answer = api(alice).get(f"{R}findings/export/")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="findings-assist-1.0.json"'
    (row,) = [row for row in answer.json() if row["endpoint"] == "main"]
    assert row == {**api(alice).get(f"{R}findings/{finding.pk}/").json(), "answers": []}


def test_coverage_tells_what_can_be_settled_on_a_stack_and_what_it_takes(api: Any, leo: Any) -> None:
    alone = api(leo).get("coverage/?stack=vllm").json()
    assert (alone["prometheus"], alone["generation"], [each["stack"] for each in alone["stacks"]]) == (
        False, False, ["vllm"],
    )  # fmt: skip
    (vllm,) = alone["stacks"]
    topics = {topic["item"]: topic for topic in vllm["topics"]}
    assert len(topics) == 45
    assert vllm["settled"] == sum(topic["settled"] for topic in topics.values())
    throughput = topics["performance.throughput"]
    assert (throughput["settled"], throughput["prometheus"], throughput["probes"]) == (False, True, [])
    assert throughput["why"]
    (given,) = api(leo).get("coverage/?stack=vllm&prometheus=true&generation=true").json()["stacks"]
    assert given["settled"] > vllm["settled"]
    assert next(t for t in given["topics"] if t["item"] == "performance.throughput")["probes"]
    assert len(api(leo).get("coverage/").json()["stacks"]) > 10
    for wrong in ("stack=nothing", "prometheus=perhaps"):
        assert api(leo).get(f"coverage/?{wrong}").status_code == 400


def test_an_endpoint_has_its_switches_and_labels(api: Any, alice: Any, release: Any) -> None:
    body = {"name": "main", "url": "http://127.0.0.1:9/", "alertmanager_url": "https://alerts.example.org/",
            "labels": {"job": "chat"}, "may_burst": True, "series_length": 20}  # fmt: skip
    made = api(alice).post(f"{R}endpoints/", body).json()
    assert {name: made[name] for name in body} == body
    assert made["may_generate"] is False
    path = f"{R}endpoints/{made['id']}/"
    assert api(alice).patch(path, {"may_burst": False}).json()["may_burst"] is False
    for wrong in (0, 21, "many"):
        assert api(alice).patch(path, {"series_length": wrong}).status_code == 400
    assert api(alice).get(path).json()["series_length"] == 20


def test_the_scorecard_tells_readiness_sections_and_blockers(api: Any, alice: Any, release: Any) -> None:
    empty = api(alice).get(f"{R}scorecard/").json()
    assert (empty["readiness"], empty["mean"]) == (0, 0)
    assert len(empty["sections"]) == 9
    assert len(empty["states"]) == 7
    assert all(set(section) >= {"key", "score", "states"} for section in empty["sections"])
    assert {blocker["state"] for blocker in empty["blockers"]} == {"open"}
    answer_all(release, alice)
    full = api(alice).get(f"{R}scorecard/").json()
    assert (full["readiness"], full["blockers"], full["states"]["claimed"]) == (50, [], 45)
    assert full["qualities"]["safe"] == 50


def test_a_waiver_is_asked_for_and_decided_by_the_owning_role(
    api: Any, bob: Any, mo: Any, sam: Any, release: Any
) -> None:
    from datetime import timedelta

    from django.utils import timezone

    ends = (timezone.now().date() + timedelta(days=30)).isoformat()
    body = {"item": "identity.lineage", "reason": "Not yet known.", "mitigation": "Pinned.", "expires_on": ends}
    asked = api(bob).post(f"{R}waivers/", body)
    assert asked.status_code == 201, asked.json()
    assert body.items() <= asked.json().items()
    assert asked.json()["state"] == "requested"
    decision = f"{R}waivers/{asked.json()['id']}/decision/"
    assert api(sam).post(decision, {"decision": "approve"}).status_code == 403
    assert api(mo).post(decision, {"decision": "maybe"}).status_code == 400
    decided = api(mo).post(decision, {"decision": "approve", "comment": "Until May."})
    assert (decided.status_code, decided.json()["state"], decided.json()["decided_by"]) == (200, "approved", "mo")
    assert api(mo).post(decision, {"decision": "decline"}).status_code == 409
    assert api(bob).get(f"{R}waivers/").json()["results"] == [decided.json()]
    assert api(bob).get(f"{R}answers/identity.lineage/").json()["state"] == "waived"


def test_a_submission_with_open_musts_is_refused_with_reasons(api: Any, alice: Any, release: Any) -> None:
    refused = api(alice).post(f"{R}submissions/", {"note": "Please."})
    assert refused.status_code == 409
    assert len(refused.json()["reasons"]) > 10


def test_a_release_is_submitted_and_signed_by_each_role(
    api: Any, alice: Any, mo: Any, sam: Any, rita: Any, release: Any
) -> None:
    answer_all(release, alice)
    made = api(alice).post(f"{R}submissions/", {"note": "Ready."})
    assert made.status_code == 201, made.json()
    submission = made.json()
    assert (submission["number"], submission["submitted_by"], len(submission["digest"])) == (1, "alice", 64)
    assert submission["required"] == [
        {"role": role, "count": 1, "signed": 0, "stands": False} for role in ("mlops", "security", "sre")
    ]
    assert submission["snapshot"]["release"]["version"] == "1.0"
    path = f"{R}submissions/1/signoffs/"
    condition = {"text": "Add a dashboard.", "due_on": "2100-01-01"}
    body = {
        "role": "mlops",
        "decision": "approve_with_conditions",
        "conditions": [condition],
        "accepted_items": ["identity.lineage"],
    }
    signed = api(mo).post(path, body)
    assert signed.status_code == 201, signed.json()
    assert signed.json()["conditions"][0]["due_on"] == "2100-01-01"
    assert api(mo).post(path, {"role": "mlops", "decision": "approve"}).status_code == 409
    assert api(sam).post(path, {"role": "sre", "decision": "approve"}).status_code == 403
    assert api(sam).post(path, {"role": "security", "decision": "reject"}).status_code == 400
    for person, role in ((sam, "security"), (rita, "sre")):
        assert api(person).post(path, {"role": role, "decision": "approve"}).status_code == 201
    done = api(alice).get(f"{R}submissions/1/").json()
    assert done["outcome"] == "approved"
    assert all(role["stands"] and role["signed"] == 1 for role in done["required"])
    assert [(s["by"], s["role"]) for s in done["signoffs"]] == [("mo", "mlops"), ("sam", "security"), ("rita", "sre")]
    assert api(alice).get(f"{R}answers/identity.lineage/").json()["state"] == "verified"
    assert api(alice).get(f"{R}submissions/").json()["results"] == [done]


def test_the_author_of_a_release_cannot_sign_it(api: Any, alice: Any, submitted: Any) -> None:
    from checklists.people.services import set_role

    set_role(user=alice, role="mlops", granted=True)
    refused = api(alice).post(f"{R}submissions/1/signoffs/", {"role": "mlops", "decision": "approve"})
    assert refused.status_code == 403


def test_the_snapshot_is_kept_from_those_who_may_not_see_endpoints(api: Any, mallory: Any, submitted: Any) -> None:
    seen = api(mallory).get(f"{R}submissions/1/").json()
    assert (seen["snapshot"], seen["digest"]) == (None, submitted.digest)


def test_the_overview_adds_up_the_organisation_teams_and_families(api: Any, leo: Any, alice: Any, release: Any) -> None:
    answer_all(release, alice)
    seen = api(leo).get("overview/").json()
    assert (seen["models"], seen["stages"]) == (1, {"draft": 1})
    assert seen["organisation"]["readiness"] == 50
    assert seen["organisation"]["states"]["claimed"] == 45
    assert [row["key"] for row in seen["teams"]] == ["search"]
    assert [row["key"] for row in seen["families"]] == ["llm"]
    assert len(seen["teams"][0]["sections"]) == 9
    past = api(leo).get("overview/?as_of=2020-02-29").json()
    assert (past["as_of"], past["organisation"]["releases"]) == ("2020-02-29", 0)
    for bad in ("as_of=0001-01-01", "as_of=yesterday", "as_of=9999-12-31"):
        assert api(leo).get(f"overview/?{bad}").status_code == 400


def test_the_journal_is_for_auditors_and_that_of_a_release_for_who_sees_it(
    api: Any, ada: Any, root: Any, mallory: Any, bob: Any, release: Any, secret_model: Any
) -> None:
    api(bob).put(f"{R}answers/identity.lineage/", {"status": "met", "claims": {"base_model": "Llama"}, "revision": 0})
    whole = api(ada).get("journal/").json()
    assert whole["count"] > 10
    assert set(whole["results"][0]) == {"id", "at", "actor", "verb", "subject", "data", "hash"}
    assert api(root).get("journal/?actor=bob&verb=assessments.answer.saved").json()["count"] == 1
    assert api(root).get("journal/?since=2100-01-01T00:00:00Z").json()["count"] == 0
    assert api(root).get("journal/?since=0001-01-01T00:00:00Z").status_code == 400
    assert api(root).get("journal/?since=noon").status_code == 400
    assert api(mallory).get("journal/").status_code == 403
    assert api(mallory).get("journal/?subject=models/assist").status_code == 403
    assert api(mallory).get("journal/?subject=models/secret/releases/1.0").status_code == 403
    mine = api(mallory).get("journal/?subject=models/assist/releases/1.0").json()
    assert {event["subject"].split("/")[1] for event in mine["results"]} == {"assist"}
    one = api(mallory).get("journal/?subject=models/assist/releases/1.0/answers/identity.lineage").json()
    assert [(event["actor"], event["verb"]) for event in one["results"]] == [("bob", "assessments.answer.saved")]


def test_what_the_journal_tells_of_endpoints_is_for_those_who_see_endpoints(
    api: Any, alice: Any, mallory: Any, release: Any
) -> None:
    api(alice).post(f"{R}endpoints/", {"name": "main", "url": "https://inside.example.org/"})
    path = f"journal/?subject={R}&verb=registry.endpoint.created"
    assert api(alice).get(path).json()["results"][0]["data"]["url"] == "https://inside.example.org/"
    assert api(mallory).get(path).json()["results"][0]["data"] is None


def test_a_restricted_model_is_not_there_for_outsiders(api: Any, mallory: Any, carol: Any, secret_model: Any) -> None:
    assert [row["slug"] for row in api(mallory).get("models/").json()["results"]] == []
    for path in ("models/secret/", "models/secret/releases/", "models/secret/releases/1.0/answers/"):
        assert api(mallory).get(path).status_code == 404
        assert api(carol).get(path).status_code == 200
    assert api(mallory).put("models/secret/releases/1.0/modelspec/", {"descriptor": {}}).status_code == 404


@pytest.mark.parametrize("labels", [{"a b": "1"}, {"": "1"}, {"a": "two\nlines"}])
def test_labels_that_prometheus_cannot_have_are_refused(api: Any, alice: Any, release: Any, labels: Any) -> None:
    body = {"name": "eu-1", "url": "https://llm.example.org", "labels": labels}
    answer = api(alice).post(f"{R}endpoints/", body)
    assert answer.status_code == 400
    assert "Labels are named by letters" in answer.json()["errors"]["labels"][0]
