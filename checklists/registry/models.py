from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from checklists.catalog.choices import Family
from checklists.catalog.models import Edition
from checklists.people.encryption import EncryptedJSONField
from checklists.people.models import Team, slug_validator
from checklists.registry.querysets import EndpointQuerySet, ModelQuerySet, ReleaseQuerySet

version_validator = RegexValidator(
    r"^[A-Za-z0-9](?:[A-Za-z0-9._+-]*[A-Za-z0-9])?\Z",
    "Use letters and digits, joined by dots, dashes, underscores or plus signs.",
)
digest_validator = RegexValidator(
    r"^[a-z0-9]+:[0-9a-f]{32,128}\Z", "Write the digest as algorithm:hex, such as sha256:9f4c…"
)


class Tier(models.IntegerChoices):
    CRITICAL = 1, "1 · critical"
    STANDARD = 2, "2 · standard"
    EXPERIMENTAL = 3, "3 · experimental"


class Stage(models.TextChoices):
    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    LIVE = "live", "Live"
    RETIRED = "retired", "Retired"


class Stack(models.TextChoices):
    AUTO = "auto", "Find out"
    VLLM = "vllm", "vLLM"
    SGLANG = "sglang", "SGLang"
    TGI = "tgi", "HF Text Generation Inference"
    TEI = "tei", "HF Text Embeddings Inference"
    KSERVE = "kserve", "Triton or KServe v2"
    NIM = "nim", "NVIDIA NIM"
    OLLAMA = "ollama", "Ollama"
    LLAMACPP = "llamacpp", "llama.cpp"
    LLAMACPP_PYTHON = "llamacpp_python", "llama-cpp-python"
    LITELLM = "litellm", "LiteLLM proxy"
    RAYSERVE = "rayserve", "Ray Serve LLM"
    TORCHSERVE = "torchserve", "TorchServe"
    COMFYUI = "comfyui", "ComfyUI"
    SPEACHES = "speaches", "Speaches"
    OPENAI = "openai", "OpenAI-compatible"


class Model(models.Model):
    """What a team launches, again and again: its releases are what is reviewed."""

    slug = models.CharField(max_length=80, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=120)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="models")
    family = models.CharField(max_length=20, choices=Family.choices)
    tier = models.PositiveSmallIntegerField(choices=Tier.choices)
    description = models.TextField(blank=True, max_length=4000)
    restricted = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    objects: ClassVar[ModelQuerySet] = ModelQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(tier__in=[1, 2, 3]), name="registry_tier_1_to_3")]
        indexes = [models.Index(fields=["team", "family"], name="registry_by_team_family")]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        """Its path in the API and in the journal."""
        return f"models/{self.slug}"


class Release(models.Model):
    """One version of a model on its way out: what is answered for, probed, signed and gated."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="releases")
    version = models.CharField(max_length=60, validators=[version_validator])
    revision = models.CharField(max_length=120, blank=True)
    artifact_digest = models.CharField(max_length=140, blank=True, validators=[digest_validator])
    environment = models.CharField(max_length=60, default="production")
    launch_date = models.DateField(null=True, blank=True)
    edition = models.ForeignKey(Edition, on_delete=models.PROTECT, related_name="+")
    stage = models.CharField(max_length=20, choices=Stage.choices, default=Stage.DRAFT)
    # What is kept of the model's config.json and of the last ModelSpec document; null when none is on file.
    architecture = models.JSONField(null=True, blank=True)
    modelspec = models.JSONField(null=True, blank=True)
    carried_over_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    objects: ClassVar[ReleaseQuerySet] = ReleaseQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "version"], name="registry_one_release_per_version")]
        indexes = [
            models.Index(fields=["stage", "launch_date"], name="registry_by_stage_launch"),
            models.Index(fields=["-changed_at"], name="registry_by_change"),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} {self.version}"

    @property
    def subject(self) -> str:
        """Its path in the API and in the journal."""
        return f"models/{self.model.slug}/releases/{self.version}"

    @property
    def is_closed(self) -> bool:
        """Retired and rejected releases take no more changes."""
        return self.stage in (Stage.RETIRED, Stage.REJECTED)


class Endpoint(models.Model):
    """Where a release can be reached and measured. Header values are encrypted and never shown again."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="endpoints")
    name = models.CharField(max_length=80)
    url = models.CharField(max_length=500)
    stack = models.CharField(max_length=20, choices=Stack.choices, default=Stack.AUTO)
    metrics_url = models.CharField(max_length=500, blank=True)
    prometheus_url = models.CharField(max_length=500, blank=True)
    alertmanager_url = models.CharField(max_length=500, blank=True)
    labels = models.JSONField(default=dict, blank=True)
    headers = EncryptedJSONField(blank=True, default=dict)
    may_generate = models.BooleanField(default=False)
    may_burst = models.BooleanField(default=False)
    series_length = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(20)]
    )  # requests of one latency series

    objects: ClassVar[EndpointQuerySet] = EndpointQuerySet.as_manager()  # type: ignore[assignment]  # django-stubs: custom queryset managers

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "name"], name="registry_endpoint_names_differ"),
            models.CheckConstraint(
                condition=models.Q(series_length__gte=1, series_length__lte=20), name="registry_series_of_1_to_20"
            ),
        ]

    def __str__(self) -> str:
        return self.name
