# MIT License (see LICENSE)
"""Forms that single values of the application may have to be in."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.broadcast.stack.plugins.plugin_utils.preflight.trees import shape


def like(pattern: str) -> t.Callable[[t.Any], bool]:
    """A scalar that matches as a whole; compiled by its first use, since most variables keep their empty default."""
    return lambda value: shape(value) == "scalar" and re.fullmatch(pattern, str(value)) is not None


def between(low: float, high: float = float("inf")) -> t.Callable[[t.Any], bool]:
    def valid(value: t.Any) -> bool:
        try:
            return not isinstance(value, bool) and low <= float(value) <= high
        except (TypeError, ValueError):
            return False

    return valid


def is_command(value: t.Any) -> bool:
    """Arguments; the first one, the program, is one word."""
    words = value if isinstance(value, (list, tuple)) else []
    return (
        bool(words)
        and all(shape(word) == "scalar" for word in words)
        and re.fullmatch(r"\S+", str(words[0])) is not None
    )


def is_requirement(value: t.Any) -> bool:
    text = re.sub(r"\s+--hash[= ]\S+", "", str(value)).strip()
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        return re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^]]*\])?\s*($|[@;(<>=!~])", text) is not None
    try:
        return bool(Requirement(text))
    except InvalidRequirement:
        return False


def is_smoke_path(value: t.Any) -> bool:
    one = value if isinstance(value, t.Mapping) else {"path": value}
    statuses = one.get("statuses") or []
    return (
        set(one) <= {"path", "statuses"}
        and re.fullmatch(r"/\S*", str(one.get("path", ""))) is not None
        and isinstance(statuses, list)
        and all(re.fullmatch(r"[1-5]\d\d", str(status)) for status in statuses)
    )


def is_text(value: t.Any) -> bool:
    return value is not None and shape(value) == "scalar"


def is_directives(value: t.Any) -> bool:
    """Directives of nginx: every brace has its partner and nothing is left open at the end."""
    if not isinstance(value, str):
        return False
    code = re.sub(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'|(^|\s)#[^\n]*", " ", value)
    depths = [code[: place.end()].count("{") - code[: place.end()].count("}") for place in re.finditer("[{}]", code)]
    return code.rstrip().endswith((";", "}")) and min(depths, default=0) >= 0 and not (depths and depths[-1])
