from django.apps import AppConfig


class ScorecardsConfig(AppConfig):
    name = "checklists.scorecards"
    label = "scorecards"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checklists import journal
        from checklists.scorecards.services import refresh_from_event, refresh_from_model_event

        for verb in REFRESHING:
            journal.subscribe(verb, refresh_from_event)
        journal.subscribe("registry.model.changed", refresh_from_model_event)


REFRESHING = (
    "registry.release.created",
    "registry.release.changed",
    "registry.release.stage_changed",
    "registry.endpoint.changed",
    "registry.endpoint.deleted",
    "assessments.answer.saved",
    "assessments.answers.confirmed",
    "assessments.answers.reviewed",
    "assessments.acceptances.expired",
    "assessments.waiver.decided",
    "assessments.waiver.expired",
    "evidence.findings.recorded",
    "evidence.findings.rejudged",
    "evidence.finding.expired",
)
