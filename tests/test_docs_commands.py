"""The manual's commands: each exists with its options, and those that need no router say what the page says.

In a ```sh block a command ends with status 0, unless a comment says `# status 1`. A ```csv block is a file of the name
beside it. The ```text block after an ```sh block is what the commands print; times and widths of columns may differ.
"""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from records import HOUR, NOON, ONE, call_in, call_out, leg, talked

from sipacr.cli import main
from sipacr.memory.report import NotTried
from sipacr.routing.facts import Number
from sipacr.routing.numbers import NumberPlan
from sipacr.rulefile.golden import BindingShape, CallShape, ExpectShape, GivenShape
from sipacr.rulefile.schema import rules_schema, settings_schema
from sipacr.store import Database, records

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
BLOCK = re.compile(r"^```(sh|csv|ini) ?(\S*)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:sudo -u sipacr )?sipacr [^`]+)`")
# They need a router, or the folders of a machine where it is installed.
ELSEWHERE = {"run", "reload", "status", "calls", "hangup", "bans", "probe", "init", "certs"}
IN_THE_EXAMPLE = ("data.md", "golden-calls.md", "learning.md", "numbers.md", "records.md")


def commands(text: str) -> Iterator[tuple[list[str], int]]:
    """The words of each sipacr command in a script, and its exit status."""
    for line in text.splitlines():
        said = re.search(r"# status (\d)$", line)
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words[:3] == ["sudo", "-u", "sipacr"]:
            words = words[3:]
        if words and Path(words[0]).name == "sipacr":
            yield words[1:], int(said[1]) if said else 0


def written() -> dict[str, list[str]]:
    """All commands of each page, in blocks, within lines and in the unit of the service."""
    found: dict[str, list[str]] = {}
    for name, text in PAGES.items():
        blocks = [match[3] for match in BLOCK.finditer(text) if match[1] == "sh"]
        units = re.findall(r"^Exec\w+=(.*)$", text, re.MULTILINE)
        found[name] = [*"".join(blocks).splitlines(), *INLINE.findall(text), *units]
    return found


def parse(words: list[str]) -> list[str]:
    """The names of the command and its group, its options and arguments read by click. Raises `UsageError`."""
    context = main.make_context("sipacr", list(words))
    names: list[str] = []
    command: click.Command = main
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest and names:  # a group by itself, as in "`sipacr vip` keeps the table"
            break
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        names.append(name)
        if isinstance(found, click.Group) and not rest:
            break
        command, context = found, found.make_context(name, rest, parent=context)
    return names


