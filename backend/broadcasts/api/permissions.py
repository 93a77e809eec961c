from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import DjangoModelPermissions, IsAuthenticated

# The views load this module for their default permissions.
if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class ModelPermissions(DjangoModelPermissions):
    """Django's own permissions, as granted in the admin; reading needs "view"."""

    perms_map = DjangoModelPermissions.perms_map | {
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
    }


class SchemaPermission(IsAuthenticated):
    """The schema names all that there is to try, so outside development it is for those who have an account."""

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        return settings.DEBUG or super().has_permission(request, view)
