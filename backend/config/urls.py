from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from config import health

admin.site.site_header = admin.site.site_title = "Broadcast"

urlpatterns = [
    path("health/", health.live, name="health"),
    path("health/ready/", health.ready, name="health-ready"),
    path("admin/", admin.site.urls),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("api/", include("broadcasts.api.urls")),
    path("", include("broadcasts.urls")),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
