"""The Celery application: broker and beat are configured in ``portal.settings`` (prefix ``CELERY_``)."""

import os
import signal

from celery import Celery
from celery.signals import worker_process_init

from portal.child import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("preflight")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect(weak=False)
def end_with_the_worker(**kwargs: object) -> None:
    """A worker that is killed takes its pool along; what they were doing is delivered again."""
    die_with_parent(signal.SIGKILL)
