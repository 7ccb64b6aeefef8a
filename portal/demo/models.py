"""What Harbour & Pine runs: sixty models in all six families, and where each of their releases stands."""

from __future__ import annotations

from dataclasses import dataclass

from portal.demo.serving.base import OWNER, digest_of, revision_of

# Their owners let nothing be generated; nor do those of risk-fraud.
QUIET = (
    "gateway-guard",
    "phone-notes",
    "defect-spotter",
    "long-context-summariser-for-regulated-correspondence-and-case-files",
)


@dataclass(frozen=True)
class DemoRelease:
    """A version, the stage it has come to, and the kind of demo server that answers for it."""

    version: str
    stage: str
    kind: str


@dataclass(frozen=True)
class DemoModel:
    slug: str
    team: str
    family: str
    tier: int
    kind: str
    description: str
    releases: tuple[DemoRelease, ...]
    restricted: bool = False

    @property
    def may_generate(self) -> bool:
        """Whether its owner lets probes send it something to answer."""
        return self.team != "risk-fraud" and self.slug not in QUIET

    def previous(self, release: DemoRelease) -> DemoRelease | None:
        place = self.releases.index(release)
        return self.releases[place - 1] if place else None

    def revision(self, version: str) -> str:
        return revision_of(self.slug, version)

    def digest(self, version: str) -> str:
        return f"sha256:{digest_of(self.slug, version)}"

    def claimed_id(self, release: DemoRelease) -> str:
        """What the team calls the model: what its kind of server reports of the weights."""
        if release.kind in ("vllm", "open", "small", "slow", "images", "dead"):
            return f"{OWNER}/{self.slug}-{release.version}"
        if release.kind == "llamacpp":
            return f"{self.slug}-{release.version}-Q4_K_M"
        return self.slug


def _model(line: str, description: str) -> DemoModel:
    """``slug team family tier kind version:stage[@kind] …``, a ``!`` after the tier for a restricted model."""
    slug, team, family, tier, kind, *releases = line.split()
    rows = []
    for text in releases:
        version, _, rest = text.partition(":")
        stage, _, own = rest.partition("@")
        rows.append(DemoRelease(version, stage, own or kind))
    return DemoModel(slug, team, family, int(tier[0]), kind, description, tuple(rows), tier.endswith("!"))


