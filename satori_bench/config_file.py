"""Options from `satori-bench.toml` and from variables: read, checked, and printed with their origin."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.errors import ConfigError, did_you_mean
from reports.terminal.printing import say

VARIABLE_PREFIX = "SATORI_BENCH_"


CONFIG_FILE = Path("satori-bench.toml")


# `scheme://user:password@host`: what stands before the first `@` of an address's host is between us and that host
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]*@")


def long_name(parameter: click.Parameter) -> str:
    """Return the option's long flag as a word, such as `max_new_tokens`: what variables and files call it."""
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return (flags[0][2:] if flags else parameter.name or "").replace("-", "_")


_ORIGINS = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "variable",
    ParameterSource.DEFAULT_MAP: "config file",
    ParameterSource.DEFAULT: "default",
}


def print_config(ctx: click.Context, behind: Mapping[str, str | None]) -> None:
    """Print every option's value and origin, as a table that can be pasted into the configuration file.

    Args:
        ctx: The verb's.
        behind: Whose table gave a parameter that the verb's own does not have.
    """
    from satori_bench.toml_text import toml_value

    say(f"[{_table_name(ctx)}]", sys.stdout)
    for parameter in ctx.command.params:
        if parameter.name not in ctx.params:
            continue
        source = ctx.get_parameter_source(parameter.name)
        origin = _ORIGINS.get(source, "default") if source is not None else "default"
        if source is ParameterSource.DEFAULT_MAP and parameter.name in behind:
            origin += f", [{behind[parameter.name]}]"
        name, value = long_name(parameter), ctx.params[parameter.name]
        text = toml_value(value)
        if value is None:
            say(f"# {name} is not set  # {origin}", sys.stdout)
        elif _is_secret(name, value):
            say(f"# {name} = '…'  # {origin}; not shown", sys.stdout)  # a log must not hold a secret
        elif text is None:
            say(f"# {name} = {value!r}  # {origin}; cannot stand in a file", sys.stdout)
        else:
            say(f"{name} = {text}  # {origin}", sys.stdout)


def _table_name(ctx: click.Context) -> str:
    """Return the name of a verb's table in the configuration file, such as `tasks.verify`."""
    above = ctx.parent
    name = ctx.info_name or ""
    return name if above is None or above.parent is None else f"{_table_name(above)}.{name}"


def _is_secret(name: str, value: object) -> bool:
    """Say whether a value must not be printed: a key, or an address that holds a password."""
    return bool(value) and (name.endswith("_key") or _PASSWORD.search(str(value)) is not None)


def read_config(ctx: click.Context, given: Path | None) -> dict[str, Any]:
    """Read the configuration file: one table per verb, such as `[run]` and `[tasks.verify]`.

    Keys are the long options with underscores.
    """
    if given is None and not CONFIG_FILE.is_file():
        return {}
    import tomllib

    path = given or CONFIG_FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigError(f"cannot read the configuration file {path}: {fault.strerror or fault}") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} is not valid TOML: {fault}") from fault
    group = ctx.command
    assert isinstance(group, click.Group)
    faults = _config_faults(ctx, group, tables)
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return _by_parameter(ctx, group, tables)


