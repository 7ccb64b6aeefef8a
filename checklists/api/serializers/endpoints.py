from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers

from checklists.api.serializers.fields import Body, Shown
from checklists.registry.models import Endpoint, Stack
from checklists.registry.services import KEPT

HEADERS_HELP = f"Values are write-only and read back as {KEPT}; sent back so, they stay as they are."

LABELS_HELP = "Label matchers that select the endpoint's series in Prometheus."
BURST_HELP = "Whether one burst of at most 20 requests at once for 10 s may be sent; never by the schedule."
SERIES_HELP = "How many requests a latency series has, where generating is allowed."


class EndpointSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    stack = serializers.ChoiceField(Stack.choices)
    metrics_url = serializers.CharField(allow_blank=True)
    prometheus_url = serializers.CharField(allow_blank=True)
    alertmanager_url = serializers.CharField(allow_blank=True)
    labels = serializers.DictField(child=serializers.CharField(allow_blank=True), help_text=LABELS_HELP)
    headers = serializers.SerializerMethodField(help_text=HEADERS_HELP)
    may_generate = serializers.BooleanField()
    may_burst = serializers.BooleanField(help_text=BURST_HELP)
    series_length = serializers.IntegerField(help_text=SERIES_HELP)

    def get_headers(self, endpoint: Endpoint) -> dict[str, str]:
        return dict.fromkeys(sorted(endpoint.headers), KEPT)


class EndpointChangeSerializer(Body):
    shown: ClassVar[Shown] = EndpointSerializer

    name = serializers.CharField(max_length=80, required=False)
    url = serializers.CharField(max_length=500, required=False)
    stack = serializers.ChoiceField(Stack.choices, required=False)
    metrics_url = serializers.CharField(max_length=500, allow_blank=True, required=False)
    prometheus_url = serializers.CharField(max_length=500, allow_blank=True, required=False)
    alertmanager_url = serializers.CharField(max_length=500, allow_blank=True, required=False)
    labels = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=499), required=False, help_text=LABELS_HELP
    )
    headers = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=4000, trim_whitespace=False),
        required=False,
        help_text=HEADERS_HELP,
    )
    may_generate = serializers.BooleanField(required=False)
    may_burst = serializers.BooleanField(required=False, help_text=BURST_HELP)
    series_length = serializers.IntegerField(min_value=1, max_value=20, required=False, help_text=SERIES_HELP)


class EndpointCreateSerializer(EndpointChangeSerializer):
    shown = None

    name = serializers.CharField(max_length=80)
    url = serializers.CharField(max_length=500)
