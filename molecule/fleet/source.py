#!/usr/bin/env python3
"""A copy of the reference application with the probe in it: source.py BACKEND TARGET [RELEASE].

The probe tells which release answers, and records which tasks ran how often. Its release is a constant of the source,
so each one is another image that shares all layers but the code's.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
PATCHES = {
    "config/settings/application.py": 'INSTALLED_APPS += ["probe"]\n',
    "config/settings/celery.py": (
        'CELERY_BEAT_SCHEDULE["probe"] = {"task": "probe.tick", "schedule": 1.0, "options": {"queue": "ticks"}}\n'
    ),
    "config/urls.py": (
        'from probe.views import probe\n\nurlpatterns = [path("probe/", probe), *[one for one in urlpatterns]]\n'
    ),
    "config/health.py": (
        "from probe.views import unhealthy\n\n_live = live\n\n\n"
        "def live(request):\n"
        '    return JsonResponse({"status": "unhealthy"}, status=503) if unhealthy() else _live(request)\n'
    ),
}


def make(backend: Path, target: Path, release: str = "one") -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(backend, target, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    shutil.copytree(HERE / "probe", target / "probe", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in PATCHES.items():
        path = target / name
        path.write_text(path.read_text() + "\n" + text)
    (target / "probe" / "release.py").write_text(f'RELEASE = "{release}"\n')
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
