from django.urls import path

from pulse import views

urlpatterns = [
    path("", views.home),
    path("healthz/", views.healthz),
    path("events/", views.events),
    path("beats/", views.beats),
    path("stream/", views.stream),
]
