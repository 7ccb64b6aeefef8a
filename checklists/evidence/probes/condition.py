"""In which condition an answer says that whoever gave it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from checklists.evidence.probes.base import number_of, text_of
from checklists.evidence.probes.visit import Answer

_STATES, _GOOD = ("status", "state", "health"), ("healthy", "ok", "ready", "up", "alive", "live", "success")
_ILL = re.compile(
    r"\b(?:loading|starting|initiali[sz]ing|warming|recovering|draining|terminat\w*|not|un(?:healthy|available|ready|known)"
    r"|down|dead|red|yellow|inactive|blocked|suspended|paused|disabled|overloaded|unreachable|disconnected|broken|bad"
    r"|fail\w*|errors?|exceptions?|problems?|issues?|trouble|incidents?|degraded|pending|false|outage|offline|critical"
    r"|warn\w*|stopp\w*|timed?[ -]?out|out of service|disrupt\w*|maintenance|major|minor|partial)\b",
    re.IGNORECASE,
)
_WORRIES = r"(?:errors?|warnings?|fail\w*|outages?|down|exceptions?|problems?|issues?|incidents?)"
_NONE = re.compile(
    rf"\b(?:no|0|zero|without|nothing is)\s+(?:(?:any|active|open|known)\s+){{0,2}}{_WORRIES}\b"
    rf"|\b{_WORRIES}\s?[:=]\s?(?:0|none|no)(?=\s{{0,3}}(?:[,;)}}]|\Z))",
    re.IGNORECASE,
)
# What is said to somebody who is not let in.
_KEPT_OUT = re.compile(
    r"\bun-?(?:authori[sz]ed|authenticated)\b|\bnot (?:authori[sz]ed|authenticated)\b|\b(?:forbidden|access denied)\b"
    r"|\b(?:missing|invalid|wrong|expired) (?:api[ _-]?|access )?(?:key|token|credentials?)\b"
    r"|\bplease (?:log|sign) ?in\b",
    re.IGNORECASE,
)


def tells_of_failure(body: Mapping[str, Any]) -> bool:
    """Whether a JSON object speaks of a failure, in one of the ways in which gateways do."""
    if body.get("error") or body.get("errors") or False in (body.get("success"), body.get("ok")):
        return True
    codes = [number_of(body.get(key)) for key in ("code", "status", "statusCode", "status_code", "errcode", "ret")]
    if any(code is not None and 400 <= code < 600 for code in codes):
        return True
    words = (body.get(key) for key in ("message", "msg", "detail", "reason"))
    if any(isinstance(text, str) and _KEPT_OUT.search(text[:300]) for text in words):
        return True
    told = bool(body.get("message") or body.get("msg")) and not body.get("data")
    return told and any(code not in (None, 200) for code in codes)


def state_of(answer: Answer) -> str:
    """What a good answer says of the health of who gave it, in its own words; empty where it says nothing of it."""
    body = answer.json()
    if isinstance(body, dict):
        body = {str(key).casefold(): value for key, value in body.items()}
        for value in (body.get(key) for key in _STATES):
            if told := text_of(
                value.get("description") or value.get("indicator") if isinstance(value, dict) else value
            ):
                return told
        no = next((key for key in (*_STATES, *_GOOD) if body.get(key) is False), "")
        error = body.get("error")
        return f"{no}: false" if no else "it tells of an error" if error and isinstance(error, str | dict) else ""
    if isinstance(body, str):
        return text_of(body)
    words = answer.response.body[:200].decode("utf-8", "replace").strip() if answer.response and answer.ok else ""
    return "" if len(words) > 60 or words.startswith("<") else words


def sounds_ill(state: str) -> bool:
    """Whether a state in words is anything but a clean bill of health."""
    return bool(_ILL.search(_NONE.sub(" ", re.sub(r"[_-]+", " ", state))))
