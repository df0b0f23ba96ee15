"""What is published of a frame: all of it, or, when it is too long, enough to name it."""

from __future__ import annotations

import base64
import hashlib
import json

from bronze.venues.protocol import OVERSIZE
from lakehouse.settings import CollectorSettings


def framed(channel: str, payload: bytes, settings: CollectorSettings) -> tuple[str, bytes]:
    """The channel and bytes under which a frame goes on.

    Args:
        channel: the one it belongs to.
        payload: its bytes.
        settings: from which length on it is too long.
    """
    if len(payload) <= settings.oversize_bytes:
        return channel, payload
    return OVERSIZE, oversize_marker(payload, settings.oversize_head_bytes)


def oversize_marker(payload: bytes, head_bytes: int) -> bytes:
    """What is published of a message that is too long: its head, length and sha256."""
    return json.dumps(
        {
            "length": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
            "head_base64": base64.b64encode(payload[:head_bytes]).decode(),
        }
    ).encode()
