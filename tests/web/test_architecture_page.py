"""The page on the shape of the model: it shows what follows from the config.json, and takes one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from checklists.registry.models import Release
from checklists.registry.services import set_architecture
from tests.build import make_model, make_release
from tests.conftest import Cast
from tests.evidence import configs
from tests.web.steps import at, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(cast: Cast, team: Any, edition: Any) -> Release:
    return make_release(make_model(team, cast.alice), cast.alice)


def file(content: bytes, name: str = "config.json") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/json")


def upload(config: Any) -> SimpleUploadedFile:
    return file(json.dumps(config).encode())


def test_a_document_is_uploaded_without_javascript_and_shown_in_words(cast: Cast, release: Release) -> None:
    client = signed_in(cast.bob)
    assert "No config.json is on file yet." in text(client.get(at("architecture", release)))
    response = client.post(at("architecture", release), {"document": upload(configs.LLAMA_8B)})
    assert (response.status_code, response["Location"]) == (302, at("architecture", release))
    page = text(client.get(at("architecture", release)))
    assert "grouped-query: 32 heads, 8 of keys and values" in page
    assert "8.03 billion" in page
    words = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "32,768 4.00 2.00 131,072 16.00 8.00" in words
    client.post(at("architecture", release), {"action": "remove"})
    assert "No config.json is on file yet." in text(client.get(at("architecture", release)))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (configs.DEEPSEEK_V3, "128 heads over a latent of 576 numbers"),
        (configs.MISTRAL_7B, "32 layers see only 4,096 tokens"),
        (configs.FALCON_7B, "multi-query: 71 heads, 1 of keys and values"),
        (configs.GPT2, "multi-head: 12 heads"),
        (configs.BERT_BASE, "keeps no keys and values"),
        (configs.GEMMA3_27B, "of the language model inside"),
        (configs.MIXTRAL_8X7B, "8 a layer"),
        ({**configs.GPT2, "model_type": "something_new"}, "cannot be counted for this family"),
    ],
)
def test_every_kind_of_attention_has_its_words(cast: Cast, release: Release, config: Any, words: str) -> None:
    set_architecture(release=release, document=json.dumps(config).encode(), by=cast.alice)
    assert words in text(signed_in(cast.carol).get(at("architecture", release)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "This is not JSON."),
        (b"<html>", "This is not JSON."),
        (b'{"peft_type": "LORA"}', "num_hidden_layers is missing."),
        (b'{"hidden_size": ' + b"9" * 31 + b"}", "more than 30 digits"),
        (b"x" * 300_000, "This is more than 256 KiB."),
    ],
)
def test_a_file_that_is_no_document_is_refused_at_its_field(
    cast: Cast, release: Release, content: bytes, words: str
) -> None:
    response = signed_in(cast.bob).post(at("architecture", release), {"document": file(content)})
    assert response.status_code == 422
    assert words in text(response)
    release.refresh_from_db()
    assert release.architecture is None


def test_without_a_file_the_page_asks_for_one(cast: Cast, release: Release) -> None:
    response = signed_in(cast.bob).post(at("architecture", release), {"document": ""})
    assert (response.status_code, "This field is required." in text(response)) == (422, True)
    response = signed_in(cast.bob).post(at("architecture", release))
    assert response.status_code == 422


def test_who_may_not_change_the_release_sees_the_shape_and_no_form(cast: Cast, release: Release) -> None:
    set_architecture(release=release, document=json.dumps(configs.LLAMA_8B).encode(), by=cast.alice)
    page = signed_in(cast.carol).get(at("architecture", release)).content.decode()
    assert "grouped-query" in page
    assert 'type="file"' not in page
    assert signed_in(cast.carol).post(at("architecture", release), {"document": upload({})}).status_code == 403


def test_a_document_kept_by_an_earlier_reader_does_not_break_the_page(cast: Cast, release: Release) -> None:
    Release.objects.filter(pk=release.pk).update(architecture={"model_type": "llama"})
    assert "Cannot be read" in text(signed_in(cast.bob).get(at("architecture", release)))


def test_the_history_says_what_was_put_on_file(cast: Cast, release: Release) -> None:
    set_architecture(release=release, document=json.dumps(configs.LLAMA_8B).encode(), by=cast.alice)
    assert "config.json (llama) on file" in text(signed_in(cast.alice).get(at("history", release)))
