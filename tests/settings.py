"""The product's own settings, with the servers of ``tests.servers`` and without what only costs time."""

import os

from tests.servers import provide, redis_database

directory = provide()
os.environ["PREFLIGHT_HTTPS"] = "0"
os.environ["PREFLIGHT_DB_POOL"] = "0"  # a pool would keep connections to a database about to be dropped
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright keeps an event loop in the thread that runs the tests
# What the person running the tests has set for their own installation is not for the tests.
OTHERS = ("PREFLIGHT_OIDC", "PREFLIGHT_DEMO", "PREFLIGHT_DEBUG", "PREFLIGHT_ALLOWED", "PREFLIGHT_BASE", "EMAIL_URL")
OTHERS += ("PREFLIGHT_HUB", "PREFLIGHT_OCI")
for name in [name for name in os.environ if name.startswith(OTHERS)]:
    del os.environ[name]

from portal.settings import *  # noqa: E402, F403  # after the environment is ready, and everything in it
from portal.settings import DATABASES, REDIS_URL  # noqa: E402

# Two Redis databases per xdist worker: one for the broker, one for the cache, which a test may empty.
worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
CELERY_BROKER_URL = redis_database(REDIS_URL, worker * 2)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis_database(REDIS_URL, worker * 2 + 1),
        "KEY_PREFIX": "preflight",
    }
}
DATABASES["default"]["TEST"] = {}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"]["NAME"] = str(directory / "test.sqlite3")  # a file, as in an installation, not memory

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT = directory / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns of a missing folder
