"""Single sign-on by OpenID Connect, through a provider on another origin that really answers."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from playwright.sync_api import expect

from checklists.journal.models import Event
from checklists.people.models import User
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

CLIENT, SECRET = "preflight", "s3cret-of-the-client"
NINA = {"sub": "42", "name": "Nina Novak", "preferred_username": "nina", "email": "nina@example.org"}


@dataclass
class Provider:
    """An OpenID provider in which Nina has signed in already: it asks for her consent and sends her back."""

    origin: str = ""
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "userinfo_endpoint": f"{self.origin}/userinfo",
            "jwks_uri": f"{self.origin}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next."""
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, sent: dict[str, str]) -> dict[str, Any]:
        asked = self.codes.pop(sent["code"])
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        assert (sent["client_id"], sent["client_secret"]) == (CLIENT, SECRET)
        access, now = secrets.token_urlsafe(8), int(time.time())
        self.tokens.add(access)
        claims = {**NINA, "iss": self.origin, "aud": CLIENT, "iat": now, "exp": now + 300}
        signed = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "1"})
        return {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": signed}


class Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(asked))
            self.end_headers()
        elif parts.path == "/.well-known/openid-configuration":
            self.answer(self.provider.configuration())
        elif parts.path == "/userinfo":
            assert self.headers["Authorization"].removeprefix("Bearer ") in self.provider.tokens
            self.answer(NINA)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(self.provider.token({name: values[0] for name, values in parse_qs(body).items()}))

    def answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    """The provider, configured as the settings do it from ``PREFLIGHT_OIDC_*``."""
    provider = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ProviderHandler", (Handler,), {"provider": provider}))
    provider.origin = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "oidc",
                    "name": "Harbour ID",
                    "client_id": CLIENT,
                    "secret": SECRET,
                    "settings": {"server_url": provider.origin},
                }
            ],
        }
    }
    yield provider
    server.shutdown()
    server.server_close()
    thread.join()


def test_somebody_new_comes_in_through_single_sign_on_and_has_no_role(
    visit: Callable[..., Visitor], provider: Provider, edition: Any
) -> None:
    visitor = visit()
    page = visitor.open("/accounts/login/")
    page.get_by_role("link", name="Harbour ID").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_visible()
    nina = User.objects.get(username="nina")
    assert (nina.name, nina.email, nina.has_usable_password()) == ("Nina Novak", "nina@example.org", False)
    assert nina.access.roles == frozenset()
    told = Event.objects.get(verb="people.user.created", subject="users/nina")
    assert told.actor_id == nina.pk

    again = visit()
    page = again.open("/accounts/login/")
    page.get_by_role("link", name="Harbour ID").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("navigation", name="Main", exact=True)).to_be_visible()
    assert User.objects.filter(name="Nina Novak").count() == 1
