"""Settings, all of them: what differs between machines comes from environment variables (see the README's table)."""

import secrets
import sys
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF
from environs import Env, EnvError

env = Env()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("PREFLIGHT_DATA_DIR", str(BASE_DIR / "var"))).resolve()


def kept_secret(name: str) -> str:
    """A secret made on first use, kept in the data directory (file mode 600) of installations without their own."""
    try:
        return _kept_secret(name)
    except OSError as error:
        raise EnvError(
            f"The data directory {DATA_DIR} cannot be used: {error.strerror}. Set PREFLIGHT_DATA_DIR."
        ) from error


def _kept_secret(name: str) -> str:
    DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = DATA_DIR / name
    if not path.exists():
        fresh = path.with_name(f".{name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(fresh)  # whoever comes first wins, also between processes
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


DEBUG = env.bool("PREFLIGHT_DEBUG", False)
DEMO = env.bool("PREFLIGHT_DEMO", False)
# Behind TLS: secure cookies, redirect to https, HSTS. `up` serves plain HTTP on this machine and switches it off.
HTTPS = env.bool("PREFLIGHT_HTTPS", True)
SECRET_KEY = env.str("PREFLIGHT_SECRET_KEY", "") or kept_secret("secret-key")
# Endpoint headers are encrypted with these; the first encrypts, all decrypt (rotation: put the new one in front).
ENCRYPTION_KEYS = env.list("PREFLIGHT_ENCRYPTION_KEYS", []) or [kept_secret("encryption-key")]
ALLOWED_HOSTS = env.list("PREFLIGHT_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
BASE_URL = env.str("PREFLIGHT_BASE_URL", "http://localhost:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = env.list("PREFLIGHT_TRUSTED_ORIGINS", [BASE_URL])

INSTALLED_APPS = [
    "checklists.journal",
    "checklists.people",
    "checklists.catalog",
    "checklists.registry",
    "checklists.assessments",
    "checklists.evidence",
    "checklists.scorecards",
    "checklists.signoff",
    "checklists.notices",
    "checklists.web",
    "checklists.api",
    "portal",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "template_partials",
    "csp",
    "heroicons",
    "django_celery_beat",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "checklists.web.context.shell",
                *(["portal.demo.context.people"] if DEMO else []),
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

DATABASE_URL = env.str("DATABASE_URL", "")
if DATABASE_URL:
    DATABASES = {"default": env.dj_db_url("DATABASE_URL")}
else:
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "preflight.sqlite3"}}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE takes the write lock at BEGIN, so that a reader that turns writer never fails with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }
elif DB_POOL := env.int("PREFLIGHT_DB_POOL", 8):  # connections per process; 0 for a pool outside, such as PgBouncer
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 0, "max_size": DB_POOL}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "preflight",
        "OPTIONS": {"socket_connect_timeout": 3, "socket_timeout": 5},
    }
}

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True  # results belong in our own tables
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 600
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = {
    "probe-what-is-due": {"task": "checklists.evidence.tasks.probe_due", "schedule": 60.0},
    "finish-abandoned-runs": {"task": "checklists.evidence.tasks.resume_abandoned", "schedule": 30.0},
    "expire-findings": {"task": "checklists.evidence.tasks.expire_findings", "schedule": 60.0},
    "drop-old-evidence": {"task": "checklists.evidence.tasks.drop_old", "schedule": 3600.0},
    "expire-waivers": {"task": "checklists.assessments.tasks.expire_waivers", "schedule": 300.0},
    "expire-acceptances": {"task": "checklists.assessments.tasks.expire_acceptances", "schedule": 300.0},
    "expire-approvals": {"task": "checklists.signoff.tasks.expire_approvals", "schedule": 300.0},
    "take-daily-history": {"task": "checklists.scorecards.tasks.record_history", "schedule": 3600.0},
}

# People and signing in
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "checklists.people.adapter.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "checklists.people.adapter.SocialAccountAdapter"
ACCOUNT_RATE_LIMITS = {"login_failed": "5/5m/key,20/5m/ip"}
ACCOUNT_LOGOUT_ON_GET = False
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("PREFLIGHT_PROXY_COUNT", 0)
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are not verified here; without this nobody could add a second factor
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
SOCIALACCOUNT_ONLY = False
SOCIALACCOUNT_PROVIDERS = {}
if env.str("PREFLIGHT_OIDC_URL", ""):
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": env.str("PREFLIGHT_OIDC_NAME", "Single sign-on"),
                "client_id": env.str("PREFLIGHT_OIDC_CLIENT_ID"),
                "secret": env.str("PREFLIGHT_OIDC_CLIENT_SECRET"),
                "settings": {"server_url": env.str("PREFLIGHT_OIDC_URL")},
            }
        ],
    }

