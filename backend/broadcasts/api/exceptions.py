from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import ProtectedError
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler


class ConflictError(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Services raise Django's errors; a client sees those of the API."""
    if isinstance(error, DjangoValidationError):
        details = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
        error = ValidationError({"detail" if key == NON_FIELD_ERRORS else key: value for key, value in details.items()})
    elif isinstance(error, ProtectedError):
        error = ConflictError("It is still in use and cannot be deleted.")
    return exception_handler(error, context)
