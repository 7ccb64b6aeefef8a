from checklists.evidence.stacks.table import Fact, Field, Listing, Route, Sign, Stack

STATS = ("/system_stats",)

STACK = Stack(
    "comfyui",
    "ComfyUI",
    "ComfyUI 0.3",
    signs=(
        Sign("/system_stats", at="system/comfyui_version"),
        Sign("/system_stats", at="devices/*/vram_total", weight=2),
    ),
    health=("/system_stats",),
    listings=(
        Listing(("/models/checkpoints",), "*", {"id": Field("")}),
        Listing(("/models/diffusion_models",), "*", {"id": Field("")}),
    ),
    facts=(
        Fact("version", STATS, "system/comfyui_version"),
        Fact("gpu_name", STATS, "devices/*/name", match=r"^(?:cuda:\d+ )?([^:]+?)(?: :|$)"),
        Fact("gpus", STATS, "devices", count=True),
    ),
    main=(Route("/prompt"), Route("/queue")),
    beside=(Route("/object_info/KSampler"), Route("/system_stats"), Route("/history?max_items=1")),
    metrics_paths=(),
    alias=True,
)
