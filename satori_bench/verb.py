"""How verbs read their words: what was meant by a wrong one, which libraries each needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from harness.errors import ExitCode, did_you_mean
from satori_bench.config_file import VARIABLE_PREFIX, long_name, print_config
from satori_bench.shadows import refuse_shadows


class Verb(click.Command):
    """A command whose every option can also come from a variable, and that can tell where each value came from."""

    def __init__(self, *args: Any, behind: str | None = None, taken: Sequence[str] = (), **kwargs: Any) -> None:
        """Make a verb as click does.

        Args:
            args: As click has them.
            behind: A verb whose table of the configuration file holds where the own one has no such key.
            taken: The parameters that are read there.
            kwargs: As click has them.
        """
        super().__init__(*args, **kwargs)
        self.behind = behind
        self.taken = frozenset(taken)
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.envvar is None and parameter.name:
                parameter.envvar = VARIABLE_PREFIX + long_name(parameter).upper()
                parameter.show_envvar = False
        self.params.append(
            click.Option(
                ["--show-config"], is_flag=True, help="Print each value as TOML, with where it came from, then stop."
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; say what words and options that the verb does not have may have meant."""
        ctx.default_map = {**self.values_behind(ctx), **(ctx.default_map or {})}
        given = list(args)
        needless = [one for one in self.params if one.required] if "--show-config" in given else []
        for parameter in needless:
            parameter.required = False  # whoever asks what is set has no need to set it
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            raise _option_fault(ctx, fault) from fault
        except click.UsageError as fault:
            raise _words_fault(ctx, given, fault) from fault
        finally:
            for parameter in needless:
                parameter.required = True

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, or print its configuration."""
        if ctx.params.pop("show_config", False):
            print_config(ctx, dict.fromkeys(self.values_behind(ctx), self.behind))
            return ExitCode.OK
        _check_surroundings(ctx)
        return super().invoke(ctx)

    def values_behind(self, ctx: click.Context) -> dict[str, Any]:
        """Return what another verb's table of the configuration file gives this one, by parameter."""
        if self.behind is None:
            return {}
        tables = ctx.find_root().default_map or {}
        own, others = tables.get(self.name or "", {}), tables.get(self.behind, {})
        return {name: value for name, value in others.items() if name in self.taken and name not in own}


_EXTRA_OF_VERB = {
    "run": "run",
    "watch": "run",
    "train": "train",
    "loop": "train",
    "demo": "train",
    "variance-probe": "train",
}
"""Verbs that need more than the core, and the extra that brings it."""


def _check_surroundings(ctx: click.Context) -> None:
    """Refuse a verb whose libraries are missing, or whose modules another folder shadows."""
    top = ctx
    while top.parent is not None and top.parent.parent is not None:
        top = top.parent
    verb = top.info_name or ""
    if verb == "data" or _EXTRA_OF_VERB.get(verb) == "train":
        refuse_shadows("training")
    if verb in _EXTRA_OF_VERB:
        from harness.installation import require_extra

        require_extra(_EXTRA_OF_VERB[verb], verb)


class Verbs(click.Group):
    """A group of verbs that says what you may have meant."""

    command_class = Verb
    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or name the nearest one."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from satori_bench.usage_hints import VERB_WORDS

            own = did_you_mean(name, self.list_commands(ctx))
            word = VERB_WORDS.get(name.lower()) if ctx.parent is None else None
            ctx.fail(f"No such command {name!r}.{f' Did you mean {word!r}?' if word else own}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the verb; say where one stands that is a verb's."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            raise _option_fault(ctx, fault) from fault


def _option_fault(ctx: click.Context, fault: click.NoSuchOption) -> click.UsageError:
    """Return an unknown option's fault with where it stands or what it is called here, as far as we know."""
    from satori_bench.usage_hints import OPTION_WORDS

    root, here = ctx.find_root(), ctx.command
    flag = fault.option_name
    below = here.commands if isinstance(here, click.Group) else {}
    verb = next((name for name in ("run", *below) if name in below and flag in _flags(below[name])), None)
    if verb is not None:
        return click.UsageError(f"{flag} stands behind its verb: {ctx.command_path} {verb} {flag} …", ctx)
    if here is not root.command and flag in _flags(root.command):
        behind = ctx.command_path.removeprefix(f"{root.command_path} ")
        return click.UsageError(f"{flag} stands before the verb: {root.command_path} {flag} … {behind}", ctx)
    ours = OPTION_WORDS.get(flag, "")
    if ours in _flags(here):
        return click.UsageError(f"No such option {flag!r}: here it is {ours}", ctx)
    return fault


def _flags(command: click.Command) -> set[str]:
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}


def _words_fault(ctx: click.Context, given: list[str], fault: click.UsageError) -> click.UsageError:
    """Return what is wrong with words that the verb does not take; the fault itself where there are none."""
    from satori_bench.usage_hints import KnownOption, extra_words_hint

    try:
        _, extra, _ = ctx.command.make_parser(ctx).parse_args(args=list(given))
    except click.UsageError:
        return fault
    if not extra:
        return fault
    options: dict[str, KnownOption] = {}
    for option in ctx.command.params:
        if isinstance(option, click.Option):
            takes_value = not (option.is_flag or option.count)
            flag = max(option.opts, key=len)
            known = KnownOption(flag, takes_value, option.multiple, option.required)
            options |= dict.fromkeys((*option.opts, *option.secondary_opts), known)
    takes_list = any(isinstance(one, click.Argument) and one.name == "names" for one in ctx.command.params)
    hint = extra_words_hint(given, extra, options, takes_list=takes_list)
    return click.UsageError(f"unexpected word {extra[0]!r}{f': {hint}' if hint else ''}", ctx)