def _by_parameter(ctx: click.Context, command: click.Command, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with click's own parameter names in place of the long flags, in the tables below it too."""
    names = {long_name(parameter): parameter.name or "" for parameter in command.params}
    below = command if isinstance(command, click.Group) else None
    found: dict[str, Any] = {}
    for key, value in table.items():
        verb = below.get_command(ctx, key) if below is not None else None
        found[names.get(key, key)] = value if verb is None else _by_parameter(ctx, verb, value)
    alone = {parameter.name for parameter in command.params if _one_is_enough(parameter)}
    return {name: [value] if name in alone and isinstance(value, str) else value for name, value in found.items()}


def _one_is_enough(parameter: click.Parameter) -> bool:
    """Whether a text stands for a list of one."""
    return bool(getattr(parameter.type, "one_is_enough", False))


def _config_faults(ctx: click.Context, group: click.Group, tables: dict[str, Any], above: str = "") -> list[str]:
    """Return every unknown table or key, so that a typo never silently does nothing, and every wrong value.

    `above` is the name of the group's own table with a dot: the verbs of a group have tables such as `[tasks.verify]`.
    """
    faults: list[str] = []
    for verb, table in tables.items():
        command = group.get_command(ctx, verb)
        name = f"{above}{verb}"
        if command is None:
            faults.append(_unknown(ctx, name, table))
        elif not isinstance(table, dict):
            faults.append(f"{name} must be a table")
        elif isinstance(command, click.Group):
            faults += _config_faults(ctx, command, table, f"{name}.")
        else:
            faults += _table_faults(name, command, table)
    return faults


def _unknown(ctx: click.Context, name: str, value: object) -> str:
    """Say that a name of the file stands for no verb, with what may have been meant."""
    group = ctx.command
    assert isinstance(group, click.Group)
    known = _table_names(ctx, group)
    if isinstance(value, dict):
        return f"unknown table [{name}].{did_you_mean(name, known)}"
    above, dot, key = name.rpartition(".")
    where = f"[{above}] " if dot else ""
    example = next(table for table in known if table.startswith(f"{above}{dot}"))
    return f"{where}unknown key {key}: an option stands in the table of its verb, such as [{example}]"


def _table_names(ctx: click.Context, group: click.Group, above: str = "") -> list[str]:
    """Return the names of all verbs' tables, such as `run` and `tasks.verify`."""
    names: list[str] = []
    for verb in group.list_commands(ctx):
        command = group.get_command(ctx, verb)
        below = isinstance(command, click.Group)
        names += _table_names(ctx, command, f"{above}{verb}.") if below else [f"{above}{verb}"]
    return names


def _table_faults(name: str, command: click.Command, table: dict[str, Any]) -> list[str]:
    """Return what is wrong with the table of one verb."""
    from satori_bench.usage_hints import key_hint

    known = {long_name(parameter): parameter for parameter in command.params}
    faults: list[str] = []
    for key, value in table.items():
        if key not in known:
            faults.append(f"[{name}] unknown key {key}.{key_hint(key, list(known))}")
        elif fault := _value_fault(known[key], value):
            faults.append(f"[{name}] {key}: {fault}")
    return faults


def _value_fault(parameter: click.Parameter, value: Any) -> str:
    """Say what is wrong with a value of the file; click alone would read 1.5 and true as the whole number 1."""
    several = parameter.nargs != 1 or (isinstance(parameter, click.Option) and parameter.multiple)
    if _one_is_enough(parameter) and not isinstance(value, list):
        several = False
    if several and not isinstance(value, list):
        return f"a list is needed, found {_shown(parameter, value)}"
    items: list[Any] = value if several else [value]
    for item in items:
        wanted = _wanted(parameter, item)
        if wanted:
            return f"{wanted} is needed, found {_shown(parameter, item)}"
        try:
            if isinstance(parameter.type, click.IntRange | click.FloatRange | click.Choice):
                parameter.type.convert(item, parameter, None)
        except click.BadParameter as fault:
            return fault.message.rstrip(".")
    return ""


def _wanted(parameter: click.Parameter, value: object) -> str:
    """Return what kind of value an option takes; the empty text when the value is of that kind."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(parameter.type, click.types.BoolParamType):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(parameter.type, click.types.IntParamType):
        return "" if whole else "a whole number"
    if isinstance(parameter.type, click.types.FloatParamType):
        return "" if whole or (isinstance(value, float) and math.isfinite(value)) else "a number"
    spelled = isinstance(value, str) or (whole and isinstance(parameter.type, click.types.StringParamType))
    return "" if spelled else "a text"  # a batch size may be a text or a number


def _shown(parameter: click.Parameter, value: object) -> str:
    """Write a value for a person; a log must not hold a secret."""
    if _is_secret(long_name(parameter), value):
        return "'…'"
    return str(value).lower() if isinstance(value, bool) else repr(value)  # true, as the file writes it
