from django.apps import AppConfig


class AssessmentsConfig(AppConfig):
    name = "checklists.assessments"
    label = "assessments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checklists import journal
        from checklists.assessments.services import open_answers

        journal.subscribe("registry.release.created", open_answers)
