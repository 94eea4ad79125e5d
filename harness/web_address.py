"""Addresses of servers and the keys to them: what may be shown and stored, and what is cut out of replies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast
from urllib.parse import SplitResult, urlsplit, urlunsplit

REMOVED_KEY = "[key removed]"
"""Stands where a key stood."""
_SECRET_NAMES = re.compile(r"key|token|secret|sig|pass|auth", re.IGNORECASE)
"""Names of query parameters that hold secrets."""


def address_of(address: str) -> SplitResult | None:
    """Return the parts of an address with a host; None for what is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts if parts.hostname else None


def joined(address: SplitResult, path: str) -> str:
    """Return the address of one of an API's services; a query, such as an api-version, stays."""
    return urlunsplit(address._replace(path=f"{address.path.rstrip('/')}/{path}", fragment=""))


def shown_url(address: str) -> str:
    """Return an address without the password and the keys in it, for people and for the manifest."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    query = "&".join(part for part in parts.query.split("&") if not _SECRET_NAMES.search(part.partition("=")[0]))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def is_this_machine(address: str) -> bool:
    """Whether an address is one of this machine itself, as far as its name tells."""
    parts = address_of(address)
    host = "" if parts is None else parts.hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def secret_values(address: SplitResult) -> list[str]:
    """Return what may be secret in the query of an address."""
    pairs = [part.partition("=") for part in address.query.split("&")]
    return [value for name, _, value in pairs if _SECRET_NAMES.search(name)]


def removable(secrets: Sequence[str]) -> tuple[str, ...]:
    """Return the keys that are looked for in replies, the longest first.

    Words that a model may write of itself stay: `none`, `EMPTY` and the like stand for a key where none is needed.
    """
    found = {secret for secret in secrets if len(secret) >= 12 or (len(secret) >= 6 and not secret.isalpha())}
    return tuple(sorted(found, key=len, reverse=True))


def without_secrets(value: object, secrets: Sequence[str]) -> object:
    """Return a JSON value with each secret in its texts replaced.

    Raises:
        RecursionError: it nests as deeply as Python's own reader just about takes.
    """
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REMOVED_KEY)
        return value
    if isinstance(value, list):
        return [without_secrets(item, secrets) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {
            cast("str", without_secrets(name, secrets)): without_secrets(item, secrets)
            for name, item in cast("dict[str, object]", value).items()
        }
    return value
