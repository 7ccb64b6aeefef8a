"""What the team claims, and the exceptions it asks for: every write."""

from checklists.assessments.services.answers import (
    add_comment,
    confirm_answers,
    expire_acceptances,
    open_answers,
    review_answers,
    save_answer,
)
from checklists.assessments.services.modelspec import export_modelspec, import_modelspec
from checklists.assessments.services.waivers import decide_waiver, expire_waivers, request_waiver

__all__ = [
    "add_comment",
    "confirm_answers",
    "decide_waiver",
    "expire_acceptances",
    "expire_waivers",
    "export_modelspec",
    "import_modelspec",
    "open_answers",
    "request_waiver",
    "review_answers",
    "save_answer",
]
