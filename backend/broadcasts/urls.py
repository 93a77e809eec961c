from django.urls import path

from broadcasts import views

urlpatterns = [
    path("", views.home, name="home"),
    path("broadcasts/<int:pk>/cancel/", views.act, {"action": "cancel"}, name="cancel"),
    path("broadcasts/<int:pk>/retry/", views.act, {"action": "retry"}, name="retry"),
]
