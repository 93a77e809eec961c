from django.urls import path
from shop import views

urlpatterns = [
    path("", views.greeting),
    path("account", views.account),
    path("slow", views.slow),
    path("releases", views.releases),
    path("up", views.up),
    path("ready", views.ready),
    path("unready", views.unready),
]
