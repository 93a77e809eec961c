# MIT License (see LICENSE)
"""
How Ansible was started, as pure functions of plain data: it goes on with an inventory that it could not read, with
settings that somebody else has chosen and with names that match nothing, and ends well.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.names import suggestion
from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.problems import Problem, shown

# Tags that Ansible itself knows.
BUILT_IN_TAGS = frozenset({"all", "always", "never", "tagged", "untagged"})
# What Molecule skips in every run, and when it looks for idempotence.
SKIPPED_BY_TESTS = frozenset({"molecule-notest", "notest", "molecule-idempotence-notest"})


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of Ansible as it is in effect, and where that comes from: default, a file, or "env: NAME"."""

    value: t.Any
    origin: str


class Needed(t.NamedTuple):
    """What a setting must be, and what happens otherwise."""

    value: t.Any
    otherwise: str


NEEDED: dict[str, Needed] = {
    "INJECT_FACTS_AS_VARS": Needed(False, "facts of hosts would win over variables of the inventory"),
    "INVENTORY_ANY_UNPARSED_IS_FAILED": Needed(True, "an inventory that cannot be read would be an empty one"),
    "DUPLICATE_YAML_DICT_KEY": Needed("error", "of a key that is written twice the first would be lost"),
    "HOST_KEY_CHECKING": Needed(True, "secrets would go to whoever answers at a host's address"),
    "DEFAULT_HASH_BEHAVIOUR": Needed("replace", "dictionaries of inventories would be mixed with their defaults"),
    "DEFAULT_STRATEGY": Needed("linear", "hosts would not wait for each other"),
    "DEFAULT_UNDEFINED_VAR_BEHAVIOR": Needed(True, "misspelt variables would go unnoticed"),
    "DEFAULT_KEEP_REMOTE_FILES": Needed(False, "secrets would stay in files on the hosts"),
    "TASK_TIMEOUT": Needed(0, "long tasks would be ended half-way"),
    "TAGS_RUN": Needed([], "parts of the run would be left out"),
    "TAGS_SKIP": Needed([], "parts of the run would be left out"),
    "ALLOW_BROKEN_CONDITIONALS": Needed(False, "conditions that are none would hold"),
}

# Plugins of Ansible: one brings the wiring, the other what inventories say.
WIRING, INVENTORIES = "broadcast.stack.wiring", "host_group_vars"


def settings_problems(settings: t.Mapping[str, Setting], reason: str) -> list[Problem]:
    """
    Settings against those that the playbooks are written for. reason: why the checkout's own ansible.cfg is not in
    effect, as "fault; remedy"; empty when it is.
    """
    wrong = {name: one for name, one in settings.items() if one.value != NEEDED[name].value}
    if reason and any(not one.origin.startswith("env: ") for one in wrong.values()):
        text, _semicolon, remedy = reason.partition("; ")
        return [Problem("ansible.cfg", text, remedy)]
    problems = []
    for name, one in wrong.items():
        where = one.origin.removeprefix("env: ")
        remedy = "unset %s" % where if one.origin.startswith("env: ") else "take it out of %s" % where
        if one.origin == "default":
            remedy = "set it to %r in your ansible.cfg" % (NEEDED[name].value,)
        subject = where if one.origin.startswith("env: ") else name
        problems.append(Problem(subject, NEEDED[name].otherwise, remedy, shown(one.value)))
    return problems


def wiring_problems(plugins: Setting, loaded: bool, reason: str) -> list[Problem]:
    """
    Whether all hosts have the wiring, loaded, and what they say themselves wins over it: Ansible asks the plugins that
    bring variables one after the other. reason: as for settings_problems.
    """
    names = [name.removeprefix("ansible.builtin.") for name in plugins.value]
    last = WIRING in names and INVENTORIES in names[: names.index(WIRING)]
    if loaded and not last:
        return []
    if plugins.origin.startswith("env: "):
        subject = plugins.origin.removeprefix("env: ")
        remedy = "unset %s" % subject
    elif reason:
        text, _semicolon, remedy = reason.partition("; ")
        return [Problem("ansible.cfg", text, remedy)]
    else:
        subject = "vars_plugins_enabled"
        remedy = "write `%s = %s, %s` below [defaults] of your ansible.cfg" % (subject, WIRING, INVENTORIES)
    text = "the wiring of the stack would win over the inventory" if last else "the wiring of the stack was not loaded"
    return [Problem(subject, text, remedy, shown(", ".join(plugins.value)))]


