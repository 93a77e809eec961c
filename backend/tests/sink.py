import asyncio
from collections import Counter
from email import message_from_bytes
from email.message import Message
from typing import Any


class Sink:
    """A mail server's mind: counts what arrives, and refuses what it is told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[Message] = []
        self.received: Counter[str] = Counter()
        self.sessions = 0
        self.refusals: dict[str, list[str]] = {}
        self.delay = 0.0

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        self.sessions += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if answers := self.refusals.get(address):
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.messages.append(message_from_bytes(envelope.content))
        self.received.update(envelope.rcpt_tos)
        await asyncio.sleep(self.delay)
        return "250 OK"
