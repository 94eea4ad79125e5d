"""Turn a page value into the bytes of one HTML file: template, style, script, data and the policy that guards them.

The policy (CSP) names our style sheet and script by their hashes and blocks everything else: no other script, no
inline style, no connection, no form, no frame. Pictures come from the page itself, or from beside it where the caller
says that they lie there. Same value, same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.values import Json
from reports.texts.glossary import GLOSSARY
from reports.texts.numbers_shown import FILTERS
from reports.texts.visible import visible

STYLE = "page.css"
"""The style sheet of every page."""

SHELL_SCRIPT = "shell.js"
"""What every page does: colours, folds. A page's own script follows it in one element."""


@dataclass(frozen=True, slots=True)
class Page:
    """One HTML file, not yet written out."""

    template: str
    """File name of its template."""
    value: object
    """What the template shows, under the name `page`."""
    script: str
    """File name of its own script."""
    early_blocks: Mapping[str, str] = field(default_factory=dict[str, str])
    """Data that the script needs at once, by element id: text without `<` (base64, or JSON from `json_block`)."""
    late_blocks: Mapping[str, str] = field(default_factory=dict[str, str])
    """Data that it asks for later; stands behind the script, so that a large page is usable before it is read."""
    pictures_beside: bool = False
    """Whether it shows picture files that lie beside it."""
    shards_beside: bool = False
    """Whether its script loads data from scripts that lie beside it."""


def render(page: Page) -> bytes:
    """Return the page as UTF-8.

    Raises:
        jinja2.UndefinedError: the template names what the value does not have.
        ValueError: a data block could end its element.
    """
    style = static_text(STYLE)
    script = f"{static_text(SHELL_SCRIPT)}\n{static_text(page.script)}"
    for name, text in (*page.early_blocks.items(), *page.late_blocks.items()):
        if "<" in text:
            raise ValueError(f"data block {name!r} holds a '<': encode it with packed or json_block")
    html = (
        _environment()
        .get_template(page.template)
        .render(
            page=page.value,
            policy=_policy(page, style, script),
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own files
            early_blocks=page.early_blocks,
            late_blocks=page.late_blocks,
        )
    )
    return html.encode("utf-8")


def _policy(page: Page, style: str, script: str) -> str:
    """Return the Content-Security-Policy of a page with this style sheet and this script."""
    scripts = _hash_source(script)
    if page.shards_beside:
        scripts += " 'strict-dynamic'"  # only what our script asks for: a planted file beside the page is not enough
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {scripts}",
            f"style-src {_hash_source(style)}",
            "img-src data: 'self'" if page.pictures_beside else "img-src data:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def packed(value: Json) -> str:
    """Return a JSON value as base64 of gzip, ASCII, with no time in it: a block that the explorer unpacks."""
    return base64.b64encode(gzip.compress(_json_ascii(value), compresslevel=4, mtime=0)).decode("ascii")


_ESCAPED = re.compile(r"[^\x00-\x7e]")
"""What `json.dumps` escapes and msgspec does not: all beyond ASCII, and its last character."""
_FEW_CHARACTERS = 32
"""Up to so many different ones are replaced one after the other, which is faster where each comes often."""


def _json_ascii(value: Json) -> bytes:
    """Return a JSON value as ASCII, as `json.dumps` writes it: texts are most of a page, and msgspec is faster."""
    try:
        text = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):  # of a lone surrogate, and of a number beyond 64 bits
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    return text if text.isascii() and b"\x7f" not in text else _escaped(text.decode("utf-8")).encode("ascii")


def _escaped(text: str) -> str:
    """Return JSON's text with escapes for what `_ESCAPED` finds."""
    different = set(_ESCAPED.findall(text))
    if len(different) > _FEW_CHARACTERS:
        return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)
    for character in different:
        text = text.replace(character, json.dumps(character)[1:-1])
    return text


def json_block(value: Json) -> str:
    """Return a JSON value as a block's text, in which nothing can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def static_text(name: str) -> str:
    """Return one of our static files."""
    return resources.files("reports").joinpath("static", name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(FILTERS)
    environment.globals["glossary_parts"] = GLOSSARY
    environment.globals["known_terms"] = frozenset(name for part in GLOSSARY for name, _ in part.entries)
    return environment


def _finalize(value: object) -> object:
    """Show what is invisible in every text that a template puts out."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
