"""Releases over a fleet, decided from observations."""

from __future__ import annotations

import pytest
from ansible_collections.broadcast.stack.plugins.plugin_utils.releases import (
    failure,
    history,
    leftovers,
    next_release,
    planning,
)

SLOTS = ["blue", "green", "amber"]


def record(number, slot, **fields):
    return {
        "number": number,
        "origin": number,
        "kind": "release",
        "slot": slot,
        "image": f"shop/django:{number}",
        "started_at": f"2026-11-24T10:00:{number:02d}Z",
        "result": "succeeded",
        **fields,
    }


def container(slot="", number=0, role="django_web", status="running", exclusive=False, **others):
    return {
        "stack": "shop",
        "role": role,
        "slot": slot,
        "release": number,
        "status": status,
        "exclusive": exclusive,
        "image": f"shop/django:{number}",
        "image_id": f"sha256:{number}",
        **others,
    }


def host(current=None, journal=(), containers=None):
    return {"release": {"current": current, "journal": list(journal)}, "containers": containers or {}, "images": {}}


def plan(*reasons):
    return [{"release": list(reasons)}]


def test_the_first_release_takes_the_first_slot():
    found = next_release.decide(SLOTS, {"a": host()}, {"a": plan()}, "shop")
    assert (found["due"], found["number"], found["origin"], found["slot"]) == (True, 1, 1, "blue")
    assert found["previous"] is None


def test_numbers_go_on_after_the_records_were_lost():
    containers = {f"shop-web-{slot}": container(slot, number) for slot, number in zip(SLOTS, (41, 40, 39), strict=True)}
    found = next_release.decide(SLOTS, {"a": host(containers=containers)}, {"a": plan()}, "shop")
    assert (found["number"], found["origin"], found["slot"]) == (42, 42, "amber")
    assert found["reasons"] == {"a": ["has containers of release 41 and no record of it"]}
    # The attempt is taken up again in its slot.
    containers["shop-web-amber"] = container("amber", 42)
    attempted = host(containers=containers, journal=[record(42, "amber", result="failed")])
    found = next_release.decide(SLOTS, {"a": attempted}, {"a": plan()}, "shop")
    assert (found["number"], found["slot"]) == (42, "amber")


def test_a_first_release_that_was_interrupted_stays_the_first():
    attempted = host(containers={"shop-web-blue": container("blue", 1)}, journal=[record(1, "blue", result="running")])
    found = next_release.decide(SLOTS, {"a": attempted}, {"a": plan()}, "shop")
    assert (found["number"], found["slot"]) == (1, "blue")


def test_nothing_is_released_when_nothing_differs():
    found = next_release.decide(SLOTS, {"a": host(record(4, "green"))}, {"a": plan()}, "shop")
    assert (found["due"], found["number"], found["slot"]) == (False, 4, "green")


def test_without_slots_there_is_no_release():
    found = next_release.decide([], {"a": host()}, {"a": plan("a difference")}, "shop")
    assert (found["due"], found["slot"], found["origin"]) == (False, "", 0)


def test_hosts_whose_application_was_not_planned_release_nothing():
    """`--tags postgres` plans no application."""
    assert next_release.decide(SLOTS, {"a": host()}, {"a": []}, "shop")["due"] is False


def test_a_difference_on_one_host_releases_on_all_into_an_empty_slot():
    observations = {
        "a": host(record(1, "blue"), containers={"shop-web-blue": container("blue", 1)}),
        "b": host(record(1, "blue"), containers={"shop-web-blue": container("blue", 1)}),
    }
    found = next_release.decide(SLOTS, observations, {"a": plan(), "b": plan("image 2 instead of 1")}, "shop")
    assert (found["due"], found["number"], found["slot"]) == (True, 2, "green")
    assert found["reasons"] == {"b": ["image 2 instead of 1"]}


