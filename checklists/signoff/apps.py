from django.apps import AppConfig


class SignoffConfig(AppConfig):
    name = "checklists.signoff"
    label = "signoff"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checklists import journal
        from checklists.signoff.services import (
            keep_author_from_signing,
            void_for_model,
            void_what_changed,
            withdraw_when_retired,
        )

        for verb in ANSWERING:
            journal.subscribe(verb, keep_author_from_signing)
        for verb in VOIDING:
            journal.subscribe(verb, void_what_changed)
        journal.subscribe("registry.model.changed", void_for_model)
        journal.subscribe("registry.release.stage_changed", withdraw_when_retired)


ANSWERING = ("assessments.answer.saved", "assessments.answers.confirmed")
VOIDING = (
    "registry.release.changed",
    "registry.endpoint.created",
    "registry.endpoint.changed",
    "registry.endpoint.deleted",
    *ANSWERING,
)