@pytest.mark.parametrize("name", PAGES)
def test_commands_exist_with_their_options(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words, _ in commands("\n".join(written()[name])):
        if "import" in words[:3]:
            continue  # opens its file: tried below
        try:
            parse(words)
        except click.UsageError as error:
            if error.ctx is not None and words == error.ctx.command_path.split()[1:]:
                continue  # only the name of a command within a line
            pytest.fail(f"{name}: sipacr {shlex.join(words)}: {error.format_message()}")


def test_every_command_is_in_the_manual() -> None:
    shown = [words for lines in written().values() for words, _ in commands("\n".join(lines))]
    named = {tuple((words[2:] if words[0] == "-c" else words)[:length]) for words in shown for length in (1, 2)}
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        below = list(command.commands) if isinstance(command, click.Group) else []
        missing = [words for words in [(name,), *((name, sub) for sub in below)] if words not in named]
        assert missing == [], "no page has these commands"


@pytest.mark.parametrize("name", IN_THE_EXAMPLE)
def test_commands_say_what_the_page_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init", "."]).exit_code == 0
    rules = tmp_path / "rules" / "data.yaml"
    rules.write_text("lists: {contract: {}}\n")
    if name == "records.md":
        keep_calls(tmp_path / "sipacr.db")
    ran = 0
    for kind, file, text, said in (match.groups() for match in BLOCK.finditer(PAGES[name])):
        if kind == "csv":
            (tmp_path / file).write_text(text, encoding="utf-8")
        if kind != "sh":
            continue
        printed = ""
        for words, status in commands(text):
            assert words[0] not in ELSEWHERE
            result = CliRunner().invoke(main, words)
            assert result.exit_code == status, (words, result.output)
            printed += result.output
            ran += 1
        if said is not None:
            assert same(printed) == same(said)
    assert ran


def keep_calls(path: Path) -> None:
    """The two calls of which the page on records tells: anna's campaign call, and the customer's answer to it."""
    at = NOON + HOUR
    legs = (
        leg("sticky campaign", "anna", at, 0.5, outcome="busy", code=486, address="101@pbx"),
        leg("group sales", "ivan", at + 1, 65.0, outcome="answered", code=200, address="102@pbx"),
    )
    call_back = call_in(
        "a84b4c76e66710@198.51.100.1;a;1", ONE, at, **talked("ivan", at, ring=6.0), legs=legs,
        not_tried=(NotTried("sticky returning", "returning", "no binding of this caller"),),
        rules=("own person first", "everybody"), position="rules/30-incoming.yaml:40:9", version="5f3a9c21",
        caller=Number("601000111", "601000111", ONE), call_id="a84b4c76e66710@198.51.100.1",
    )  # fmt: skip
    with Database(path) as database, database.transaction() as connection:
        for report in (call_out("3f7a@10.0.0.5;a;1"), call_back):
            records.write(connection, report)


def test_numbers_are_read_as_the_page_says() -> None:
    plan = NumberPlan.of("PL")
    table = PAGES["numbers.md"].partition("| written | read as |")[2].partition("\n\n")[0]
    read = []
    for left, right in re.findall(r"^\| (.*?) \| (.*?) \|$", table, re.MULTILINE):
        said = re.match(r"`(\+\d+)`", right)
        for number in re.findall(r"`(.*?)`", left):
            if not number.startswith("numbers."):
                read.append(number)
                assert plan.read(number).e164 == (said[1] if said else None), number
    assert len(read) > 7


def same(text: str) -> str:
    """Without the day and hour of this run, and without the widths of columns."""
    return re.sub(r" +", " ", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d[+-]\d\d:\d\d", "TIME", text))


def words(schema: Any) -> Iterator[str]:
    """All keys that files of a schema may have, and the words that stand for values."""
    if isinstance(schema, dict):
        if isinstance(properties := schema.get("properties"), dict):
            yield from properties
        yield from (value for value in schema.get("enum", ()) if isinstance(value, str))
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from words(part)


GOLDEN_KEYS = {key for shape in (CallShape, GivenShape, ExpectShape, BindingShape) for key in shape.model_fields}


@pytest.mark.parametrize(
    ("kind", "known", "pages"),
    [
        ("rules", set(words(rules_schema())), set(PAGES) - {"settings.md", "golden-calls.md"}),
        ("settings", set(words(settings_schema())), {"settings.md"}),
        ("golden calls", GOLDEN_KEYS, {"golden-calls.md", "memory.md"}),
    ],
)
def test_every_word_is_in_the_manual(kind: str, known: set[str], pages: set[str]) -> None:
    """In backticks or in an example."""
    text = "\n".join(PAGES[page] for page in sorted(pages))
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(known) > 10
    assert sorted(known - set(re.findall(r"[\w-]+", " ".join(code)))) == [], f"words of {kind} that no page names"


def test_every_exit_status_is_in_the_manual() -> None:
    assert [f"| {status} | " in PAGES["operating.md"] for status in range(5)] == [True] * 4 + [False]


def test_the_unit_of_the_service() -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(next(match[3] for match in BLOCK.finditer(PAGES["operating.md"]) if match[1] == "ini"))
    service = unit["Service"]
    for key, last in (("ExecStart", "run"), ("ExecReload", "reload")):
        words = shlex.split(service[key])
        assert parse(words[1:]) == [last]
    assert service["RestartPreventExitStatus"] == "2"
