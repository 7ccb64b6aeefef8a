from celery import shared_task

from checklists.scorecards import services


@shared_task
def record_history() -> None:
    services.record_history()
