"""One module for each concept. Views fetch what is visible, call a service or a queryset, and show the result."""
