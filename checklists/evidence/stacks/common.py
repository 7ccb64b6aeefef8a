"""What does not belong to one stack: GPU exporters, gateways, and the words for phases and formats."""

from collections.abc import Mapping

from checklists.evidence.stacks.table import Meaning, metrics

# GPU series, whoever exports them: DCGM's defaults, Triton's, and what others call theirs.
GPU_PREFIXES = ("DCGM_FI_", "nv_gpu_", "nvidia_gpu_", "nvidia_smi_", "amd_gpu_", "habanalabs_")
GPU_METRICS: Mapping[str, Meaning] = {
    "DCGM_FI_DEV_FB_USED": Meaning("gpu_memory_bytes", "MiB"),
    "DCGM_FI_DEV_FB_FREE": Meaning("gpu_memory_free_bytes", "MiB"),
    "DCGM_FI_DEV_GPU_UTIL": Meaning("gpu_utilisation", "percent"),
    **metrics(
        {
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": "gpu_utilisation",
            "nv_gpu_utilization": "gpu_utilisation",
            "nv_gpu_memory_used_bytes": "gpu_memory_bytes",
        }
    ),
}
# The phases a team can claim to export, and the meaning that shows each.
PHASES: Mapping[str, str] = {
    "queue": "queue_seconds",
    "prefill": "prefill_seconds",
    "first_token": "first_token_seconds",
    "decode": "decode_seconds",
    "per_output_token": "per_output_token_seconds",
    "inference": "inference_seconds",
    "end_to_end": "end_to_end_seconds",
    "request": "end_to_end_seconds",
}
CACHE_MEANINGS = ("cache_usage", "cache_usage_cpu", "cache_hit_rate", "cache_queries_total", "cache_hits_total")
COUNTER_MEANINGS = ("generation_tokens_total", "prompt_tokens_total", "requests_total", "requests_success_total")

# Headers by which something in front of a server gives itself away: header → pattern of its value → its name.
GATEWAYS: Mapping[str, Mapping[str, str]] = {
    "x-envoy-upstream-service-time": {".*": "Envoy"},
    "x-kong-upstream-latency": {".*": "Kong"},
    "x-kong-proxy-latency": {".*": "Kong"},
    "x-amzn-requestid": {".*": "Amazon API Gateway"},
    "x-amz-apigw-id": {".*": "Amazon API Gateway"},
    "x-azure-ref": {".*": "Azure Front Door"},
    "apim-request-id": {".*": "Azure API Management"},
    "x-apisix-upstream-status": {".*": "Apache APISIX"},
    "x-portkey-provider": {".*": "Portkey"},
    "cf-ray": {".*": "Cloudflare"},
    "server": {
        "istio-envoy|envoy": "Envoy",
        "nginx.*": "nginx",
        "openresty.*": "OpenResty",
        "kong/.*": "Kong",
        "APISIX/.*": "Apache APISIX",
        "Caddy": "Caddy",
        "awselb/.*": "an AWS load balancer",
        "cloudflare": "Cloudflare",
        "Google Frontend": "Google Front End",
    },
    "via": {".*": "a proxy that signs itself in Via"},
}

# What servers call number formats → the checklist's word for the precision. GGUF's Q4_K_M and the like are read by
# their number of bits.
PRECISIONS: Mapping[str, str] = {
    "float32": "fp32", "fp32": "fp32", "f32": "fp32", "float": "fp32",
    "float16": "fp16", "fp16": "fp16", "f16": "fp16", "half": "fp16",
    "bfloat16": "bf16", "bf16": "bf16",
    "fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "float8_e4m3fn": "fp8", "float8_e5m2": "fp8", "e4m3": "fp8",
    "int8": "int8", "w8a8_int8": "int8",
    "int4": "int4", "awq": "int4", "w4a16": "int4",
    "fp4": "fp4", "nvfp4": "fp4", "mxfp4": "fp4",
}  # fmt: skip
# What servers call quantisation → the checklist's word for the format.
QUANTISATIONS: Mapping[str, str] = {
    "none": "none", "float32": "none", "float16": "none", "bfloat16": "none",
    "fp32": "none", "fp16": "none", "bf16": "none",
    "fp8": "fp8", "fbgemm_fp8": "fp8", "w8a8_fp8": "fp8", "modelopt_fp8": "fp8", "ptpc_fp8": "fp8",
    "int8": "int8", "w8a8_int8": "int8", "blockwise_int8": "int8", "experts_int8": "int8",
    "awq": "awq", "awq_marlin": "awq",
    "gptq": "gptq", "gptq_marlin": "gptq", "gptq_marlin_24": "gptq",
    "gguf": "gguf",
    "bitsandbytes": "bitsandbytes",
    "nvfp4": "nvfp4", "modelopt_fp4": "nvfp4",
    "mxfp4": "mxfp4",
}  # fmt: skip
