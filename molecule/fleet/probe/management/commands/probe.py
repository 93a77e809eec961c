import json
import random
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Sum

from probe.models import Item, Tick, Work
from probe.tasks import work


class Command(BaseCommand):
    help = "Send tasks, and tell what became of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["enqueue", "report"])
        parser.add_argument("--batch", default="a")
        parser.add_argument("--number", type=int, default=0)

    def handle(self, *_args: object, **options: Any) -> None:
        if options["verb"] == "enqueue":
            rest = random.Random(options["batch"])
            for number in range(options["number"]):
                # Between 0.1 and 20 seconds, most of them short.
                work.delay(f"{options['batch']}-{number}", round(0.1 + 19.9 * rest.random() ** 6, 2))
            return
        done = Work.objects.filter(key__startswith=options["batch"] + "-")
        times = sorted(Tick.objects.values_list("at", flat=True))
        gaps = [(b - a).total_seconds() for a, b in zip(times, times[1:], strict=False)]
        report = {
            "done": done.count(),
            "runs": done.aggregate(total=Sum("count"))["total"] or 0,
            "items": Item.objects.count(),
            "ticks": len(times),
            # Two of them sooner than beat sends them were sent by two.
            "double_ticks": len([gap for gap in gaps if gap < 0.3]),
            "longest_gap": max(gaps, default=0),
        }
        self.stdout.write(json.dumps(report))
