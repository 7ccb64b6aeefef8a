from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "checklists.notices"
    label = "notices"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checklists import journal
        from checklists.notices import services as plan

        journal.subscribe("signoff.submission.created", plan.submission_created)
        journal.subscribe("signoff.signoff.given", plan.sign_off_given)
        journal.subscribe("signoff.signoff.voided", plan.sign_off_voided)
        journal.subscribe("assessments.comment.added", plan.comment_added)
        journal.subscribe("assessments.answer.saved", plan.answer_assigned)
        journal.subscribe("assessments.answer.assigned", plan.answer_assigned)
        journal.subscribe("assessments.waiver.requested", plan.waiver_requested)
        journal.subscribe("assessments.waiver.decided", plan.waiver_settled)
        journal.subscribe("assessments.waiver.expired", plan.waiver_settled)
        journal.subscribe("evidence.run.finished", plan.run_finished)
        journal.subscribe("evidence.finding.expired", plan.findings_expired)
