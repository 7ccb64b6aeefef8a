from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    name = "checklists.evidence"
    label = "evidence"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checklists import journal
        from checklists.evidence.services import judge_locally, keep_schedule, rejudge, retire_findings

        journal.subscribe("assessments.answer.saved", rejudge)
        documents = ("registry.release.architecture_changed", "registry.release.modelspec_changed")
        for verb in ("assessments.answer.saved", "registry.release.created", *documents):
            journal.subscribe(verb, judge_locally)
        journal.subscribe("registry.endpoint.changed", retire_findings)
        journal.subscribe("registry.endpoint.deleted", retire_findings)
        for verb in ("release.created", "release.stage_changed", "endpoint.created", "endpoint.changed"):
            journal.subscribe(f"registry.{verb}", keep_schedule)