def test_an_interrupted_release_is_taken_up_in_its_slot():
    containers = {"shop-web-blue": container("blue", 3), "shop-web-amber": container("amber", 4)}
    found = next_release.decide(SLOTS, {"a": host(record(3, "blue"), containers=containers)}, {"a": plan("x")}, "shop")
    assert (found["number"], found["slot"]) == (4, "amber")


def test_a_full_set_of_slots_gives_up_the_oldest_release():
    containers = {f"shop-web-{slot}": container(slot, number) for slot, number in zip(SLOTS, (6, 4, 5), strict=True)}
    found = next_release.decide(SLOTS, {"a": host(record(6, "blue"), containers=containers)}, {"a": plan("x")}, "shop")
    assert found["slot"] == "green"


def test_one_slot_is_too_few():
    with pytest.raises(next_release.ReleaseError, match="stack_release_slots"):
        next_release.decide(["blue"], {"a": host(record(1, "blue"))}, {"a": plan("x")}, "shop")


def test_the_newest_record_of_any_host_is_the_live_one():
    """The edges switched before the first of them was written."""
    observations = {"a": host(record(7, "green")), "b": host(record(6, "blue")), "c": host()}
    assert history.live_record(observations)["number"] == 7


def test_a_finished_record_wins_over_one_that_a_host_has_as_running():
    observations = {
        "a": host(journal=[record(2, "green", result="running")]),
        "b": host(journal=[record(1, "blue"), record(2, "green", result="failed")]),
    }
    assert [entry["result"] for entry in history.journal(observations)] == ["succeeded", "failed"]


@pytest.fixture
def kept():
    journal = [record(1, "blue"), record(2, "green"), record(3, "amber"), record(4, "blue")]
    containers = {
        "shop-web-blue": container("blue", 4),
        "shop-web-green": container("green", 2, status="exited"),
        "shop-web-amber": container("amber", 3, status="exited"),
    }
    return {name: host(journal[-1], journal, containers) for name in ("a", "b")}


def test_a_rollback_goes_to_the_release_before(kept):
    found = next_release.rollback(SLOTS, kept, "shop", ["a", "b"])
    assert (found["slot"], found["origin"], found["number"], found["target"]["number"]) == ("amber", 3, 5, 3)
    assert found["due"] is True


def test_a_rollback_goes_to_the_release_that_is_named(kept):
    assert next_release.rollback(SLOTS, kept, "shop", ["a", "b"], 2)["slot"] == "green"


@pytest.mark.parametrize(("wanted", "message"), [(1, "kept are: 2 .*, 3"), (4, "live already"), (9, "not kept")])
def test_a_rollback_to_what_is_not_there_is_refused(kept, wanted, message):
    with pytest.raises(next_release.ReleaseError, match=message):
        next_release.rollback(SLOTS, kept, "shop", ["a", "b"], wanted)


def test_a_release_that_one_host_lacks_is_not_gone_back_to(kept):
    del kept["b"]["containers"]["shop-web-amber"]
    assert next_release.rollback(SLOTS, kept, "shop", ["a", "b"])["origin"] == 2


def test_a_second_rollback_goes_further_back_and_not_to_and_fro(kept):
    live = record(5, "amber", kind="rollback", origin=3)
    for observation in kept.values():
        observation["release"]["current"] = live
        observation["release"]["journal"].append(live)
    assert next_release.rollback(SLOTS, kept, "shop", ["a", "b"])["origin"] == 2


def test_without_a_release_there_is_no_rollback():
    with pytest.raises(next_release.ReleaseError, match="nothing was released"):
        next_release.rollback(SLOTS, {"a": host()}, "shop", ["a"])


