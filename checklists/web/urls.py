"""Every address of the site: what is about one release, and what is about the whole."""

from checklists.web.urls_portal import urlpatterns as portal
from checklists.web.urls_releases import urlpatterns as releases

app_name = "web"
urlpatterns = [*portal, *releases]
