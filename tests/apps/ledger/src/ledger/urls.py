from django.urls import path

from ledger import views

urlpatterns = [
    path("", views.home),
    path("entries/", views.entries),
    path("books/<int:year>/", views.open_book),
    path("receipts/<slug:name>/", views.receipt),
]
