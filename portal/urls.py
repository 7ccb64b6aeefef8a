from django.conf import settings
from django.urls import include, path

from portal.health import healthz, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("checklists.api.urls")),
    path("", include("checklists.web.urls")),
]

if settings.DEMO:
    from portal.demo.signin import urlpatterns as demo_patterns

    urlpatterns = [*demo_patterns, *urlpatterns]
