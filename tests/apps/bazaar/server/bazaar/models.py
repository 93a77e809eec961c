from django.db import models


class Article(models.Model):
    """What is for sale: with a picture when somebody uploaded one, without when it was restocked."""

    kind = models.CharField(max_length=50)
    picture = models.FileField(upload_to="pictures/", blank=True)
