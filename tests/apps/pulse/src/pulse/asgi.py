"""HTTP by Django, after the first request has woken everything up; WebSockets by hand."""

import asyncio
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pulse.settings")
django_application = get_asgi_application()
waking = asyncio.Lock()
awake = False


async def wake() -> None:
    """What a large model or a cold cache takes."""
    global awake
    async with waking:
        if not awake:
            await asyncio.sleep(float(os.environ.get("PULSE_WAKE_SECONDS", "0")))
            awake = True


async def lifespan(receive, send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def echo(receive, send) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"heard {message.get('text')}"})
        else:
            return


async def application(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await wake()
        await django_application(scope, receive, send)
