from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import include, path, re_path

from checklists.api.badge import Badge
from checklists.api.views.docs import Unknown
from portal.health import healthz, readyz


def favicon(request: HttpRequest) -> HttpResponse:
    """For browsers that ask for it without reading the page."""
    return redirect(staticfiles_storage.url("icons/favicon.svg"))


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("favicon.ico", favicon, name="favicon"),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("checklists.api.urls")),
    re_path(r"^api(?:/[\s\S]*)?\Z", Unknown.as_view(), name="api-unknown"),
    path("badge/<str:slug>.svg", Badge.as_view(), name="badge"),
    path("", include("checklists.web.urls")),
]

if settings.DEMO:
    from portal.demo.signin import urlpatterns as demo_patterns

    urlpatterns = [*demo_patterns, *urlpatterns]
