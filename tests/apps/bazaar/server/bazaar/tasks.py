from celery import shared_task

from bazaar.models import Article


@shared_task
def count() -> None:
    """Is asked for by an upload."""
    Article.objects.create(kind="counted")


@shared_task
def restock() -> None:
    """Comes from beat."""
    Article.objects.create(kind="restocked")
