"""Promises held against the rules that Prometheus evaluates: objectives, and what makes people roll back."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from checklists.evidence.probes.base import (
    CONTRADICTED,
    NONE,
    VERIFIED,
    Judgement,
    dict_of,
    fact_error,
    inconclusive,
    joined,
    list_of,
    nothing_claimed,
    plain,
    text_of,
)
from checklists.evidence.probes.prometheus.base import WINDOW, PrometheusProbe, Scope, where_of
from checklists.evidence.probes.prometheus.objectives import NAMES, Goal, Promise, promise_of
from checklists.evidence.probes.prometheus.thresholds import (
    Threshold,
    compared,
    relevant,
    threshold_from,
    thresholds,
    unread,
)
from checklists.evidence.probes.release import ask, runbook_found, url_of
from checklists.evidence.probes.visit import Claims, Observation, Target, Visit
from checklists.evidence.sources.alertmanager import alertmanager_of
from checklists.evidence.sources.expressions import Selector
from checklists.evidence.sources.prometheus import matchers
from checklists.evidence.stacks import Stack

MAX_RULES = 120
MAX_TEXT = 300_000  # characters of rules that are read: a second or two
_WORSE = ("stricter", "burn", "looser")


class RuleProbe(PrometheusProbe):
    """The thresholds of the rules that watch this endpoint, and whether alerts get anywhere."""

    reads: ClassVar[tuple[str, ...]] = ("prometheus", "alertmanager")
    sends: ClassVar[str] = (
        "A few reading queries to the Prometheus server and its Alertmanager; nothing to the endpoint."
    )
    ttl: ClassVar[timedelta] = timedelta(days=1)

    async def read(self, scope: Scope, target: Target) -> Observation:
        listing = await scope.prometheus.rules()
        if listing.error:
            return listing.problem
        # All of them or none: a rule left out could be the one that is right.
        too_many = {"error": "too_many_rules", "why": "More rules watch series with these names than can be read."}
        rules = await asyncio.to_thread(relevant, listing.items, scope.names)
        if sum(len(rule.query) for rule in rules) > MAX_TEXT:
            return too_many
        watches = await asyncio.to_thread(thresholds, rules, scope.names)
        others = await asyncio.to_thread(unread, rules, watches)
        found = [watch for watch in watches if not all(_of_others(one, scope) for one in watch.selectors)]
        if len(found) > MAX_RULES:
            return too_many
        queries = {}
        for number, watch in enumerate(found):
            queries[f"{number}"] = _series_of(watch.selectors, matchers(scope.labels))
            queries[f"{number} of all"] = _series_of(watch.selectors, "{}")
        readings, outcome = await scope.prometheus.many(queries)
        if outcome.error:
            return outcome.problem
        kept: list[Threshold] = []
        for number, watch in enumerate(found):
            ours, together = readings[f"{number}"].total, readings[f"{number} of all"].total
            if ours:
                apart = watch.apart is None or bool(watch.apart & {*scope.labels, "model_name"})
                kept.append(replace(watch.threshold, shared=not apart and ours != together))
        alerting = {threshold.rule for threshold in kept if threshold.alerting}
        seen: Observation = {"rules": len(listing.items), "thresholds": [one.to_json() for one in kept]}
        seen["unread"] = others
        return seen | (await self._delivery(scope, alerting) if alerting else {})

    async def _delivery(self, scope: Scope, alerting: set[str]) -> Observation:
        """Whether what these rules find is told to anybody."""
        manager, none = await alertmanager_of(scope.prometheus.visit, scope.prometheus)
        if none:
            return {"alertmanager": {"none": True}}
        if manager is None:
            return {}
        status = await manager.status()
        if status.error:
            return {"alertmanager": status.problem}
        alerts = await manager.alerts()
        names = {alert.labels.get("alertname", "") for alert in alerts.items if _ours(alert.labels, scope)}
        return {"alertmanager": {"version": status.version, "holds": sorted(names & alerting)[:20]}}

    def settles(self, item_key: str, stack: Stack) -> str:
        return super().settles(item_key, stack) or ("" if stack.metrics else f"{stack.label} exports no metrics.")

    @abstractmethod
    def promise(self, claims: Claims) -> Promise:
        """What is claimed, as goals."""

    def weighed(
        self, claims: Claims, observation: Observation, promise: Promise
    ) -> tuple[str, list[tuple[Goal, Threshold]], str]:
        """How the rules stand to a promise (``equal``, ``looser``, or an empty text where neither is sure), by which
        rules, and the sentence that says so."""
        known = [one for row in list_of(observation.get("thresholds")) if (one := threshold_from(row))]
        rules = [rule for rule in known if not rule.shared]
        met: list[tuple[Goal, Threshold]] = []
        wrong: list[tuple[Goal, Threshold]] = []
        said: list[str] = []
        for goal in promise.goals:
            by = {how: [rule for rule in rules if compared(goal, rule) == how] for how in ("equal", *_WORSE)}
            if by["equal"]:
                met.append((goal, min(by["equal"], key=lambda rule: (not rule.alerting, rule.rule))))
            elif by["stricter"]:
                said.append(f"{by['stricter'][0].words}, which is less than {goal.words}")
            elif by["burn"]:
                said.append(f"{by['burn'][0].words}, perhaps a multiple of what {goal.words} allows")
            elif by["looser"] and (doubt := _doubt(goal, known, observation)):
                said.append(f"{by['looser'][0].words}, but {doubt}")
            elif by["looser"]:
                wrong.append((goal, by["looser"][0]))
            elif shared := [rule for rule in known if rule.shared and compared(goal, rule)]:
                said.append(f"{shared[0].words}, but of this endpoint and others in one sum")
            else:
                said.append(f"no rule of this endpoint watches the {NAMES[goal.kind]} in that way")
        if wrong:
            told = joined([f"{rule.words}, but claimed is {goal.words}" for goal, rule in wrong], 3)
            return "looser", wrong, _sentence(told)
        said += [f"“{text}” cannot be held against a rule" for text in promise.unclear]
        if said or not met:
            return "", met, _sentence(joined(said, 3) or "no number was understood in what is claimed")
        return "equal", met, _sentence(joined([rule.words for _, rule in met], 3))

    def undelivered(self, observation: Observation, met: list[tuple[Goal, Threshold]]) -> str:
        """Why an alert that is right would still reach nobody; empty if it may."""
        manager = dict_of(observation.get("alertmanager"))
        if any(rule.alerting for _, rule in met) and manager.get("none") is True:
            return "But Prometheus sends its alerts to no Alertmanager, so nobody is told."
        return ""

    def note(self, observation: Observation) -> str:
        """What is known of the Alertmanager, as the end of a reason."""
        manager = dict_of(observation.get("alertmanager"))
        if version := text_of(manager.get("version")):
            holds = [text_of(name) for name in list_of(manager.get("holds"))]
            return f" Alertmanager {version} answers{f' and holds {joined(holds, 3)}' if holds else ''}."
        return f" {fact_error(manager)}" if fact_error(manager) else ""


def _doubt(goal: Goal, known: list[Threshold], observation: Observation) -> str:
    """Why another rule than those that are read may be the one that was promised; empty if none may."""
    if same := next((rule for rule in known if rule.shared and compared(goal, rule) in ("equal", "stricter")), None):
        return f"{same.words} watches this endpoint too, with others in one sum"
    names = [text_of(name) for name in list_of(dict_of(observation.get("unread")).get(goal.kind))]
    return f"how {joined(names, 2)} compares the {NAMES[goal.kind]} is not understood here" if names else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _series_of(chosen: Sequence[Selector], more: str) -> str:
    """An expression that counts the series of the first of these selectors that has any, with more matchers."""
    parts = [f"count(last_over_time({selector.having(more)}[{WINDOW}]))" for selector in chosen[:6]]
    return f"({' or '.join(parts)})"


def _of_others(selector: Selector, scope: Scope) -> bool:
    """Whether a selector asks for another value of a label than the endpoint's."""
    wanted = selector.values
    return any(wanted.get(name, value) != value for name, value in scope.labels.items())


