import hashlib
import tempfile

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from bazaar.models import Article
from bazaar.tasks import count


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


def home(request: HttpRequest) -> HttpResponse:
    """A page with a form; whoever sends it uploads a picture."""
    if request.method == "POST":
        # Thumbnails are made beside each other in a folder that no setting moves.
        with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="bazaar-") as thumbnail:
            thumbnail.write(request.FILES["picture"].read(100))
        Article.objects.create(kind="uploaded", picture=request.FILES["picture"])
        count.delay()
        return redirect("/articles/")
    return render(request, "bazaar.html")


def articles(request: HttpRequest) -> JsonResponse:
    cache.set("key", hashlib.sha256(settings.SECRET_KEY.encode()).hexdigest())
    found = Article.objects.order_by("id")
    return JsonResponse(
        {
            "articles": [
                {"kind": article.kind, "picture": article.picture.url if article.picture else ""} for article in found
            ],
            "key": cache.get("key"),
        }
    )
