"""`raftkv completion`: the shells' scripts, and what they complete that click cannot know.

Owns: the command, and the completion of `raftkv serve`, whose flags are data. Must never do: know
the verbs of `raftkv ctl`: click has them.
"""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from raftkv.cli.flags import FLAGS, flag_named
from raftkv.cli.settings import CONFIG_FILE

SHELLS = ("bash", "zsh", "fish")
_PATHS = ("-file", "-dir")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes `raftkv` in SHELL: source it, or put it where docs/deploy.md
    says."""
    click.echo(script_for(shell, click.get_current_context().find_root().command))


def script_for(shell: str, root: click.Command) -> str:
    found = get_completion_class(shell)
    assert found is not None, f"click has no completion for {shell}"
    return found(root, {}, "raftkv", "_RAFTKV_COMPLETE").source()


class FlagCommand(click.Command):
    """A command that takes etcd's flags as they are, and completes their names."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        flags = (*FLAGS, CONFIG_FILE)
        named = [CompletionItem(f"--{flag.name}", help=flag.help) for flag in flags]
        return [item for item in named if item.value.startswith(incomplete)]


def complete_value(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What may follow a flag: a path, where its name says so, or true and false."""
    words = ctx.params.get(parameter.name or "") or ("",)
    flag = flag_named(words[-1].lstrip("-"))
    if words[-1].lstrip("-") == CONFIG_FILE.name or (flag and flag.name.endswith(_PATHS)):
        return [CompletionItem(incomplete, type="file")]
    return []
