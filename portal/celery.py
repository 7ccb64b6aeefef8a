"""The Celery application: broker and beat are configured in ``portal.settings`` (prefix ``CELERY_``)."""

import gc
import os
import signal

from celery import Celery
from celery.signals import worker_init, worker_process_init

from portal.child import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("preflight")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect(weak=False)
def settle(**kwargs: object) -> None:
    """Before the pool is forked: what takes long to load is loaded once, and the garbage collector, which would walk
    through all of it again and again, leaves it alone."""
    from checklists.evidence.units import factor

    factor("s", "ms")
    gc.collect()
    gc.freeze()


@worker_process_init.connect(weak=False)
def end_with_the_worker(**kwargs: object) -> None:
    """A worker that is killed takes its pool along; what they were doing is delivered again."""
    die_with_parent(signal.SIGKILL)