def _ours(labels: Mapping[str, str], scope: Scope) -> bool:
    """Whether an alert's labels do not say that it is another's."""
    return all(labels.get(name, value) == value for name, value in scope.labels.items())


class Objectives(RuleProbe):
    """The objectives that are claimed, against alerting and recording rules."""

    key = "prometheus.objectives"
    title = "Rules for objectives"
    items = ("operations.slos",)

    def promise(self, claims: Claims) -> Promise:
        return promise_of(_text(claims.get("objective")), _text(claims.get("target")))

    def claimed(self, claims: Claims) -> str:
        return joined([_text(claims.get(key))[:80] for key in ("objective", "target", "window") if claims.get(key)])

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        claimed, shown = self.claimed(claims), _shown(observation)
        if not _text(claims.get("objective")):
            return nothing_claimed(shown)
        promise = self.promise(claims)
        how, pairs, told = self.weighed(claims, observation, promise)
        words: dict[str, Any] = {"claimed": claimed, "observed": shown}
        words["rule"] = (
            "every objective has a rule of this endpoint with the same threshold, or a share of its error budget: "
            "verified; only rules that go off later: contradicted"
        )
        if how == "looser":
            return Judgement(CONTRADICTED, reason=f"{told} {where_of(observation)}.", **words)
        if how == "equal":
            if why := self.undelivered(observation, pairs):
                return inconclusive(f"{told} {why}", claimed=claimed, observed=shown, rule=words["rule"])
            return Judgement(VERIFIED, reason=f"{told} {where_of(observation)}.{self.note(observation)}", **words)
        return inconclusive(f"{told} {where_of(observation)}.", claimed=claimed, observed=shown, rule=words["rule"])


