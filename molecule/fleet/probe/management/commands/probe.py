import itertools
import json
import random
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from probe.models import Item, Tick, Work
from probe.tasks import work

# Ticks of two schedulers that are nearer than that: one scheduler sends every second, or catches up after a stall.
DOUBLE_SECONDS = 0.5


class Command(BaseCommand):
    help = "Send tasks, and tell what became of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=["enqueue", "report"])
        parser.add_argument("--batch", default="a", help="first part of the keys of the tasks")
        parser.add_argument("--number", type=int, default=0, help="how many tasks to send, or to expect")
        parser.add_argument("--since", type=float, default=0, help="only ticks that were sent after this time")

    def handle(self, *_args: object, **options: Any) -> None:
        if options["verb"] == "enqueue":
            rest = random.Random(options["batch"])
            for number in range(options["number"]):
                # Between 0.1 and 20 seconds, most of them short.
                work.delay(f"{options['batch']}-{number}", round(0.1 + 19.9 * rest.random() ** 6, 2))
            return
        counts = [
            Work.objects.filter(key=f"{options['batch']}-{number}").values_list("count", flat=True).first() or 0
            for number in range(options["number"])
        ]
        self.stdout.write(
            json.dumps(
                {
                    "done_once": counts.count(1),
                    "doubled": len([count for count in counts if count > 1]),
                    "missing": counts.count(0),
                    "items": Item.objects.count(),
                    **ticks(options["since"]),
                }
            )
        )


def ticks(since: float) -> dict[str, Any]:
    found = list(Tick.objects.filter(sent__gte=since).order_by("sent").values_list("sent", "task", "scheduler"))
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(found)]
    tasks = {task for _sent, task, _scheduler in found}
    # A scheduler that begins when another one has not ended shows as a run that comes twice.
    runs = [scheduler for scheduler, _group in itertools.groupby(scheduler for _sent, _task, scheduler in found)]
    near = [one for one, two in itertools.pairwise(found) if two[2] != one[2] and two[0] - one[0] < DOUBLE_SECONDS]
    return {
        "ticks": len(tasks),
        "doubled_ticks": len(found) - len(tasks) + len(near),
        "longest_gap_seconds": round(max(gaps, default=0), 2),
        "schedulers": len(set(runs)),
        "schedulers_overlap": len(runs) > len(set(runs)),
    }