_LINES: tuple[tuple[str, str], ...] = (
    # Support assistant
    (
        "assist-chat support-assistant llm 1 vllm 4.0:retired 4.1:live 4.2:draft@slow",
        "Answers customers in the chat window: orders, returns, delivery. Hands over to a person when unsure.",
    ),
    (
        "assist-summary support-assistant llm 2 vllm 2.0:live 2.1:draft",
        "Sums a conversation up for the agent who takes over.",
    ),
    (
        "intent-router support-assistant embedding 2 embedding 1.3:retired 1.4:live 1.5:in_review",
        "Decides which queue a message goes to.",
    ),
    (
        "ticket-triage support-assistant llm 2 vllm 0.8:approved 0.9:changes_requested",
        "Suggests priority and product area for new tickets.",
    ),
    ("reply-tone support-assistant llm 3 ollama 0.3:draft", "Rewrites an agent's draft in the house's tone."),
    # Search & retrieval
    (
        "rank-fusion search-retrieval embedding 1 embedding 2.2:retired 2.3:live 2.4:approved",
        "Merges keyword and vector results into one ranking.",
    ),
    (
        "query-rewrite search-retrieval llm 2 vllm 1.0:retired 1.1:live 1.2:in_review",
        "Turns what people type into what they mean.",
    ),
    (
        "answer-box search-retrieval llm 2 vllm 0.9:live 1.0:in_review",
        "A short answer above the results, with its sources.",
    ),
    (
        "visual-search search-retrieval vision 2 vllm 3.0:live 3.1:draft",
        "Finds products that look like the one in a photo.",
    ),
    ("facet-extract search-retrieval llm 3 llamacpp 0.5:live", "Reads material, size and colour out of product texts."),
    # Voice
    ("voice-agent voice audio 1 open 1.0:in_review", "Takes calls in five languages, around the clock."),
    ("call-transcribe voice audio 1 audio 5.0:retired 5.1:live 5.2:draft", "Turns calls into text while they last."),
    ("wake-word voice audio 3 audio 1.2:live", "Listens for the name of the assistant on our speakers."),
    ("accent-adapt voice audio 2 audio 0.6:rejected 0.7:draft", "Makes transcription fair to regional accents."),
    ("phone-notes voice llm 2 vllm 1.0:live 1.1:draft", "Writes the note after a call."),
    # Shopping guide
    (
        "shop-guide shopping-guide llm 1 vllm 3.3:retired 3.4:live 3.5:in_review",
        "Advises on the shop floor's screens and in the app.",
    ),
    (
        "outfit-match shopping-guide multimodal 2 vllm 1.0:live 1.1:draft",
        "Puts rooms together from photos of what people own.",
    ),
    ("gift-finder shopping-guide llm 3 ollama 0.4:draft@dead", "Finds a present from three answers."),
    ("size-advisor shopping-guide llm 2 vllm 1.9:retired 2.0:live", "Says whether it fits through the door."),
    (
        "room-planner shopping-guide multimodal 2 vllm 0.9:approved 1.0:draft",
        "Reads a floor plan and suggests where things go.",
    ),
    # Image generation
    (
        "studio-xl image-generation diffusion 1 images 1:live 2:in_review",
        "Product pictures in any setting, for the catalogue and the shop.",
    ),
    ("studio-turbo image-generation diffusion 2 images 1.3:live 1.4:draft", "The same in a second, for drafts."),
    (
        "inpaint-pro image-generation diffusion 2 comfyui 0.8:live 0.9:changes_requested",
        "Removes what should not be in the picture.",
    ),
    ("backdrop-gen image-generation diffusion 3 comfyui 0.2:live", "Backgrounds for campaign pictures."),
    ("upscale-4x image-generation diffusion 2 images 2.0:live 2.1:approved", "Makes small pictures large for print."),
    # Video understanding
    (
        "caption-vl video-understanding multimodal 2 vllm 0.5:retired 0.6:live 0.7:draft",
        "Describes product videos for people who cannot see them.",
    ),
    ("clip-index video-understanding embedding 2 embedding 1.0:live", "Finds the moment in a video."),
    ("scene-cut video-understanding vision 3 vllm 0.3:live", "Cuts videos into scenes."),
    ("video-qa video-understanding multimodal 2 vllm 0.4:draft", "Answers questions about assembly videos."),
    ("highlight-reel video-understanding multimodal 3 vllm 0.1:rejected 0.2:draft", "Picks the best ten seconds."),
    # Content writing
    ("copy-draft content-writing llm 2 vllm 1.8:live 1.9:approved", "First drafts of campaign texts."),
    ("product-blurb content-writing llm 2 vllm 2.2:live 2.3:in_review", "Product texts from the data sheet."),
    ("seo-rewrite content-writing llm 3 llamacpp 0.9:live", "Titles and descriptions for search engines."),
    (
        "translate-nordic content-writing llm 1 vllm 6.0:live 6.1:in_review",
        "Translates the shop into five languages of the north.",
    ),
    ("headline-lab content-writing llm 3 ollama 0.2:draft", "Ten headlines to choose from."),
    # Catalogue imagery
    ("photo-tagger catalogue-imagery vision 2 vllm 4.1:live 4.2:approved", "Names what a supplier's photo shows."),
    ("colour-naming catalogue-imagery vision 3 vllm 1.0:live", "Gives a colour the name that people search for."),
    ("shadow-cast catalogue-imagery diffusion 3 comfyui 0.4:draft", "Puts a natural shadow under cut-out products."),
    (
        "defect-spotter catalogue-imagery vision 1 vllm 2.0:live 2.1:changes_requested",
        "Stops damaged goods at the packing line.",
    ),
    ("label-reader catalogue-imagery vision 2 vllm 1.3:live 1.4:draft", "Reads care labels and warnings."),
    # Serving platform
    (
        "gateway-guard serving-platform llm 1 vllm 1.0:retired 1.1:live 1.2:approved",
        "Looks at every prompt before any other model does.",
    ),
    ("router-mini serving-platform llm 2 vllm 0.7:live 0.8:draft", "Sends easy questions to small models."),
    ("draft-speculator serving-platform llm 3 vllm 0.2:live", "Drafts tokens for speculative decoding."),
    ("base-8b serving-platform llm 1 vllm 3.1:live 3.2:in_review", "The general model that teams start from."),
    (
        "long-context-summariser-for-regulated-correspondence-and-case-files "
        "serving-platform llm 2 vllm 0.3:draft@small",
        "Reads whole case files of letters with authorities and sums them up for the legal department.",
    ),
    # Embeddings
    (
        "embed-v3 embeddings embedding 1 embedding 3.0:live 3.1:approved",
        "Text vectors for search, routing and recommendations.",
    ),
    ("embed-multilingual embeddings embedding 2 embedding 1.6:live 1.7:in_review", "The same in eleven languages."),
    ("rerank-small embeddings embedding 2 embedding 0.8:retired 0.9:live", "Orders the first fifty results."),
    ("code-embed embeddings embedding 3 embedding 0.4:live 0.5:draft", "Vectors of our own source code."),
    ("image-embed embeddings embedding 2 embedding 2.0:live", "Vectors of product pictures."),
    # Risk & fraud
    (
        "fraud-llm risk-fraud llm 1 small 0.8:live@vllm 0.9:changes_requested",
        "Reads an order's whole story and says what is odd about it.",
    ),
    (
        "chargeback-notes risk-fraud llm 2 vllm 1.2:live 1.3:changes_requested",
        "Prepares the case for a disputed payment.",
    ),
    ("identity-match risk-fraud vision 1! vllm 1.0:live 1.1:in_review", "Compares a face with an identity document."),
    ("doc-forgery risk-fraud vision 2! vllm 0.6:approved", "Spots altered invoices."),
    (
        "sanctions-screen risk-fraud embedding 1! embedding 1.9:retired 2.0:live",
        "Finds names on lists in spite of their spelling.",
    ),
    # Developer tools
    ("code-complete developer-tools llm 2 vllm 1.4:live 1.5:draft", "Completes code in our own repositories."),
    ("review-helper developer-tools llm 3 vllm 0.6:live", "A first look at a change before a colleague's."),
    ("log-explain developer-tools llm 3 vllm 0.2:live 0.3:draft", "Says in words what a log shows."),
    ("sql-assist developer-tools llm 2 vllm 0.9:live 1.0:draft@dead", "Writes queries for the data warehouse."),
    ("test-writer developer-tools llm 3 llamacpp 0.3:rejected 0.4:draft", "Suggests tests for code that has none."),
)

MODELS: tuple[DemoModel, ...] = tuple(_model(line, description) for line, description in _LINES)
