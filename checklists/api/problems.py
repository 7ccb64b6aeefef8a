from typing import Any


def handle(exc: Exception, context: dict[str, Any]) -> Any:
    from rest_framework.views import exception_handler

    return exception_handler(exc, context)
