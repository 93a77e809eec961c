from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import DefaultRouter

from broadcasts.api import views
from broadcasts.api.permissions import SchemaPermission

router = DefaultRouter()
router.include_root_view = False
router.register("audiences", views.AudienceViewSet)
router.register("recipients", views.RecipientViewSet)
router.register("broadcasts", views.BroadcastViewSet)

urlpatterns = [
    path("token/", views.TokenView.as_view(), name="token"),
    path("schema/", SpectacularAPIView.as_view(permission_classes=[SchemaPermission]), name="schema"),
    path("", include(router.urls)),
]