def configuration_reason(
    wanted: str, in_effect: str, folder: str, checkout: str, variable: str, world_writable: bool
) -> str:
    """
    Why the ansible.cfg of the checkout (wanted; empty where there is none) is not the one in effect: "fault; remedy".
    folder: the working directory. variable: ANSIBLE_CONFIG of the environment.
    """
    if not wanted or in_effect == wanted:
        return ""
    if variable:
        return "the environment's ANSIBLE_CONFIG names %s instead of %s; unset ANSIBLE_CONFIG" % (variable, wanted)
    if folder == checkout and world_writable:
        text = "Ansible ignores it, since everybody may write into %s; run `chmod o-w %s`"
        return text % (checkout, checkout)
    text = "is not in effect, since the working directory is %s; go to %s first, or set ANSIBLE_CONFIG=%s"
    return text % (folder, checkout, wanted)


def environment_problems(environment: t.Mapping[str, str], local: t.Collection[str]) -> list[Problem]:
    """
    Variables by which tools on this machine would ask another Engine than our modules, which follow DOCKER_HOST to a
    socket and know no contexts. local: hosts that are it.
    """
    problems = []
    text = "lets some tools ask another Engine than the one where the stack runs on %s"
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if local else ():
        value = environment.get(name, "")
        followed = value.startswith("unix://") if name == "DOCKER_HOST" else value == "default"
        if value and not followed:
            problems.append(Problem(name, text % ", ".join(local), "unset %s" % name, shown(value)))
    return problems


def inventory_problems(
    groups: t.Mapping[str, t.Sequence[str]], known: t.Collection[str], sources: t.Sequence[str]
) -> list[Problem]:
    """An inventory that has nobody in our groups. sources: what -i named."""
    if any(groups.get(name) for name in known):
        return []
    where = ", ".join(sources) or "nothing: give it with -i inventories/<environment>"
    if not groups.get("all"):
        remedy = "name the folder of an environment, with a hosts.yml that lists its hosts"
        return [Problem("inventory", "has no host", remedy, where)]
    found = sorted(name for name, hosts in groups.items() if hosts and name not in ("all", "ungrouped"))
    text = "has no host in a group of the stack" + (", only in %s" % ", ".join(found) if found else "")
    return [Problem("inventory", text, "put its hosts into the groups %s" % ", ".join(known), where)]


def limit_problems(limit: str, unmatched: t.Sequence[str], names: t.Collection[str]) -> list[Problem]:
    """Parts of --limit that name no host and no group."""
    problems = []
    for part in unmatched:
        advice = suggestion(part.lstrip("!&"), names, 0.6) or "known are %s" % ", ".join(sorted(names))
        problems.append(Problem("--limit", "%s matches no host" % part, advice, shown(limit)))
    return problems


def tag_problems(run: t.Sequence[str], skip: t.Sequence[str], known: t.Sequence[str]) -> list[Problem]:
    """Tags that nothing has. known: those that the playbook has for its users."""
    problems = []
    for option, tags in (("--tags", run), ("--skip-tags", skip)):
        for tag in [tag for tag in tags if tag not in SKIPPED_BY_TESTS]:
            if option == "--skip-tags" and tag == "always":
                problems.append(Problem(option, "always would leave the checks out", "take it out", shown(tag)))
            elif not known and tag not in ("all", "never"):
                remedy = "take it out: this playbook does all that it does or nothing"
                problems.append(Problem(option, "would leave parts of the run out", remedy, shown(tag)))
            elif tag not in known and tag not in BUILT_IN_TAGS:
                advice = suggestion(tag, known, 0.6) or "known are %s" % ", ".join(known)
                problems.append(Problem(option, "nothing has this tag", advice, shown(tag)))
    return problems
