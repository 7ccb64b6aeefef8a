"""What is special about single releases; everything else follows from a release's stage."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from checklists.catalog.editions import ItemView


@dataclass(frozen=True)
class Twist:
    """``left_open``: items not met; ``waived``: item → days until its waiver ends; ``asked``: such that wait;
    ``declined``: waivers that were refused; ``signed``: roles that have signed; ``resubmitted``: the item changed after
    signatures, so that one role signs again; ``complete``: a draft that leaves nothing else open; ``verdict``: what a
    reviewer said who did not approve; ``comments``: item → who said what."""

    left_open: tuple[str, ...] = ()
    waived: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    declined: tuple[str, ...] = ()
    signed: tuple[str, ...] | None = None
    resubmitted: str = ""
    complete: bool = False
    note: str = ""
    verdict: str = ""
    comments: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


LONG = "long-context-summariser-for-regulated-correspondence-and-case-files"
# (slug, version) → item that is claimed → fields of it that are not true of the server that answers. Where there are
# none, the server is what is wrong: see ``serving.base``, and ``models`` for the open, small, slow and dead ones.
MISTAKEN: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("rerank-small", "0.9"): {"identity.gpu-precision": {"precisions": ["bf16"]}},
    ("router-mini", "0.8"): {"reliability.input-variability": {"tried": ["empty", "malformed", "extreme_shape"]}},
    ("wake-word", "1.2"): {"security.input-sanitisation": {}},
    ("seo-rewrite", "0.9"): {"observability.errors": {"classes": ["bad_request", "timeout"]}},
    # More than one GPU of the type holds beside the weights, so it was started with less.
    (LONG, "0.3"): {
        "identity.input-limits": {"max_input": 131_072},
        "operations.runtime-constraints": {"context_tokens": 131_072, "max_concurrency": 4},
        "identity.gpu-precision": {},
        "compute.parallelism": {},
        "compute.quantization": {},
    },
}
# Other weights answer under its address than when it was signed off.
SWAPPED = (("copy-draft", "1.8"),)

TWISTS: dict[tuple[str, str], Twist] = {
    ("assist-chat", "4.2"): Twist(
        complete=True,
        left_open=("reliability.load-test", "release.rollback"),
        waived={"autoscaling.cold-start": 33},
        asked={"reliability.load-test": 40},
        comments={
            "performance.latency-targets": (
                (
                    "demo-contributor",
                    "The larger context moved prefill to a second at eu-1. Do we raise the goal or add a replica?",
                ),
                ("demo-owner", "A replica. The goal stays at 800 ms; finance agreed on Tuesday."),
                ("demo-sre", "Good. Please measure again once it is there, I will not sign against the histogram."),
            ),
            "release.rollback": (("demo-owner", "Drill is booked for Thursday."),),
        },
    ),
    ("assist-summary", "2.1"): Twist(complete=True),
    ("voice-agent", "1.0"): Twist(
        signed=("mlops",),
        note="First release of the voice agent. Telephony is on the staging number until launch.",
        comments={
            "security.access-control": (
                ("farah.aziz", "Who can reach this address from outside the call centre's network?"),
            )
        },
    ),
    ("fraud-llm", "0.9"): Twist(
        verdict="The server offers 8,192 tokens, the answer says 32,768. Order histories will be cut. "
        "Serve what you claim, or claim what you serve."
    ),
    ("shop-guide", "3.5"): Twist(signed=("mlops", "security", "sre"), resubmitted="reliability.timeouts"),
    ("studio-xl", "2"): Twist(waived={"reliability.load-test": 3}, signed=("mlops",)),
    ("rank-fusion", "2.4"): Twist(waived={"release.compatibility": 58}),
    ("base-8b", "3.2"): Twist(waived={"observability.gpu": 9}, signed=()),
    ("ticket-triage", "0.8"): Twist(waived={"reliability.backpressure": 24}),
    ("photo-tagger", "4.2"): Twist(waived={"security.input-sanitisation": 5}),
    ("gateway-guard", "1.2"): Twist(waived={"autoscaling.cold-start": 71}),
    ("label-reader", "1.3"): Twist(waived={"release.rollback": -6}),
    ("size-advisor", "2.0"): Twist(waived={"reliability.backpressure": -12}),
    ("translate-nordic", "6.1"): Twist(signed=("mlops", "sre")),
    ("intent-router", "1.5"): Twist(signed=("security",)),
    ("copy-draft", "1.9"): Twist(declined=("release.rollback",)),
    ("query-rewrite", "1.2"): Twist(signed=()),
    ("answer-box", "1.0"): Twist(signed=("mlops",)),
    ("product-blurb", "2.3"): Twist(signed=("sre",)),
    ("embed-multilingual", "1.7"): Twist(signed=("mlops", "security")),
    ("identity-match", "1.1"): Twist(signed=()),
    ("caption-vl", "0.7"): Twist(asked={"reliability.backpressure": 60}),
    ("room-planner", "1.0"): Twist(asked={"security.logging-privacy": 45}),
    ("router-mini", "0.8"): Twist(asked={"release.rollback": 30}),
    ("chargeback-notes", "1.3"): Twist(
        verdict="The retention of 90 days does not agree with the policy for payment data. Thirty at most."
    ),
    ("ticket-triage", "0.9"): Twist(verdict="The evaluation covers English only; half of the tickets are not."),
    ("inpaint-pro", "0.9"): Twist(
        verdict="There is no way back described for the node pool. Please write the runbook first."
    ),
    ("defect-spotter", "2.1"): Twist(verdict="Recall on torn packaging fell against 2.0. Say why, or train again."),
    ("accent-adapt", "0.6"): Twist(
        verdict="The consent of the speakers in the training set cannot be shown. This cannot go out."
    ),
    ("highlight-reel", "0.1"): Twist(verdict="Music rights of the source videos are not settled."),
    ("test-writer", "0.3"): Twist(
        verdict="It sends code outside the network while it works. Come back with a local model."
    ),
}

REASONS = (
    (
        "The test environment for this lands with the next cluster.",
        "Traffic is capped at a tenth until then, and on-call watches the dashboard.",
    ),
    (
        "The vendor's exporter does not offer it in this version.",
        "We read the gateway's numbers instead, every morning.",
    ),
    (
        "The drill was moved by the freeze at the end of the quarter.",
        "The previous version stays deployed and warm beside this one.",
    ),
)

COMMENTS = (
    "Is this still true for the new node pool?",
    "Updated after yesterday's run, see the link.",
    "Could you say at which input size that was?",
    "Thanks, that answers it.",
    "The dashboard has moved; I fixed the address.",
    "We agreed on this number with finance in the spring.",
    "Please add the date of the last drill.",
    "Same as for the previous version, nothing changed here.",
)
APPROVALS = (
    "",
    "",
    "Looks good. Thank you for the clear report.",
    "Fine for this tier.",
    "Checked the runbook and the last drill.",
    "Evidence agrees with the claims.",
)
CONDITIONS = (
    "Repeat the load test with the autumn traffic profile",
    "Move the on-call rota into the shared calendar",
    "Rotate the gateway key and write the date down",
    "Add the second region to the latency dashboard",
)

_WORDS = {
    "met": (
        "Checked on this revision; the report is linked.",
        "As for the version before, checked again.",
        "Agreed with the platform team, see the page.",
        "Measured on the staging cluster with last month's traffic.",
    ),
    "partly": (
        "In place for the EU region; the second region follows with the next rollout.",
        "The numbers are from the previous revision. A new run is planned.",
        "Works by hand; the automation is still a pull request.",
    ),
    "not_met": (
        "Not done yet. It is on the plan for this sprint.",
        "We have not found a good way to measure this. Ideas are welcome.",
    ),
    "not_applicable": (
        "The model runs as a nightly batch; nobody waits for it.",
        "There is one fixed replica on purpose, so nothing scales.",
        "It has no state of its own and calls nothing outside.",
    ),
}


def words_for(item: ItemView, status: str, source: random.Random) -> str:
    """A justification: always where the item asks for one, sometimes elsewhere."""
    if item.justification.get(status) == "required" or source.random() < 0.25:
        return source.choice(_WORDS[status])
    return ""
