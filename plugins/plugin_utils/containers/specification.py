# MIT License (see LICENSE)
"""What a container's specification may say, and the one form in which everything else reads it: pure functions."""

from __future__ import annotations

import functools
import pathlib

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.broadcast.stack.plugins.module_utils import image_references

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LABEL_PREFIX = "broadcast.stack."
# Hardening that a specification may only relax together with a written reason.
GUARDED = {"read_only": True, "capabilities": [], "pids_limit": None, "init": True}


class SpecificationError(ValueError):
    """A specification that would break the policy or cannot be expressed."""


@functools.cache
def schema() -> dict:
    """Argument specification of container_specs, from the role that documents it."""
    with (ROLES / "container" / "meta" / "argument_specs.yml").open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader=LOADER)["argument_specs"]["specification"]["options"]


def plain(value):
    """A copy without Ansible's lazily templating containers, which the validator's own copy would break."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def in_slot(spec: dict, slot: str) -> dict:
    """The specification of a container in a release slot, which runs beside those of the same service in other slots.

    Its name carries the slot, its own name becomes an alias in its networks, and a network's slot_addresses give its
    fixed address. Without a slot these are dropped.
    """
    networks = []
    for network in spec.get("networks") or []:
        network = dict(network)
        addresses = network.pop("slot_addresses", None) or {}
        if slot:
            if addresses.get(slot):
                network["ipv4_address"] = addresses[slot]
            network["aliases"] = sorted({*(network.get("aliases") or []), spec["name"]})
        networks.append(network)
    name = "%s-%s" % (spec["name"], slot) if slot else spec["name"]
    return {**spec, "name": name, **({"networks": networks} if "networks" in spec else {})}


def validate(specs: list[dict]) -> list[dict]:
    """The specifications with checked keys and converted types."""
    result = ArgumentSpecValidator(schema()).validate({"container_specs": plain(specs)})
    if result.error_messages:
        raise SpecificationError("; ".join(result.error_messages))
    return result.validated_parameters["container_specs"]


def owner(spec: dict, user_override: str) -> tuple[int, int]:
    """Numeric uid and gid of the container's process."""
    return numeric_owner(user_override or spec["user"], "%s: user" % spec["name"])


def check_exceptions(spec: dict) -> None:
    """Every relaxation of the hardening names its reason."""
    reasons = spec.get("exceptions") or {}
    for key, default in GUARDED.items():
        relaxed = key in spec and default is not None and spec[key] != default
        if relaxed and not str(reasons.get(key, "")).strip():
            raise SpecificationError(
                "%s: %s: %r relaxes the hardening; give the reason in exceptions.%s"
                % (spec["name"], key, spec[key], key)
            )
    if spec["user"].split(":")[0] == "0" and not str(reasons.get("user", "")).strip():
        raise SpecificationError(
            "%s: a container never runs as root without a reason in exceptions.user; name its image's own uid in user"
            % spec["name"]
        )
    if not set(spec["name"]) - set("0123456789abcdef"):
        raise SpecificationError(
            "%s: a container name must contain a character outside 0-9a-f, or Docker could take it for a container id"
            % spec["name"]
        )


def compact(value: dict) -> dict:
    """Without unset (None) options: argument specs of nested options hand every known key over."""
    return {key: item for key, item in value.items() if item is not None}


def normalise(spec: dict) -> dict:
    """A specification without unset keys, also inside networks and the health check."""
    result = compact(spec)
    # The spelling that is looked up among the host's images. With a digest docker_container finds no other.
    result["image"] = image_references.canonical(result["image"])
    if "networks" in result:
        result["networks"] = [compact(network) for network in result["networks"]]
    if "healthcheck" in result:
        result["healthcheck"] = compact(result["healthcheck"])
    return result


def numeric_owner(text: str, where: str) -> tuple[int, int]:
    """uid and gid of a text "uid:gid" (or "uid", whose group has the same number)."""
    uid, _sep, gid = str(text).partition(":")
    if not (uid.isdigit() and (gid or uid).isdigit()):
        raise SpecificationError("%s must be numeric uid:gid, since the host has no such names: %r" % (where, text))
    return int(uid), int(gid or uid)


def selected(specs, settings):
    """The validated specifications of a phase, in the slot: exclusive ones, those that run beside others, or all."""
    phase = settings.get("phase", "")
    found = [normalise(spec) for spec in validate(specs)]
    found = [spec for spec in found if not phase or bool(spec.get("exclusive")) == (phase == "exclusive")]
    return [in_slot(spec, settings.get("slot", "")) for spec in found]
