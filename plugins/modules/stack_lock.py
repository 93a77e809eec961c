#!/usr/bin/python
# MIT License (see LICENSE)
"""The host's part of the fleet lock; plugins/action/stack_lock.py keeps its heartbeat."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_lock
short_description: One run at a time, with an owner, a heartbeat and a safe takeover
description:
  - Takes, verifies and releases a lock that lies on a host, so that runs from several controllers exclude each other.
  - An action plugin on the controller renews it every O(ttl)/6 seconds for as long as the C(ansible-playbook) process
    lives, over the connection of the task. A killed run leaves nothing that has to be removed by hand.
  - A lock whose last heartbeat is older than O(ttl) is stale and taken over. Only the clock of the lock's host counts.
  - The lock of a run that was killed on the same controller is taken over at once, since its process is known to be
    gone. One whose heartbeat is overdue, that is older than O(ttl)/3, is watched until it is fresh again or stale.
  - A second V(held) in the same C(ansible-playbook) process keeps the lock of the first.
  - Never reports a change, since a lock is no part of what a run deploys.
options:
  state:
    description:
      - V(held) takes the lock, or fails with the name of who holds it.
      - V(verified) fails when the lock is not O(token)'s any more or its last heartbeat is older than O(ttl), as after
        a laptop has slept, and renews it otherwise. To be used before each step that changes something; it costs one
        shell command.
      - V(released) gives up the lock of O(token) and no other, and ends the heartbeat.
    type: str
    choices: [held, verified, released]
    default: held
  path:
    description: Directory of the lock on the host; created with its parents.
    type: path
    required: true
  token:
    description: What V(held) returned. V(verified) fails without it, except in check mode; V(released) does nothing.
    type: str
    default: ""
  owner:
    description: Who holds the lock. Computed as user@controller by default.
    type: str
    default: ""
  purpose:
    description: What the lock is held for, shown to others.
    type: str
    default: ""
  ttl:
    description: Seconds without a heartbeat after which the lock is stale. The same value is to be used for all states.
    type: int
    default: 30
  wait:
    description: Seconds to wait for another owner; V(0) refuses at once.
    type: int
    default: 0
  process:
    description: The C(ansible-playbook) process; set by the action plugin.
    type: dict
  abandoned:
    description: Token whose owner is known to be gone; set by the action plugin.
    type: str
    default: ""
attributes:
  check_mode:
    description: Takes, renews and releases nothing; V(held) returns who holds the lock.
    support: full
author: The broadcast.stack authors
"""

EXAMPLES = r"""
- name: Take the lock
  broadcast.stack.stack_lock:
    path: /opt/shop/containers/.release/lock
    purpose: release.yml
    wait: 300
  register: stack_lock

- name: Stop unless the lock still is ours
  broadcast.stack.stack_lock:
    state: verified
    path: /opt/shop/containers/.release/lock
    token: "{{ stack_lock.token }}"

- name: Release the lock
  broadcast.stack.stack_lock:
    state: released
    path: /opt/shop/containers/.release/lock
    token: "{{ stack_lock.token }}"
"""

RETURN = r"""
token:
  description: What proves to be the holder; empty in check mode and on failure.
  returned: always
  type: str
owner:
  description: Who holds the lock.
  returned: held, outside check mode
  type: str
acquired_at:
  description: Time of the lock's host.
  returned: held, outside check mode
  type: str
  sample: "2026-11-24T15:12:03Z"
used_epoch:
  description:
    - When another run took or released the lock, or renewed it last, by the clock of the lock's host; 0 when none
      did, or this run held it already.
    - What was observed before that may have changed.
  returned: held, outside check mode
  type: float
taken_over_from:
  description: The former holder, whose heartbeat had ended; null when there was none.
  returned: held
  type: dict
  sample: {owner: anna@laptop, purpose: release.yml, acquired_at: "2026-11-24T15:12:03Z", heartbeat_age: 41.2}
holder:
  description: Who holds the lock instead; null when nobody does.
  returned: held, in check mode or when the lock was refused
  type: dict
released:
  description: Whether the lock was O(token)'s until now.
  returned: released
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.broadcast.stack.plugins.module_utils.lock import Lock, LockError, describe, refusal, span


def held(lock, params):
    """Result of an attempt to take the lock."""
    names = ("owner", "purpose", "ttl", "process", "token", "abandoned")
    record, found = lock.take(**{name: params[name] for name in names})
    if record is None:
        return {"failed": True, "msg": refusal(lock.path, found), "token": "", "holder": found}
    result = {"msg": "Holding the lock %s." % lock.path, "taken_over_from": None, **record}
    if found:
        former = {key: found[key] for key in ("owner", "purpose", "acquired_at", "heartbeat_age")}
        why = "process is gone" if found["token"] == params["abandoned"] else "heartbeat has ended"
        text = "Took the lock %s over from %s, whose %s (the last heartbeat was %s ago)." % (
            lock.path,
            describe(found),
            why,
            span(found["heartbeat_age"]),
        )
        result.update(taken_over_from=former, msg=text, warnings=[text])
    return result


def looked_at(lock):
    """Result of check mode."""
    holder = lock.holder()
    text = refusal(lock.path, holder) if holder and not holder["stale"] else "The lock %s is free." % lock.path
    return {"msg": text, "token": "", "holder": holder, "taken_over_from": None}


def act(params, check_mode):
    """What the module returns."""
    lock = Lock(params["path"])
    if params["state"] == "held":
        return looked_at(lock) if check_mode else held(lock, params)
    if check_mode:
        return {"msg": "Check mode holds no lock.", "token": params["token"], "released": False}
    if params["state"] == "verified":
        lock.verify(params["token"])
        return {"msg": "Still holding the lock %s." % lock.path, "token": params["token"]}
    released = lock.release(params["token"])
    text = "Released the lock %s." if released else "The lock %s was not held by this run."
    return {"msg": text % lock.path, "token": "", "released": released}


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "verified", "released"], "default": "held"},
            "path": {"type": "path", "required": True},
            # The token proves who holds the lock. It opens nothing, so it is no secret.
            "token": {"type": "str", "default": "", "no_log": False},
            "owner": {"type": "str", "default": ""},
            "purpose": {"type": "str", "default": ""},
            "ttl": {"type": "int", "default": 30},
            "wait": {"type": "int", "default": 0},
            "process": {"type": "dict"},
            "abandoned": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        result = act(module.params, module.check_mode)
    except LockError as error:
        module.fail_json(msg=str(error), token="")
    except OSError as error:
        module.fail_json(
            msg="The lock %s cannot be used: %s. The task needs a user who may write there (become) and disk space."
            % (module.params["path"], error),
            token="",
        )
    if result.pop("failed", False):
        module.fail_json(**result)
    for text in result.pop("warnings", []):
        module.warn(text)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
