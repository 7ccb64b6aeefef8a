"""A believable organisation and the model servers it runs, for `manage.py up --demo`."""