def test_what_runs_in_other_slots_is_stopped_and_what_has_none_is_removed():
    observation = host(
        containers={
            "shop-web-blue": container("blue", 1),
            "shop-web-green": container("green", 2),
            "shop-web-amber": container("amber", 0, status="exited"),
            "shop-web": container(),
            "shop-mail-blue": container("blue", 1, exclusive=True),
            "shop-worker-blue": container("blue", 1, role="celery_worker"),
        }
    )
    found = leftovers.retired(observation, "shop", ["django_web"], "green")
    assert found == {"stop": ["shop-mail-blue", "shop-web-blue"], "remove": ["shop-web"]}
    both = leftovers.retired(observation, "shop", ["django_web", "celery_worker"], "green")
    assert both["stop"] == ["shop-mail-blue", "shop-web-blue", "shop-worker-blue"]
    exclusive = leftovers.retired(observation, "shop", ["django_web"], "green", exclusive=True)
    assert exclusive["stop"] == ["shop-mail-blue"]


def test_what_finishes_by_itself_is_left_alone_and_holds_up_a_release_in_its_slot():
    observation = host(
        containers={
            "shop-web-blue": container("blue", 1, draining="2026-11-24T12:05:00Z"),
            "shop-worker-blue": container("blue", 1, role="celery_worker", draining="2026-11-24T13:00:00Z"),
            "shop-web-green": container("green", 2, draining=""),
        }
    )
    assert leftovers.retired(observation, "shop", ["django_web"], "green") == {"stop": [], "remove": []}
    waited = leftovers.retired(observation, "shop", ["django_web"], "green", draining=True)
    assert waited == {"stop": ["shop-web-blue"], "remove": []}
    assert leftovers.draining(observation, "shop", "blue") == {
        "shop-web-blue": "slot blue is that of this release, and shop-web-blue may finish there until "
        "2026-11-24T12:05:00Z",
        "shop-worker-blue": "slot blue is that of this release, and shop-worker-blue may finish there until "
        "2026-11-24T13:00:00Z",
    }
    assert leftovers.draining(observation, "shop", "green") == leftovers.draining(observation, "shop", "") == {}


def test_a_failed_release_leaves_only_what_is_in_its_slot():
    observation = host(containers={"shop-web-blue": container("blue", 1), "shop-web-green": container("green", 2)})
    assert leftovers.discarded(observation, "shop", ["django_web"], "green") == ["shop-web-green"]


def test_images_of_kept_containers_and_wanted_ones_stay():
    observation = host(containers={"shop-web-blue": container("blue", 1)})
    observation["images"] = {
        "shop/django:1": {"id": "sha256:1"},
        "shop/django:0": {"id": "sha256:0"},
        "shop/nginx:5": {"id": "sha256:5"},
        "other/django:0": {"id": "sha256:0"},
    }
    assert leftovers.stale_images(observation, "shop", ["shop/nginx:5"]) == ["shop/django:0"]


def test_builds_of_a_ready_image_that_no_kept_release_uses_are_removed_as_well():
    repository = "registry.example.org:5000/acme/web"
    observation = host(containers={"shop-web-blue": {**container("blue", 2), "image": repository + ":2"}})
    observation["images"] = {
        repository + ":1": {"id": "sha256:1"},
        repository + "@sha256:aa": {"id": "sha256:1"},
        repository + ":2": {"id": "sha256:2"},
        repository + "@sha256:bb": {"id": "sha256:2"},
        repository + ":3": {"id": "sha256:3"},
        repository + "@sha256:cc": {"id": "sha256:3"},
        repository + "@sha256:dd": {"id": "sha256:4"},
        "registry.example.org:5000/acme/website:1": {"id": "sha256:9"},
        "registry.example.org:5000/acme/website@sha256:ee": {"id": "sha256:8"},
    }
    wanted = ["docker.io/shop/nginx:5", repository + ":3@sha256:cc"]
    # An image that is pulled has a digest beside its tag and goes with it; one without a tag goes by its id.
    assert leftovers.stale_images(observation, "shop", wanted) == [repository + ":1", "sha256:4"]


