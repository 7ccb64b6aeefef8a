from __future__ import annotations

from django.conf import settings
from django.db import models


class IdempotencyRecord(models.Model):
    """The answer that was given for one ``Idempotency-Key`` of one person, kept for a day.

    ``status`` is 0 only inside the transaction that is doing the work.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    request = models.CharField(max_length=700)  # method and path
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    response = models.JSONField(default=dict)
    location = models.CharField(max_length=700, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="api_each_key_once")]
        indexes = [models.Index(fields=["user", "created_at"], name="api_keys_by_age")]
