from django.urls import path

from bazaar import views

urlpatterns = [
    path("", views.home),
    path("health/", views.health),
    path("articles/", views.articles),
]
