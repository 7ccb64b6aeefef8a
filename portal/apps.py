from django.apps import AppConfig

from portal import database


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        database.register()