# The API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "checklists.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PAGINATION_CLASS": "checklists.api.pagination.Pagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["checklists.api.parsers.JSONParser"],
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS tells nothing that the OpenAPI document does not
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "checklists.api.schema.Schema",
    "EXCEPTION_HANDLER": "checklists.api.problems.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Preflight",
    "DESCRIPTION": "Which generative-AI models are ready for production, on evidence.",
    "VERSION": "1",
    "SERVE_PUBLIC": True,  # one document for everybody
    "ENUM_NAME_OVERRIDES": {
        "AnswerStatus": "checklists.assessments.models.Status",
        "ClaimType": "checklists.catalog.choices.ClaimType",
        "EditionStatus": "checklists.catalog.choices.EditionStatus",
        "Family": "checklists.catalog.choices.Family",
        "ItemMode": "checklists.catalog.choices.Mode",
        "ItemState": "checklists.scorecards.states.STATES",
        "Outcome": "checklists.signoff.models.Outcome",
        "Quality": "checklists.catalog.choices.Quality",
        "Requirement": "checklists.catalog.choices.Requirement",
        "Role": "checklists.catalog.choices.Role",
        "RunReason": "checklists.evidence.models.RunReason",
        "RunState": "checklists.evidence.models.RunState",
        "SignOffDecision": "checklists.signoff.models.Decision",
        "Stack": "checklists.registry.models.Stack",
        "Stage": "checklists.registry.models.Stage",
        "Tier": "checklists.registry.models.Tier",
        "Verdict": "checklists.evidence.models.Verdict",
        "WaiverDecision": "checklists.api.serializers.waivers.DECISIONS",
        "WaiverState": "checklists.assessments.models.WaiverState",
    },
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
}

# Languages, time, files
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
USE_THOUSAND_SEPARATOR = True
STATIC_URL = "static/"
STATIC_ROOT = env.path("PREFLIGHT_STATIC_ROOT", DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "portal.staticfiles.Storage"},
}
WHITENOISE_USE_FINDERS = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
if env.str("EMAIL_URL", ""):
    vars().update(env.dj_email_url("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.str("PREFLIGHT_FROM_EMAIL", "preflight@localhost")

# Security
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
        "manifest-src": [SELF],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if env.bool("PREFLIGHT_BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env.str("PREFLIGHT_LOG_LEVEL", "WARNING")},
}

# What the domain may be told from outside (read through django.conf.settings)
PREFLIGHT: dict[str, Any] = {
    # Addresses probes may reach although they are private come from the database (Settings, Probe policy); these never.
    "PROBE_TIMEOUT_SECONDS": env.float("PREFLIGHT_PROBE_TIMEOUT", 10.0),
    "PROBE_MAX_BYTES": env.int("PREFLIGHT_PROBE_MAX_BYTES", 2 * 1024 * 1024),
    # Endpoints of one host that are probed at once, over all workers; and requests at once to any one host, whoever
    # asks and whatever for, from each worker process (a burst apart). 0: nobody counts.
    "PROBE_PER_HOST": env.int("PREFLIGHT_PROBE_PER_HOST", 4),
    "PROBE_AT_ONCE": env.int("PREFLIGHT_PROBE_AT_ONCE", 50),
    "KEEP_ANSWERS_DAYS": env.int("PREFLIGHT_KEEP_ANSWERS_DAYS", 30),
    "KEEP_FINDINGS_DAYS": env.int("PREFLIGHT_KEEP_FINDINGS_DAYS", 400),
    # Where models and images are published; empty: nobody is asked.
    "HUB_URL": env.str("PREFLIGHT_HUB_URL", ""),
    "OCI_URL": env.str("PREFLIGHT_OCI_URL", ""),
    "APPROVAL_DAYS": env.int("PREFLIGHT_APPROVAL_DAYS", 180),
    # Show badges of models that are not restricted to whoever knows their address, signed in or not.
    "PUBLIC_BADGES": env.bool("PREFLIGHT_PUBLIC_BADGES", False),
}
