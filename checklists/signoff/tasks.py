from celery import shared_task

from checklists.signoff import services


@shared_task
def expire_approvals() -> None:
    services.expire_approvals()
