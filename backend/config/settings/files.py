from config.env import env

from .core import BASE_DIR, DEBUG

__all__ = ["MEDIA_ROOT", "MEDIA_URL", "STATIC_ROOT", "STATIC_URL", "STORAGES"]

STATIC_URL = "/static/"
STATIC_ROOT = env.text("DJANGO_STATIC_ROOT", str(BASE_DIR / "staticfiles"))
MEDIA_URL = "/media/"
MEDIA_ROOT = env.text("DJANGO_MEDIA_ROOT", "/srv/media")

STATIC_STORAGE = "StaticFilesStorage" if DEBUG else "ManifestStaticFilesStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": f"django.contrib.staticfiles.storage.{STATIC_STORAGE}"},
}
