from celery import shared_task

from checklists.assessments import services


@shared_task
def expire_waivers() -> None:
    services.expire_waivers()


@shared_task
def expire_acceptances() -> None:
    services.expire_acceptances()
