"""What a finding must say of each fault: one sentence, by what was read. No alternatives."""

from __future__ import annotations

from tests.evidence.faults import FAULTS, FORBIDDEN

QUICK_S = 0.5  # patience with the two servers that only cost time
SLOW = {"drip", "silent"}
CAP = 500_000
TIMEOUT = f"No complete answer within {QUICK_S:g} s."
HTTP = "The answer is not valid HTTP."
BROKEN = "The connection broke off before the answer was complete."
HEADERS = "The answer has more headers than a probe is willing to read."
ADDRESS = "This is not a valid address."
NEVER = "is link-local, multicast, a cloud metadata service or otherwise never a model server."
PRIVATE = "is not a public address, and no administrator has allowed its network."
NOTATION = "The host is neither a plain name nor an address in the usual notation."

# No answer comes of it, to a GET or a POST.
NO_ANSWER = {
    "drip": TIMEOUT,
    "silent": TIMEOUT,
    "sse_line": "The answer came in more pieces than a probe is willing to read.",
    "cut_gzip": "The compressed answer ends before it is complete.",
    "many_headers": HEADERS,
    "some_headers": HEADERS,
    "bad_chunks": HTTP,
    "two_lengths": HTTP,
    "short_body": BROKEN,
    "noise": BROKEN,
    "reset": "The connection broke off while the answer was awaited.",
    "early_hints": "The server sent more than a probe is willing to read.",
    "redirect_folded": HTTP,
}
# A GET is redirected; a POST is not followed, and where the redirect itself is the answer it is no fault.
REDIRECTED = {
    "redirect_loop": "More than 3 redirects.",
    "redirect_header": "More than 3 redirects.",
    "redirect_tab": ADDRESS,
    "redirect_metadata": f"Its address 169.254.169.254 {NEVER}",
    "redirect_mapped": f"Its address ::ffff:a9fe:a9fe {NEVER}",
    "redirect_private": f"Its address 10.0.0.1 {PRIVATE}",
    "redirect_nothing": f"Its address 0.0.0.0 {NEVER}",
    "redirect_decimal": NOTATION,
    "redirect_hex": NOTATION,
    "redirect_wide": ADDRESS,
    "redirect_unicode": "Its host is the name of a cloud metadata service.",
    "redirect_port": "Port 6379 belongs to another service; probes do not speak to it.",
    "redirect_file": "Probes speak http and https only.",
    "redirect_user": "An address must not hold a user name or password; use headers.",
    "redirect_inside": f"Its address 10.1.1.1 {PRIVATE}",
}
# 200, and a body that is too long, no JSON, or JSON without anything that was asked for.
TOO_LONG = {"endless", "huge_string", "one_line", "million_series", "sse_events", "sse_chatter"}
TOO_LONG |= {"bomb", "deflate_bomb", "members_bomb", "query_series"}
NO_JSON = {"label_bomb", "long_body", "wrong_type", "invalid_utf8", "deep_json", "huge_integer", "not_numbers"}
HOLLOW = {"deep_enough", "large_integers", "twice_named"}
HOLLOW |= {"query_nan", "query_infinite", "query_exponent", "query_labels"}
LONG = f"The server answered 200, but with more than the {CAP} bytes that are read."
UNREADABLE = "The server answered 200, but not with JSON that can be read."
NO_TEXT = "The server answered 200, but with no text."
OTHER_API = "What answers at Prometheus' address does not speak its API."
assert NO_ANSWER.keys() | REDIRECTED.keys() | TOO_LONG | NO_JSON | HOLLOW == FAULTS.keys()
assert FORBIDDEN.keys() <= REDIRECTED.keys()

# A metrics page.
NO_LINE_FEED = {"endless", "huge_string", "one_line", "label_bomb", "bomb", "deflate_bomb", "members_bomb"}
NO_LINE_FEED |= {"deep_json", "huge_integer", "large_integers", "query_series"}
LONG_LINE = "The page has a line longer than 8192 characters."
NOT_A_PAGE = "The page is not in the Prometheus text format."
# A stream of a completion.
ONE_EVENT = NO_LINE_FEED - {"deep_json", "huge_integer", "large_integers"}
WITHOUT_END = "The server answered 200, but sent an event without an end."
MANY_EVENTS = "The server answered 200, but sent more than 2000 events for a tiny answer."


def of_get(fault: str, hollow: str) -> str:
    """The reason after a GET of JSON; ``hollow`` is what the reader says of JSON that holds nothing for it."""
    if fault in TOO_LONG:
        return LONG
    return (NO_ANSWER | REDIRECTED).get(fault) or (UNREADABLE if fault in NO_JSON else hollow)


