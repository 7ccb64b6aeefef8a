"""Names that others than the model server export: GPU exporters, kube-state-metrics, KEDA, gateways. Data only.

Read from: dcgm-exporter 3.3 to 4.4, AMD's device-metrics-exporter 1.3, Intel Gaudi's exporter, Triton 2.6x,
kube-state-metrics 2.10 to 2.17, KEDA 2.17.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# GPU memory in use, and the unit it is counted in. The order is the order of preference.
GPU_MEMORY: Mapping[str, str] = {
    "DCGM_FI_DEV_FB_USED": "MiB",
    "nv_gpu_memory_used_bytes": "byte",
    "gpu_used_vram": "MiB",  # AMD calls it MB and counts 2^20 bytes
    "amd_gpu_used_vram": "MiB",
    "habanalabs_memory_used_bytes": "byte",
    "nvidia_smi_memory_used_bytes": "byte",
    "nvidia_gpu_memory_used_bytes": "byte",
}
# One series a GPU, whatever it says.
GPU_SERIES = (
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "nv_gpu_utilization",
    "gpu_gfx_activity",
    "amd_gpu_gfx_activity",
    "habanalabs_utilization",
    "nvidia_smi_utilization_gpu_ratio",
    "nvidia_gpu_duty_cycle",
)
# The labels that tell one GPU from another, and those that name its type.
GPU_IDS = ("UUID", "uuid", "gpu_uuid", "gpu_id", "serial_number", "gpu")
GPU_MODELS = ("modelName", "card_series", "card_model", "name")  # AMD may call a model by the number of its part
# How the job or pool of a GPU exporter is usually named: what else has a GPU in its name may be a model server.
GPU_EXPORTERS = re.compile(
    r"dcgm|amd-metrics|device-metrics|\A(?:gpus?|nvidia|rocm|habana|gaudi)\Z"
    r"|(?:gpu|nvidia|rocm|amd|habana|gaudi).*(?:export|metric|monitor|smi)",
    re.I,
)
MODEL_SERVERS = re.compile(
    r"\A(?!.*dcgm).*(?:llm|sglang|triton|ollama|inference|model|serving|(?<![a-z])(?:nim|tgi|tei)(?![a-z]))", re.I
)
# What Kubernetes calls a GPU, as kube-state-metrics writes it.
GPU_RESOURCES = ("nvidia_com_gpu", "amd_com_gpu", "habana_ai_gaudi", "gpu_intel_com_i915", "gpu_intel_com_xe")
# Labels of a node that name its instance type, as kube-state-metrics writes them.
INSTANCE_TYPES = ("label_node_kubernetes_io_instance_type", "label_beta_kubernetes_io_instance_type")

# Counters of answers and failures: the label that says which, by the name of the counter.
FAILURES: Mapping[str, str] = {
    "tgi_request_failure": "err",
    "te_request_failure": "err",
    "nv_inference_request_failure": "reason",
    "litellm_proxy_failed_requests_metric_total": "exception_class",
    "litellm_deployment_failure_responses_total": "exception_class",
    "litellm_llm_api_failed_requests_metric_total": "exception_class",
    "vllm:request_success_total": "finished_reason",
    "ray_serve_num_http_error_requests_total": "error_code",
    "ray_serve_num_http_error_requests": "error_code",
    "ray_serve_http_request_errors_total": "error_code",
    "istio_requests_total": "response_code",
    "nginx_ingress_controller_requests": "status",
    "traefik_service_requests_total": "code",
    "http_requests_total": "status",
    "http_server_requests_total": "status",
    "gen_ai_server_request_duration_seconds_count": "error_type",
}
# All kinds that these of them can ever count, whatever happens (lower case). Read from: vLLM 0.6 to 0.23, TGI 2.4 and
# 3.3, TEI 1.8 and 1.9, Triton 2.6x.
CLOSED: Mapping[str, frozenset[str]] = {
    "vllm:request_success_total": frozenset({"stop", "length", "abort", "error", "repetition"}),
    "tgi_request_failure": frozenset(
        {"validation", "generation", "incomplete_generation", "incomplete_generation_stream", "overloaded", "dropped"}
        | {"template", "template_error", "missing_template_variable", "tool_error", "streaming_error", "incomplete"}
    ),
    "te_request_failure": frozenset(
        {"validation", "tokenization", "tokenizer", "batch_size", "model_type", "missing_values", "dropped"}
        | {"overloaded", "inference", "backend", "unhealthy", "empty"}
    ),
    "nv_inference_request_failure": frozenset({"rejected", "canceled", "backend", "other"}),
    "kube_pod_container_status_last_terminated_reason": frozenset({"oomkilled"}),  # as far as it is asked for
}
# Those that tell failures by the status of an answer alone.
BY_STATUS = frozenset(
    {"ray_serve_num_http_error_requests_total", "ray_serve_num_http_error_requests"}
    | {"ray_serve_http_request_errors_total", "istio_requests_total", "nginx_ingress_controller_requests"}
    | {"traefik_service_requests_total", "http_requests_total", "http_server_requests_total"}
    | {"envoy_cluster_upstream_rq", "envoy_cluster_upstream_rq_xx", "envoy_http_downstream_rq_xx"}
    | {"kong_http_requests_total", "apisix_http_status", "haproxy_backend_http_responses_total", "response_total"}
    | {"traefik_entrypoint_requests_total", "hubble_http_requests_total", "caddy_http_request_duration_seconds_count"}
)
# Those of gateways and meshes, which may stand before an endpoint and count its failures under labels of their own.
GATEWAYS = frozenset(
    {"istio_requests_total", "nginx_ingress_controller_requests", "traefik_service_requests_total"}
    | {"litellm_proxy_failed_requests_metric_total", "litellm_deployment_failure_responses_total"}
    | {"envoy_cluster_upstream_rq", "envoy_cluster_upstream_rq_xx", "envoy_http_downstream_rq_xx"}
    | {"kong_http_requests_total", "apisix_http_status", "haproxy_backend_http_responses_total", "response_total"}
    | {"traefik_entrypoint_requests_total", "hubble_http_requests_total", "caddy_http_request_duration_seconds_count"}
    | {"http_server_request_duration_seconds_count"}
)
_STATUS = re.compile(r"[1-5](?:\d\d|xx)\Z")
# The kinds of errors a team can claim to tell apart, and the values that mean them (lower case, whole values).
ERROR_CLASSES: Mapping[str, frozenset[str]] = {
    "out_of_memory": frozenset({"oomkilled", "out_of_memory", "oom", "cudaoutofmemoryerror", "outofmemoryerror"}),
    "input_shape": frozenset({"validation", "batch_size", "413", "contextwindowexceedederror", "input_too_long"}),
    "bad_request": frozenset(
        {"validation", "400", "422", "4xx", "badrequesterror", "invalidrequesterror", "unprocessableentityerror"}
    ),
    "tokenizer": frozenset({"tokenizer", "tokenization", "decoding", "tokenizererror"}),
    "timeout": frozenset({"408", "504", "timeout", "timeouterror", "requesttimeouterror"}),
    "overload": frozenset({"429", "503", "overloaded", "rejected", "ratelimiterror", "serviceunavailableerror"}),
    "upstream": frozenset({"502", "504", "apiconnectionerror", "badgatewayerror", "apierror", "upstream"}),
    "refusal": frozenset({"content_filter", "contentpolicyviolationerror", "guardrail", "guardrailraisedexception"}),
}
# Values that say that nothing went wrong.
FINE = frozenset({"stop", "length", "200", "201", "202", "204", "206", "304", "2xx", "1xx", "3xx", "0", "", "none"})
REJECTED = frozenset({"429", "503", "overloaded", "rejected", "ratelimiterror", "serviceunavailableerror"})
TIMED_OUT = frozenset({"408", "504", "timeout", "timeouterror", "requesttimeouterror"})
FAULTS = frozenset(
    {"500", "502", "5xx", "error", "inference", "generation", "backend", "internal", "internalservererror", "tokenizer"}
)


def may_count(counter: str, kinds: frozenset[str]) -> bool:
    """Whether a counter could ever count one of these kinds; one that nobody knows might."""
    if counter in BY_STATUS:
        return any(_STATUS.match(kind) for kind in kinds)
    return counter not in CLOSED or bool(CLOSED[counter] & kinds)


@dataclass(frozen=True)
class Split:
    """A counter of requests that tells which version answered. ``service``: the label that all versions of a service
    share; ``version``: the one that tells them apart; ``namespace``, ``workload``: those that find the endpoint's.

    ``marked``: an empty ``version`` is the main one, any other the canary. ``read_from``: where the names were read.
    """

    name: str
    service: str
    version: str
    namespace: str
    workload: str
    read_from: str
    marked: bool = False


SPLITS: tuple[Split, ...] = (
    Split(
        "istio_requests_total",
        "destination_service",
        "destination_workload",
        "destination_workload_namespace",
        "destination_workload",
        "Istio's standard metrics, 1.20 to 1.27",
    ),
    Split(
        "revision_request_count",
        "configuration_name",
        "revision_name",
        "namespace_name",
        "configuration_name",
        "Knative Serving 1.8 to 1.17, below KServe",
    ),
    Split(
        "nginx_ingress_controller_requests",
        "ingress",
        "canary",
        "namespace",
        "service",
        "ingress-nginx 1.2 to 1.13",
        marked=True,
    ),
)
# Argo Rollouts 1.2 to 1.8: labels namespace, name, strategy, phase. Flagger 1.20 to 1.42: labels namespace, workload.
ARGO_INFO = "rollout_info"
ARGO_STRATEGIES: Mapping[str, str] = {"canary": "canary", "bluegreen": "blue_green"}
FLAGGER_WEIGHT = "flagger_canary_weight"
# LiteLLM 1.80 to 1.82: labels guardrail_name, hook_type, status. A request that was stopped counts as an error too, so
# only the type of an error (the name of an exception) tells whether the guardrail did its work.
GUARDRAILS, GUARDRAIL_ERRORS = "litellm_guardrail_requests_total", "litellm_guardrail_errors_total"
BROKEN = frozenset(
    {"APIConnectionError", "APITimeoutError", "AttributeError", "AuthenticationError", "ClientConnectorError"}
    | {"ConnectError", "ConnectTimeout", "ConnectionError", "ImportError", "InternalServerError", "KeyError"}
    | {"ModuleNotFoundError", "ReadTimeout", "ServiceUnavailableError", "Timeout", "TimeoutError", "TypeError"}
)
