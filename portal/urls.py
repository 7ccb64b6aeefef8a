from functools import partial
from typing import Any
from urllib.parse import urlsplit

from allauth.socialaccount.providers.openid_connect import views as openid_connect
from csp.decorators import csp_update
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


def single_sign_on(request: HttpRequest, provider_id: str) -> Any:
    """allauth's page whose button leads to the provider. Browsers hold ``form-action`` against the redirects that a
    form is answered with, too, so on this page alone a form may end elsewhere."""
    providers: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS
    apps = providers.get("openid_connect", {}).get("APPS", [])
    servers = [urlsplit(app["settings"]["server_url"]) for app in apps]
    elsewhere = ["https:", *(f"{server.scheme}://{server.netloc}" for server in servers)]
    return csp_update({"form-action": elsewhere})(partial(openid_connect.login, provider_id=provider_id))(request)


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("favicon.ico", favicon, name="favicon"),
    path("accounts/oidc/<str:provider_id>/login/", single_sign_on),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("checklists.api.urls")),
    re_path(r"^api(?:/[\s\S]*)?\Z", Unknown.as_view(), name="api-unknown"),
    path("badge/<str:slug>.svg", Badge.as_view(), name="badge"),
    path("", include("checklists.web.urls")),
]

if settings.DEMO:
    from portal.demo.signin import urlpatterns as demo_patterns

    urlpatterns = [*demo_patterns, *urlpatterns]
