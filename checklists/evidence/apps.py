from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    name = "checklists.evidence"
    label = "evidence"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checklists import journal
        from checklists.evidence.services import rejudge, retire_findings

        journal.subscribe("assessments.answer.saved", rejudge)
        journal.subscribe("registry.endpoint.changed", retire_findings)
        journal.subscribe("registry.endpoint.deleted", retire_findings)
