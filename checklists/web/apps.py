from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "checklists.web"
    label = "web"
    default_auto_field = "django.db.models.BigAutoField"
