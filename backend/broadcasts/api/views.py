from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.throttling import ScopedRateThrottle

from broadcasts import selectors, services
from broadcasts.api.serializers import (
    AddedSerializer,
    AudienceSerializer,
    BroadcastSerializer,
    DeliverySerializer,
    NewRecipientSerializer,
    RecipientSerializer,
)
from broadcasts.models import Audience, Broadcast, Delivery, Recipient

MAX_RECIPIENTS_AT_ONCE = 5000


class TokenView(ObtainAuthToken):
    """A token for a user name and a password; send it as `Authorization: Token ...`."""

    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "token"


class AudienceViewSet(viewsets.ModelViewSet):
    queryset = Audience.objects.none()
    serializer_class = AudienceSerializer

    def get_queryset(self) -> QuerySet[Audience]:
        return selectors.audiences()

    @extend_schema(request=NewRecipientSerializer(many=True), responses={201: AddedSerializer}, filters=False)
    @action(detail=True, methods=["post"], pagination_class=None)
    def recipients(self, request: Request, pk: str) -> Response:
        """Add many recipients at once; addresses that the audience already has are left alone."""
        audience = self.get_object()
        if not request.user.has_perm("broadcasts.add_recipient"):
            self.permission_denied(request)
        if not isinstance(request.data, list) or len(request.data) > MAX_RECIPIENTS_AT_ONCE:
            raise ValidationError(f"Expected a list of at most {MAX_RECIPIENTS_AT_ONCE} recipients.")
        serializer = NewRecipientSerializer(data=request.data, many=True)
        serializer.is_valid(raise_exception=True)
        added = services.add_recipients(audience, serializer.validated_data)
        return Response({"added": added}, status=status.HTTP_201_CREATED)


@extend_schema_view(
    list=extend_schema(
        parameters=[OpenApiParameter("audience", OpenApiTypes.INT, description="Of this audience only.")]
    )
)
class RecipientViewSet(viewsets.ModelViewSet):
    queryset = Recipient.objects.order_by("id")
    serializer_class = RecipientSerializer

    def get_queryset(self) -> QuerySet[Recipient]:
        recipients = super().get_queryset()
        audience = self.request.query_params.get("audience")
        if audience is None:
            return recipients
        if not audience.isdecimal():
            raise ValidationError({"audience": ["Expected a number."]})
        return recipients.filter(audience_id=int(audience))


class BroadcastViewSet(
    mixins.CreateModelMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet
):
    queryset = Broadcast.objects.none()
    serializer_class = BroadcastSerializer

    def get_queryset(self) -> QuerySet[Broadcast]:
        return selectors.broadcasts()

    def paginate_queryset(self, queryset: QuerySet[Broadcast]) -> Sequence[Any] | None:
        page = super().paginate_queryset(queryset)
        if page and isinstance(page[0], Broadcast):
            return selectors.attach_progress(page)
        return page

    def get_object(self) -> Broadcast:
        return selectors.attach_progress([super().get_object()])[0]

    def perform_create(self, serializer: BaseSerializer) -> None:
        broadcast = services.create_broadcast(author=self.request.user, **serializer.validated_data)
        serializer.instance = selectors.attach_progress([broadcast])[0]

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop it: what is not sent yet will not be."""
        services.cancel_broadcast(self.get_object().pk)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Try all failed deliveries again."""
        services.retry_failed(self.get_object().pk)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(
        responses=DeliverySerializer(many=True),
        parameters=[OpenApiParameter("state", enum=Delivery.State.values, description="In this state only.")],
    )
    @action(detail=True, methods=["get"])
    def deliveries(self, request: Request, pk: str) -> Response:
        """One record for each recipient."""
        deliveries = self.get_object().deliveries.order_by("id")
        if state := request.query_params.get("state"):
            if state not in Delivery.State.values:
                raise ValidationError({"state": [f"Expected one of: {', '.join(Delivery.State.values)}."]})
            deliveries = deliveries.filter(state=state)
        page = self.paginate_queryset(deliveries)
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)
