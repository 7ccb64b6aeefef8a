"""Static files: hashed names, compressed beside the originals."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Missing entries are an error in the templates' tests, never a broken page in production."""

    manifest_strict = False