def test_a_plan_names_host_role_container_and_reason():
    plans = {
        "a": {
            "postgres": {
                "steps": [],
                "changes": [{"name": "shop-db", "action": "replace", "stateful": True, "reasons": ["memory"]}],
            },
            "images": {"steps": ["deliver shop/django:2"], "changes": []},
        }
    }
    first, second = planning.summary(plans)
    assert first.startswith("a: postgres: replace shop-db (holds data")
    assert second == "a: images: deliver shop/django:2"


def test_roles_without_work_are_left_out_unless_what_all_stand_on_changes():
    nothing, due = {"due": False}, {"due": True}
    roles = {
        "docker_host": {"a": nothing, "b": nothing},
        "certificates": {"a": nothing, "b": nothing},
        "redis": {"a": nothing},
        "gateway": {"a": nothing, "b": due},
    }
    assert planning.due_roles(roles) == ["gateway"]
    roles["certificates"]["a"] = due
    assert planning.due_roles(roles) == list(roles)
    assert planning.due_roles({}) == []


DROPPED = {"app": "shop", "name": "0002_drop", "breaking": ["drops column shop_item.colour"], "declared": []}


def test_a_rollback_past_a_migration_that_took_something_away_is_refused(kept):
    for observation in kept.values():
        observation["release"]["journal"][-1]["migrations"] = {"applied": [DROPPED], "heads": {}}
    with pytest.raises(next_release.ReleaseError, match=r"Release 4 applied shop\.0002_drop, which drops column"):
        next_release.rollback(SLOTS, kept, "shop", ["a", "b"])


@pytest.mark.parametrize("wanted", ["0", "4"])
def test_a_switch_that_was_interrupted_is_gone_back_from(kept, wanted):
    """Release 5 is served from green, but its run was killed before it became the live one."""
    for observation in kept.values():
        observation["containers"]["shop-web-green"] = container("green", 5)
        observation["links"] = {"/opt/shop/containers/shop-nginx/slot/current": "green"}
    found = next_release.rollback(SLOTS, kept, "shop", ["a", "b"], wanted)
    assert (found["slot"], found["origin"], found["number"]) == ("blue", 4, 5)
    assert next_release.rollback(SLOTS, kept, "shop", ["a", "b"], "3")["slot"] == "amber"


def test_a_rollback_that_was_killed_is_finished_by_the_same_command(kept):
    """The edges serve release 3 already; so does one that was away when release 4 came."""
    for observation in kept.values():
        observation["links"] = {"/opt/shop/containers/shop-nginx/slot/current": "amber"}
    assert next_release.rollback(SLOTS, kept, "shop", ["a", "b"])["origin"] == 3
    with pytest.raises(next_release.ReleaseError, match="live already"):
        next_release.rollback(SLOTS, kept, "shop", ["a", "b"], "4")


@pytest.mark.parametrize("wanted", ["v3", "2026.11.1", "-1", ""])
def test_what_is_no_number_is_not_taken_for_the_release_before(kept, wanted):
    with pytest.raises(next_release.ReleaseError, match="not the number of a release"):
        next_release.rollback(SLOTS, kept, "shop", ["a", "b"], wanted)


def test_hosts_that_do_not_know_the_live_release_learn_it():
    """One joined, one was away during the release; and a run was killed when the release had become live."""
    live = record(4, "green")
    observations = {"a": host(live), "b": host(record(3, "blue")), "c": host()}
    found = next_release.decide(SLOTS, observations, dict.fromkeys(observations, plan()), "shop")
    assert (found["due"], found["unrecorded"]) == (False, ["b", "c"])
    assert planning.recorded(found) == ["b, c: release: record that release 4 is live"]
    ended = {name: host(live) for name in observations}
    assert next_release.decide(SLOTS, ended, dict.fromkeys(ended, plan()), "shop")["unrecorded"] == []
    running = {name: host(record(4, "green", result="running")) for name in observations}
    assert next_release.decide(SLOTS, running, dict.fromkeys(running, plan()), "shop")["unrecorded"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "whole"),
    [
        (["all"], [], True),
        (["all"], ["backups"], True),
        (["celery_worker"], [], False),
        (["images", "django_web", "celery_worker", "nginx_tls"], [], False),
        (["all"], ["nginx_tls"], False),
    ],
)
def test_a_release_is_made_as_a_whole(run_tags, skip_tags, whole):
    assert (next_release.tags_problem(run_tags, skip_tags) == "") is whole


