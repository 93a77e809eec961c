from django.db import models


class Item(models.Model):
    """What a POST leaves."""

    text = models.CharField(max_length=100)


class Work(models.Model):
    """How often a task was done."""

    key = models.CharField(max_length=50, primary_key=True)
    count = models.IntegerField(default=0)


class Tick(models.Model):
    """Each run of the task that beat sends every second: its id, the process that sent it, and when."""

    task = models.CharField(max_length=50)
    scheduler = models.CharField(max_length=100)
    sent = models.FloatField()
