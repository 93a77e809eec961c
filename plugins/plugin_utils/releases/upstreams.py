# MIT License (see LICENSE)
"""Where web is reached in each slot."""

from __future__ import annotations


def slot_upstreams(slots, addresses, port):
    """Slot to the list of the one address of web in it, host:port. addresses: slot to address."""
    return {slot: ["%s:%s" % (addresses[slot], port)] for slot in slots}


def fleet_upstreams(slots, hosts, first_port):
    """Slot to web's addresses on all hosts: each publishes the slots at ports of their own, from first_port on."""
    return {slot: ["%s:%d" % (host, int(first_port) + index) for host in hosts] for index, slot in enumerate(slots)}
