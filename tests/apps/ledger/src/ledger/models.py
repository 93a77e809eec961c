from django.db import models


class Entry(models.Model):
    """One row for everything that has happened."""

    kind = models.CharField(max_length=50)
    note = models.TextField(default="")
    created = models.DateTimeField(auto_now_add=True)
