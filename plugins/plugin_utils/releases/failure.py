# MIT License (see LICENSE)
"""What became of a release that failed, as people read it."""

from __future__ import annotations

FOLLOWED = "failed on another host"


def failures(told, absent=()):
    """
    Why a release failed, one line per host, causes before what only followed from them; empty when it did not.

    told: host to the message that it failed with, None where a host told nothing. Once another host has failed, that is
    one that was lost. absent: hosts that the run has left out.
    """
    if not any(told.values()):
        return []
    lost = [
        "%s: could not be reached any more" % host for host, text in told.items() if not text and host not in absent
    ]
    causes = ["%s: %s" % (host, text) for host, text in told.items() if text and text != FOLLOWED]
    return causes + lost or [FOLLOWED]


def astray(edges, back, started, absent=()):
    """Edges that may serve a release that failed: they were not seen to go back after the switch may have begun."""
    return [edge for edge in edges if edge not in back and edge not in absent] if started else []


def undone(decision, reasons, back, lost):
    """What became of a release that failed, in sentences. reasons: as failures returns them, lost: as astray does."""
    why = "; ".join(reason.rstrip(".") for reason in reasons)
    previous = decision["previous"]
    if not decision["due"] or not previous:
        return "The run failed; nothing that serves was stopped. %s." % why
    if not lost:
        return "The release failed; release %d serves on all hosts as before. %s." % (previous["number"], why)
    where = "at %s" % ", ".join(back) if back else "at no edge for certain"
    return (
        "The release failed. Release %d serves again %s. %s could not be told and may serve release %d, whose web was "
        "kept for it. Run the same command again when the host can be reached: it goes back there first. %s."
        % (previous["number"], where, ", ".join(lost), decision["number"], why)
    )
