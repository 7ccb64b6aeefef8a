"""Every write of the registry."""

from checklists.registry.services.common import ENDPOINT_FIELDS, URL_FIELDS
from checklists.registry.services.endpoints import (
    KEPT,
    LABEL_NAME,
    change_endpoint,
    clean_url,
    create_endpoint,
    delete_endpoint,
    endpoint_facts,
)
from checklists.registry.services.models import change_model, create_model
from checklists.registry.services.releases import (
    RELEASE_FIELDS,
    change_release,
    clear_architecture,
    create_release,
    keep_modelspec,
    lock_release,
    require_open,
    retire_release,
    set_architecture,
    set_stage,
)

__all__ = [
    "ENDPOINT_FIELDS",
    "KEPT",
    "LABEL_NAME",
    "RELEASE_FIELDS",
    "URL_FIELDS",
    "change_endpoint",
    "change_model",
    "change_release",
    "clean_url",
    "clear_architecture",
    "create_endpoint",
    "create_model",
    "create_release",
    "delete_endpoint",
    "endpoint_facts",
    "keep_modelspec",
    "lock_release",
    "require_open",
    "retire_release",
    "set_architecture",
    "set_stage",
]
