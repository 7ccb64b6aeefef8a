from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms

from checklists.registry.models import Endpoint, Stack
from checklists.registry.services import KEPT, LABEL_NAME

BLANK_ROWS = 3
MAX_ROWS = 23


class LabelsField(forms.CharField):
    """Label matchers of Prometheus as lines of ``name=value``; quotes around a value, as PromQL has them, may stay."""

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return "\n".join(f"{name}={text}" for name, text in sorted(value.items()))
        return value

    def clean(self, value: Any) -> dict[str, str]:
        text = str(super().clean(value) or "")
        labels: dict[str, str] = {}
        for line in filter(None, (line.strip().rstrip(",") for line in text.splitlines())):
            name, equals, said = (part.strip() for part in line.partition("="))
            if not equals or not said.strip('"'):
                raise forms.ValidationError(f"“{line[:80]}” is no name=value. Write one label a line.")
            if name.endswith(("!", "~")) or said.startswith("~"):
                raise forms.ValidationError(f"“{line[:80]}”: a label is compared by = only.")
            if not LABEL_NAME.match(name):
                raise forms.ValidationError(
                    f"“{name[:80]}” cannot name a label: letters, digits and _, not beginning with a digit."
                )
            if name in labels:
                raise forms.ValidationError(f"“{name[:80]}” stands there twice.")
            quoted = len(said) > 1 and said[0] == said[-1] == '"'
            labels[name] = said[1:-1] if quoted else said
        return labels


@dataclass
class HeaderRow:
    """One row of the header table. A stored value never reaches the page: it can be kept, replaced or removed."""

    index: int
    name: str = ""
    stored: bool = False
    remove: bool = False


class EndpointForm(forms.Form):
    """An endpoint with its secret headers, as rows ``header_name_N``, ``header_value_N``, ``header_remove_N``.

    A stored header is known by its name, never by its row: somebody else may have added or removed one meanwhile.
    """

    name = forms.CharField(max_length=80, help_text="Such as eu-1.")
    url = forms.CharField(
        label="Address",
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://", "spellcheck": "false"}),
        help_text="Where the model answers, without user name or password.",
    )
    stack = forms.ChoiceField(label="Serving stack", choices=Stack.choices, help_text="“Find out” asks the server.")
    metrics_url = forms.CharField(
        label="Metrics address",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
        help_text="If left empty, /metrics beside the address is tried.",
    )
    prometheus_url = forms.CharField(
        label="Prometheus address",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
        help_text="The server that collects its metrics, if there is one.",
    )
    alertmanager_url = forms.CharField(
        label="Alertmanager address",
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
        help_text="If alerts are handled by one.",
    )
    labels = LabelsField(
        label="Labels of its series",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": "namespace=chat"}),
        help_text="One name=value a line, such as namespace=chat. If left empty, the endpoint’s address is looked for "
        "among the scrape targets.",
    )
    may_generate = forms.BooleanField(required=False, label="Probes may generate here")
    series_length = forms.IntegerField(
        label="Requests in a latency series",
        min_value=1,
        max_value=20,
        initial=5,
        required=False,
        help_text="1 to 20. From 20 on, a 95th percentile can be judged.",
    )
    may_burst = forms.BooleanField(required=False, label="A burst may be sent here")

    def __init__(self, *args: Any, endpoint: Endpoint | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: dict[str, str] = dict(endpoint.headers) if endpoint is not None else {}

    @property
    def header_rows(self) -> list[HeaderRow]:
        """Stored headers first, then what was typed (names only), then blank rows."""
        rows = [HeaderRow(index, name, stored=True) for index, name in enumerate(sorted(self.kept))]
        sent = self._sent()
        removed = {name for name, _, remove in sent if remove}
        for row in rows:
            row.remove = row.name in removed
        typed = [name for name, _, remove in sent if name and name not in self.kept and not remove]
        rows += [HeaderRow(len(rows) + offset, name) for offset, name in enumerate(typed)]
        return rows + [HeaderRow(len(rows) + offset) for offset in range(BLANK_ROWS)]

    def _text(self, name: str) -> str:
        return str(self.data.get(name, "")).strip()

    def _sent(self) -> list[tuple[str, str, bool]]:
        """The rows that say something: name, value, and whether to remove it."""
        rows = [
            (self._text(f"header_name_{n}"), self._text(f"header_value_{n}"), f"header_remove_{n}" in self.data)
            for n in range(MAX_ROWS)
        ]
        return [row for row in rows if row[0] or row[1]]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        headers = dict.fromkeys(self.kept, KEPT)
        for name, value, remove in self._sent():
            if remove:
                headers.pop(name, None)
            elif name and (value or name in headers):
                headers[name] = value or KEPT
            elif name:
                self.add_error(None, f"Header {name}: type its value. Values are never sent back to the browser.")
            else:
                self.add_error(None, "A header value has no name beside it. Nothing was saved.")
        cleaned["headers"] = headers
        return cleaned

    def service_data(self) -> dict[str, Any]:
        """What the services take."""
        return {**self.cleaned_data, "series_length": self.cleaned_data["series_length"] or 5}
