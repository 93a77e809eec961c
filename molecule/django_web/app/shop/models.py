from django.db import models


class Release(models.Model):
    """One row for each run of the release commands."""

    note = models.CharField(max_length=100)
