"""Is it alive, and is it ready? For load balancers and the supervisor."""

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    """Alive: answers without touching anything else."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Ready: the database and the broker answer; 503 naming the one that does not."""
    failed = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Exception:
        failed.append("database")
    try:
        cache.get("readyz")
    except Exception:
        failed.append("broker")
    return JsonResponse({"status": "failed" if failed else "ok", "failed": failed}, status=503 if failed else 200)
