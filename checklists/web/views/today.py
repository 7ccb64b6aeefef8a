from django.http import HttpRequest, HttpResponse


def _soon(request: HttpRequest, **kwargs: object) -> HttpResponse:
    return HttpResponse("")


today = overview = overview_csv = items = reviews = review = submission_create = submission = sign = _soon
condition_done = waiver_create = waiver_decision = catalog = edition = item = search = journal = _soon
