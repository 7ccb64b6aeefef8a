"""The OpenAPI document tells all that can happen: beside what a view declares, the problems of its method."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from checklists.api.base import View
from checklists.api.problems import MEDIA_TYPE
from checklists.api.serializers.fields import Body
from checklists.api.serializers.problems import ProblemSerializer

PROBLEMS = {
    400: "Bad data: `errors` says what, field by field.",
    401: "Not signed in: no token, or one that is unknown, revoked or expired.",
    403: "Visible, but not yours to do (or, with a browser session, the CSRF token is missing).",
    404: "Unknown, or not visible to you.",
    406: "The answer cannot be had in the media type asked for.",
    409: "Somebody was quicker (`current` is what stands now), or not possible in this stage (`reasons`).",
    413: "The body is too large.",
    415: "The body's media type is not taken.",
    422: "The Idempotency-Key was used for another request.",
}
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description=(
        "The same key with the same body gives the same answer and one effect, for 24 hours; with another body or"
        " address it is refused with 422. A request that was refused is not remembered."
    ),
)


class Schema(AutoSchema):
    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.rpartition(".")[2]]

    def get_operation_id(self) -> str:
        """Read from the route: ``answers_put``."""
        name = next(pattern.name for pattern in _patterns() if pattern.callback.cls is type(self.view))
        return f"{name.replace('-', '_')}_{self.method.lower()}"

    def get_override_parameters(self) -> list[Any]:
        return [*super().get_override_parameters(), *([KEY] if self._is_idempotent() else [])]

    def _is_idempotent(self) -> bool:
        return getattr(getattr(self.view, self.method.lower(), None), "idempotent", False)

    def _problems(self) -> set[int]:
        if not isinstance(self.view, View):
            return {406}
        if self.method == "GET":
            found = {401, 406}
            if self.view.nul_is_refused:
                found.add(400)
            if "{" in self.path or self._is_list_view():
                found.add(404)
            return found | ({403} if self.view.may_forbid_reading else set())
        found = {400, 401, 403, 406, 409} | ({404} if "{" in self.path else set())
        if self.method != "DELETE":
            found |= {413, 415}
        return found | ({422} if self._is_idempotent() else set())

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        schema = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # as the package is
        if issubclass(serializer if isinstance(serializer, type) else type(serializer), Body):
            schema["additionalProperties"] = False
        return schema

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = self.resolve_serializer(ProblemSerializer, "response").ref
        for status in sorted(self._problems()):
            body = {"description": PROBLEMS[status], "content": {MEDIA_TYPE: {"schema": problem}}}
            if status == 401:
                body["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
            bodies[str(status)] = body
        for code in ("201", "202"):
            if self.method == "POST" and code in bodies:
                bodies[code]["headers"] = {"Location": {"schema": {"type": "string"}}}
        return bodies


def _patterns() -> list[Any]:
    from checklists.api.urls import urlpatterns

    return urlpatterns


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "checklists.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        made = "`python manage.py create_token USERNAME` makes one."
        return {"type": "http", "scheme": "bearer", "description": made}
