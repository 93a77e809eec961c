from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from broadcasts import selectors, services
from broadcasts.forms import BroadcastForm
from broadcasts.models import Broadcast

SHOWN = 20


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return compose(request)
    return show(request, BroadcastForm())


@permission_required("broadcasts.add_broadcast", raise_exception=True)
def compose(request: HttpRequest) -> HttpResponse:
    form = BroadcastForm(request.POST)
    if form.is_valid():
        try:
            broadcast = services.create_broadcast(author=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            later = broadcast.scheduled_at > timezone.now()
            messages.success(request, f"“{broadcast.subject}” is {'scheduled' if later else 'on its way'}.")
            return redirect("home")
    return show(request, form, status=422)


@login_required
@require_POST
@permission_required("broadcasts.add_broadcast", raise_exception=True)
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    broadcast = get_object_or_404(Broadcast, pk=pk)
    try:
        {"cancel": services.cancel_broadcast, "retry": services.retry_failed}[action](broadcast.pk)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    return redirect("home")


def show(request: HttpRequest, form: BroadcastForm, status: int = 200) -> HttpResponse:
    can_view = request.user.has_perm("broadcasts.view_broadcast")
    broadcasts = selectors.attach_progress(selectors.broadcasts()[:SHOWN]) if can_view else []
    context = {
        "form": form,
        "broadcasts": broadcasts,
        "blank": Broadcast(),
        "shown": SHOWN,
        "can_view": can_view,
        "can_send": request.user.has_perm("broadcasts.add_broadcast"),
        "time_zone": timezone.get_current_timezone_name(),
    }
    return render(request, "broadcasts/home.html", context, status=status)