@pytest.mark.parametrize(
    ("told", "absent", "expected"),
    [
        ({"a": None, "b": None}, [], []),
        ({"a": "no space left", "b": "failed on another host"}, [], ["a: no space left"]),
        ({"a": "failed on another host", "b": None}, [], ["b: could not be reached any more"]),
        ({"a": "failed on another host", "b": None, "c": None}, ["c"], ["b: could not be reached any more"]),
        ({"a": None, "b": "sick"}, [], ["b: sick", "a: could not be reached any more"]),
    ],
)
def test_the_cause_of_a_failure_is_told_by_host(told, absent, expected):
    assert failure.failures(told, absent) == expected


def test_edges_that_were_not_seen_to_go_back_are_astray_once_the_switch_may_have_begun():
    assert failure.astray(["one", "two"], ["one"], True) == ["two"]
    assert failure.astray(["one", "two"], ["one"], True, absent=["two"]) == []
    assert failure.astray(["one", "two"], [], False) == []


def test_what_is_said_after_a_failure_is_what_was_seen():
    decision = {"due": True, "previous": {"number": 9}, "number": 10}
    well = failure.undone(decision, ["a: sick."], ["one", "two"], [])
    assert well == "The release failed; release 9 serves on all hosts as before. a: sick."
    lost = failure.undone(decision, ["two: could not be reached any more"], ["one"], ["two"])
    assert "Release 9 serves again at one. two could not be told and may serve release 10" in lost
    assert "on all hosts" not in lost
    assert lost.endswith("two: could not be reached any more.")
    assert "nothing that serves was stopped" in failure.undone({**decision, "previous": None}, ["a: sick"], [], [])


def away(number, *containers):
    """A host that knows this release as the live one, and runs these: (name, role, slot, release, status)."""
    keys = ("role", "slot", "release", "status")
    found = {name: {"stack": "shop", **dict(zip(keys, values, strict=True))} for name, *values in containers}
    return {"containers": found, "release": {"current": record(number, "blue") if number else None}}


def test_what_a_host_that_was_away_still_runs_of_an_older_release_is_stopped():
    live = record(3, "green")
    old = [
        ("shop-web-blue", "django_web", "blue", 2, "running"),
        ("shop-listener-blue", "django_web", "blue", 2, "running"),
        ("shop-beat-blue", "celery_worker", "blue", 2, "running"),
        ("shop-worker-default-blue", "celery_worker", "blue", 2, "restarting"),
        ("shop-worker-default-amber", "celery_worker", "amber", 1, "exited"),
        ("shop-worker-default-green", "celery_worker", "green", 3, "running"),
    ]
    stopped = ["shop-beat-blue", "shop-listener-blue", "shop-worker-default-blue"]
    assert leftovers.outdated(away(2, *old), "shop", live, "shop-web") == stopped
    # One that knows the live release lets older workers finish in its own time; nothing is known before the first.
    assert leftovers.outdated(away(3, *old), "shop", live, "shop-web") == []
    assert leftovers.outdated(away(0, *old), "shop", live, "shop-web") == []
    assert leftovers.outdated(away(2, *old), "shop", None, "shop-web") == []
    assert leftovers.outdated(away(2, *old), "other", live, "shop-web") == []


def test_a_host_that_was_left_out_is_fenced_until_it_is_seen_again():
    live = record(3, "green", left_out=["w1", "w2"])
    assert history.fenced(live, {"w2": away(2)}) == ["w1"]
    # Records of the version before know nothing of it.
    assert history.fenced({key: live[key] for key in live if key != "left_out"}, {}) == []
    assert history.fenced(None, {}) == []
