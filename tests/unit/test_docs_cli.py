"""The command line does what docs/cli.md says, and accepts every example."""

import re
import shlex

import pytest
import typer

from calibench import errors
from calibench.cli import app
from pages import PAGES, STUDIES, blocks, sections, text


def leaves(command, words=("calibench",)):
    """Yield every command that does something, with the words that name it."""
    if not hasattr(command, "commands"):
        yield " ".join(words), command
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*words, name))


COMMANDS = dict(leaves(typer.main.get_command(app)))


def options(command):
    given = {name for each in command.params for name in each.opts}
    given |= {name for each in command.params for name in each.secondary_opts}
    return {name for name in given if name.startswith("--")} - {"--help"}


def test_commands_and_sections_are_the_same():
    named = [h.strip("`") for h in sections("cli.md") if h.startswith("`calibench ")]
    assert sorted(named) == sorted(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_of_a_command_is_explained_and_no_other(words):
    section = sections("cli.md")[f"`{words}`"]
    assert set(re.findall(r"`(--[a-z-]+)`", section)) == options(COMMANDS[words])


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_has_an_example(words):
    section = sections("cli.md")[f"`{words}`"]
    assert any(f"{words}" in block for block in blocks(section, ""))


def command_lines():
    for page in PAGES:
        for block in blocks(page.read_text(), r"\w*"):
            yield from re.findall(r"^ *(calibench .*)$", block, flags=re.MULTILINE)
    for path in STUDIES:
        yield from re.findall(
            r"^# +(calibench .*)$", path.read_text(), flags=re.MULTILINE
        )


@pytest.mark.parametrize("line", sorted({*command_lines()}))
def test_command_lines_on_the_pages_are_accepted(line):
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    names = ["calibench"]
    while hasattr(command, "commands") and words and words[0] in command.commands:
        names.append(words.pop(0))
        command = command.commands[names[-1]]
    if words in (["COMMAND", "--help"], ["--install-completion"]):
        return
    assert " ".join(names) in COMMANDS
    command.make_context(names[-1], words)  # raises where an option is not known


def test_exit_codes_are_those_of_the_errors():
    said = {
        int(n) for n in re.findall(r"^\| (\d+) \|", text("cli.md"), flags=re.MULTILINE)
    }
    raised = {
        each.exit_code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.CalibenchError)
    }
    assert said == raised | {0}
