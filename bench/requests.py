"""A request that is measured, as bytes: the same ones for all that are compared."""

from __future__ import annotations

from dataclasses import dataclass

SEED = 20_240_120
"""The same requests in the same order for all that are compared."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, without what differs between targets."""

    method: str
    path: str
    body: bytes = b""
    media_type: str = "application/json"

    def sent(self, key: str) -> bytes:
        """Return it as HTTP/1.1; the floor gets the same bytes as the service, key included."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        if self.body:
            head += f"Content-Type: {self.media_type}\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode() + b"\r\n" + self.body