def of_post(fault: str, unreadable: str = NO_TEXT, hollow: str = NO_TEXT) -> str:
    """The reason after a POST of a completion."""
    if fault in REDIRECTED:
        return "The server answered 302."
    if fault in TOO_LONG:
        return LONG
    return NO_ANSWER.get(fault) or (unreadable if fault in NO_JSON else hollow)


def of_stream(fault: str) -> str:
    """The reason after a POST of a completion that is to be streamed."""
    if fault in ONE_EVENT:
        return WITHOUT_END
    if fault in ("sse_events", "sse_chatter"):
        return MANY_EVENTS
    if fault == "large_integers":
        return "The server answered 200, but reported an error in the stream."
    return of_post(fault, *(["The server answered 200, but sent no content."] * 2))


def of_page(fault: str) -> str:
    """The reason after a GET of the metrics page; empty where the page can be read."""
    if fault in NO_LINE_FEED:
        return LONG_LINE
    if fault in ("million_series", "not_numbers"):
        return ""
    return (NO_ANSWER | REDIRECTED).get(fault, NOT_A_PAGE)


def of_prometheus(fault: str) -> str:
    """The reason after a question to a Prometheus server."""
    if fault in TOO_LONG:
        return "Prometheus answered with more data than are read; narrow the labels down."
    reason = (NO_ANSWER | REDIRECTED).get(fault)
    return f"Prometheus: {reason}" if reason else OTHER_API


def of_endpoint(probe: str, fault: str) -> str:
    """What a probe must say of an endpoint that does nothing else than this; empty where there is no fault for it."""
    found = _of_endpoint(probe, fault)
    return found if found is not None else of_prometheus(fault)


def _of_endpoint(probe: str, fault: str) -> str | None:
    looked = NO_ANSWER.get(fault, "")  # what only looks at the status and the headers sees no other fault
    match probe:
        case "tls.headers":
            return looked
        case "endpoint.health":
            long = "with more than is read, which no health route does." if fault in TOO_LONG else ""
            return long or NO_ANSWER.get(fault) or REDIRECTED.get(fault, "")
        case "access.control":
            said = {TIMEOUT: "timeout", HTTP: "protocol", HEADERS: "too large", BROKEN: "unreachable"}.get(looked)
            said = said or {"sse_line": "too large", "early_hints": "too large", "cut_gzip": "protocol"}.get(fault)
            said = said or {"reset": "unreachable"}.get(fault) or ("status 302" if fault in REDIRECTED else "")
            if said:
                return f"No route answered in a way that tells: {said} says neither open nor closed."
            if fault == "large_integers":
                return "No route answered in a way that tells: error in the body says neither open nor closed."
            if fault in HOLLOW | {"huge_string", "query_series"}:
                return "It answers 2xx even on a route that does not exist, so an answer says nothing of who is let in."
            return "answered well, but not with JSON, so what answers there may be no model server."
        case "stack.recognition":
            return of_get(fault, "Nothing gave the serving stack away." if fault != "large_integers" else "OpenAI")
        case "model.identity":
            return of_get(fault, "/v1/models list")
        case "model.limits":
            return of_get(fault, "The server declares no" if fault == "large_integers" else "says nothing of this.")
        case "serving.arguments":
            return of_get(fault, "says nothing of this.")
        case "metrics.present" | "metrics.latency":
            return of_page(fault)
        case "generation.small":
            return f"The small request failed. {of_stream(fault)}"
        case "generation.counters":
            return of_page(fault) or f"The small request failed. {of_post(fault)}"
        case "generation.oversized" | "generation.inputs" | "generation.burst" | "generation.slow":
            return f"The small request failed. {of_post(fault)}"
        case "generation.modalities":
            if fault in REDIRECTED:
                return "Accepted: nothing in, nothing out. Not settled: text in: 302; text out: 302."
            return f"text in: {of_post(fault).rstrip('.')}; text out:"
        case "model.fingerprint":
            return f"The prompt “sea” was not answered. {of_post(fault, UNREADABLE)}"
        case "generation.refusals":
            return of_post(fault, UNREADABLE)
        case "generation.compatibility":
            if fault in REDIRECTED:
                return "whole: 200 before, 302 now"
            if fault in HOLLOW:
                return "is missing"
            return of_post(fault, UNREADABLE).rstrip(".")
    return None
