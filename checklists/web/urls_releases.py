"""Addresses about models and releases."""

from django.urls import path

from checklists.web.views import checklist, endpoints, evidence, findings, history, models, releases

MODEL = "models/<str:slug>"
RELEASE = f"{MODEL}/releases/<str:version>"

urlpatterns = [
    path("models/", models.models, name="models"),
    path("models/new/", models.model_create, name="model_create"),
    path(f"{MODEL}/", models.model, name="model"),
    path(f"{MODEL}/edit/", models.model_edit, name="model_edit"),
    path(f"{MODEL}/compare/", models.compare, name="compare"),
    path(f"{MODEL}/releases/new/", releases.release_create, name="release_create"),
    path(f"{RELEASE}/", releases.release, name="release"),
    path(f"{RELEASE}/edit/", releases.release_edit, name="release_edit"),
    path(f"{RELEASE}/architecture/", releases.architecture, name="architecture"),
    path(f"{RELEASE}/launch/", releases.launch, name="launch"),
    path(f"{RELEASE}/retire/", releases.retire, name="retire"),
    path(f"{RELEASE}/checklist/<str:section>/", checklist.checklist, name="checklist"),
    path(f"{RELEASE}/answers/<str:item_key>/", checklist.answer, name="answer"),
    path(f"{RELEASE}/answers/<str:item_key>/comments/", checklist.comments, name="comments"),
    path(f"{RELEASE}/confirm/", checklist.confirm, name="confirm_answers"),
    path(f"{RELEASE}/evidence/", evidence.evidence, name="evidence"),
    path(f"{RELEASE}/findings.json", findings.findings_json, name="findings_json"),
    path(f"{RELEASE}/findings/<int:pk>/", findings.finding, name="finding"),
    path(f"{RELEASE}/findings/<int:pk>.json", findings.finding_json, name="finding_json"),
    path(f"{RELEASE}/findings/<int:pk>/answers/<int:number>/", findings.finding_answer, name="finding_answer"),
    path(f"{RELEASE}/probe-runs/", evidence.probe_run_create, name="probe_run_create"),
    path(f"{RELEASE}/probe-runs/<int:pk>/", evidence.probe_run, name="probe_run"),
    path(f"{RELEASE}/endpoints/new/", endpoints.endpoint_create, name="endpoint_create"),
    path(f"{RELEASE}/endpoints/<int:pk>/", endpoints.endpoint_edit, name="endpoint_edit"),
    path(f"{RELEASE}/endpoints/<int:pk>/delete/", endpoints.endpoint_delete, name="endpoint_delete"),
    path(f"{RELEASE}/history/", history.history, name="history"),
]
