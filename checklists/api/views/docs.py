"""The OpenAPI document and its interactive form."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

from django.http import Http404, HttpRequest, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.views.generic import TemplateView
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

_making = threading.Lock()


class Schema(SpectacularAPIView):
    """JSON unless YAML is asked for (``Accept: application/vnd.oai.openapi``). Made once: it is the same for everybody,
    and its generator is not made for two threads at once."""

    document: ClassVar[Any] = None

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer]
    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(responses={200: dict[str, Any]})
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """This document."""
        with _making:
            if Schema.document is None:
                answer = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]  # as the package is
                Schema.document = answer.data
        return Response(Schema.document)


class Docs(TemplateView):
    """Swagger UI from the installed package, started by a script of ours (``static/js/docs.js``)."""

    template_name = "api/docs.html"


class Unknown(APIView):
    """Every other address below ``/api/``: a problem document, or the way to the address with a slash at its end."""

    permission_classes = [AllowAny]
    authentication_classes = []
    schema = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in ("GET", "HEAD") and not request.path.endswith("/"):
            try:
                match = resolve(f"{request.path}/")
            except Resolver404:
                match = None
            if match and getattr(match.func, "cls", None) is not Unknown:
                return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Http404