class RollbackTrigger(RuleProbe):
    """An alert on what is claimed to make people roll back, and the runbook that says how."""

    key = "prometheus.rollback"
    title = "Alert and runbook for rolling back"
    items = ("release.rollback",)
    reads = ("prometheus", "alertmanager", "url")
    sends = (
        "A few reading queries to the Prometheus server and its Alertmanager, and one GET, without credentials, to the "
        "claimed runbook."
    )

    async def observe(self, visit: Visit) -> Observation:
        url = url_of(visit.target.claims.get("release.rollback", {}).get("runbook_url"))
        runbook = await ask(visit, url)
        return {**await super().observe(visit), "runbook": runbook}

    def promise(self, claims: Claims) -> Promise:
        return promise_of(_text(claims.get("trigger")))

    def claimed(self, claims: Claims) -> str:
        return _text(claims.get("trigger"))[:150]

    def judge(
        self, item_key: str | None, claims: Claims, observation: Observation, others: Mapping[str, Claims] = NONE
    ) -> Judgement:
        url, trigger = url_of(claims.get("runbook_url")), self.claimed(claims)
        answers, told = runbook_found(url, dict_of(observation.get("runbook")))
        why = fact_error(observation)
        words: dict[str, Any] = {"claimed": trigger or url, "observed": _shown(observation)}
        words["rule"] = (
            "an alert of this endpoint goes off at the claimed number, and the runbook answers: verified; it goes off "
            "later only, or the runbook is gone: contradicted"
        )
        if not trigger and not url:
            return nothing_claimed(words["observed"])
        if answers is False:
            return Judgement(CONTRADICTED, reason=told, **words)
        if why or not trigger:
            unsure = why or "No trigger is claimed."
            return inconclusive(
                f"{told} {unsure}", claimed=words["claimed"], observed=words["observed"], rule=words["rule"]
            )
        promise = self.promise(claims)
        alerts = [row for row in list_of(observation.get("thresholds")) if dict_of(row).get("alerting") is True]
        how, pairs, said = self.weighed(claims, {**observation, "thresholds": alerts}, promise)
        if how == "looser":
            return Judgement(CONTRADICTED, reason=f"{said} {where_of(observation)}. {told}", **words)
        late = [rule for _, rule in pairs if promise.hold_s is not None and rule.hold_s > promise.hold_s]
        if how == "equal" and late:
            said += f" But it waits {plain(late[0].hold_s)} s, longer than claimed."
        elif how == "equal" and (undelivered := self.undelivered(observation, pairs)):
            said += f" {undelivered}"
        elif how == "equal" and answers:
            reason = f"{said} {told} {where_of(observation)}.{self.note(observation)}"
            return Judgement(VERIFIED, reason=reason, **words)
        reason = f"{said} {told} {where_of(observation)}."
        return inconclusive(reason, claimed=trigger, observed=words["observed"], rule=words["rule"])

    def compare(self, claims: Claims, observation: Observation, others: Mapping[str, Claims]) -> Judgement:
        return self.judge(self.items[0], claims, observation, others)


def _text(value: Any) -> str:
    """What is claimed, which may be longer than a short text."""
    return value.strip()[:1000] if isinstance(value, str) else ""


def _shown(observation: Observation) -> str:
    rules = [one for row in list_of(observation.get("thresholds")) if (one := threshold_from(row))]
    return joined([rule.words for rule in rules], 2)
