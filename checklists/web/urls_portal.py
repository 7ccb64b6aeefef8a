"""Addresses about the whole portal: today, overview, reviews, catalog, search, settings."""

from django.urls import path

from checklists.web.views import (
    catalog,
    coverage,
    inbox,
    journal,
    overview,
    policy,
    reviews,
    search,
    settings,
    setup,
    today,
    tokens,
    waivers,
)

RELEASE = "models/<str:slug>/releases/<str:version>"

urlpatterns = [
    path("", today.today, name="today"),
    path("overview/", overview.overview, name="overview"),
    path("overview/export.csv", overview.overview_csv, name="overview_csv"),
    path("items/", overview.items, name="items"),
    path("releases/", overview.releases, name="releases"),
    path("reviews/", reviews.reviews, name="reviews"),
    path(f"{RELEASE}/review/", reviews.review, name="review"),
    path(f"{RELEASE}/submissions/new/", reviews.submission_create, name="submission_create"),
    path(f"{RELEASE}/submissions/<int:number>/", reviews.submission, name="submission"),
    path(f"{RELEASE}/submissions/<int:number>/signoffs/", reviews.sign, name="sign"),
    path(f"{RELEASE}/conditions/<int:pk>/done/", reviews.condition_done, name="condition_done"),
    path(f"{RELEASE}/waivers/new/", waivers.waiver_create, name="waiver_create"),
    path(f"{RELEASE}/waivers/<int:pk>/decision/", waivers.waiver_decision, name="waiver_decision"),
    path("catalog/", catalog.catalog, name="catalog"),
    path("catalog/<str:checklist>/<str:edition>/", catalog.edition, name="edition"),
    path("catalog/<str:checklist>/<str:edition>/<str:item_key>/", catalog.item, name="catalog_item"),
    path("coverage/", coverage.coverage_page, name="coverage"),
    path("search/", search.search, name="search"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("settings/", settings.settings_page, name="settings"),
    path("settings/people/", settings.people, name="people"),
    path("settings/people/<str:username>/", settings.person, name="person"),
    path("settings/teams/", settings.teams, name="teams"),
    path("settings/teams/<str:slug>/", settings.team, name="team"),
    path("settings/routes/", settings.routes, name="routes"),
    path("settings/networks/", policy.networks, name="networks"),
    path("settings/freshness/", policy.freshness, name="freshness"),
    path("settings/tokens/", tokens.tokens, name="tokens"),
    path("theme/", settings.theme, name="theme"),
    path("journal/", journal.journal, name="journal"),
    path("setup/<str:token>/", setup.setup, name="setup"),
]
