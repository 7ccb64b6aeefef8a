"""Secrets at rest: a JSON field whose value is encrypted with the keys of ``settings.ENCRYPTION_KEYS``."""

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


def fernet() -> MultiFernet:
    """The first key encrypts, all of them decrypt. Any text serves as a key: its SHA-256 is used."""
    keys = [base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()) for key in settings.ENCRYPTION_KEYS]
    return MultiFernet([Fernet(key) for key in keys])


if TYPE_CHECKING:
    TextField = models.TextField[Any, Any]
else:  # generic for the type checker only
    TextField = models.TextField


class EncryptedJSONField(TextField):
    """Any JSON value, unreadable in the database and in its dumps. A value that no key opens reads as ``{}``."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        if not value:
            return {}
        try:
            return json.loads(fernet().decrypt(value.encode()))
        except InvalidToken:
            return {}

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str:
        return fernet().encrypt(json.dumps(value or {}).encode()).decode() if value else ""

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj))
