"""`sipacr regions`: the Russian register as its CSV comes, made into a pack that the router reads; and look-ups."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sipacr.cli import main
from sipacr.routing.regions import read_pack

SETTINGS = """\
listen: {udp: ["127.0.0.1:5060"]}
numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop A}}
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: relay}
destinations: {queue: "600@pbx"}
"""
HEADER = "АВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН\r\n"
MOSCOW = "916;0000000;0999999;1000000;ПАО «МТС»;г. Москва и Московская область;;7740000076\r\n"
LENINGRAD = "921;0000000;0009999;10000;ПАО «МегаФон»;Ленинградская область;;7812014560\r\n"
NOWHERE = "902;0000000;0004999;5000;ООО «Т2 Мобайл»;Атлантида;;7743895280\r\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("sipacr.yaml").write_text(SETTINGS)
    return tmp_path


def sipacr(*words: str, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(main, ["-c", "sipacr.yaml", "regions", *words], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def register(*lines: str) -> str:
    Path("DEF-9xx.csv").write_bytes(("\ufeff" + HEADER + "".join(lines)).encode())
    return "DEF-9xx.csv"


def test_from_the_register_to_a_look_up(folder: Path) -> None:
    before = sipacr("lookup", "+79161234567")
    assert before.stdout == "+79161234567: RU; a guess of the numbering plan\n"
    done = sipacr("import", register(MOSCOW, LENINGRAD), "-o", "russia.csv")
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == (
        "DEF-9xx.csv: 2 ranges, 2 prefixes\n"
        "wrote russia.csv; it counts when sipacr.yaml names it under `regions`, from a reload on\n"
    )
    assert sipacr("lookup", "+79160234567").stdout == before.stdout.replace("+79161234567", "+79160234567")
    Path("sipacr.yaml").write_text(SETTINGS + "regions: [russia.csv]\n")
    assert sipacr("lookup", "+7 916 023-45-67").stdout == (
        "+79160234567 ('+7 916 023-45-67' as a number of PL): RU-MOS (Moscow oblast), RU-MOW (Moscow); "
        "a guess of the numbering plan\n"
    )
    told = json.loads(sipacr("lookup", "+79210001234", "--json").stdout)
    assert (told["number"], told["codes"], told["guess"]) == ("+79210001234", ["RU-LEN"], True)
    assert list(told["names"]) == ["RU-LEN"]


def test_the_pack_goes_to_standard_output_and_the_report_does_not(folder: Path) -> None:
    done = sipacr("import", "-", stdin=(HEADER + LENINGRAD).encode("cp1251"))
    assert done.exit_code == 0
    assert done.stderr == "standard input: 1 ranges, 1 prefixes\n"
    assert done.stdout.startswith("# Made on 20")
    assert done.stdout.endswith("\nprefix,code\n7921000,RU-LEN\n")
    Path("pack.csv").write_text(done.stdout)
    assert read_pack(Path("pack.csv")) == ({"7921000": ("RU-LEN",)}, [])


def test_with_refused_lines_nothing_is_written(folder: Path) -> None:
    Path("russia.csv").write_text("the old one")
    done = sipacr("import", register(MOSCOW, NOWHERE, NOWHERE), "-o", "russia.csv")
    assert done.exit_code == 2
    assert 'DEF-9xx.csv:3: refused: the region "Атлантида" is none of the subjects' in done.stderr
    assert "DEF-9xx.csv:4: refused: " in done.stderr
    assert "nothing was written: 2 lines are refused, 1 are not; correct them, or take the others with" in done.stderr
    assert Path("russia.csv").read_text() == "the old one"


def test_the_others_can_be_taken(folder: Path) -> None:
    done = sipacr("import", register(NOWHERE, MOSCOW), "-o", "russia.csv", "--skip-refused")
    assert done.exit_code == 1
    assert "DEF-9xx.csv: 1 ranges, 1 prefixes, 1 lines refused\n" in done.stderr
    assert set(read_pack(Path("russia.csv"))[0]) == {"79160"}
    assert sorted(path.name for path in folder.iterdir()) == ["DEF-9xx.csv", "russia.csv", "sipacr.yaml"]


def test_a_long_report_is_cut(folder: Path) -> None:
    said = sipacr("import", register(MOSCOW, *[NOWHERE] * 203)).stderr
    assert said.count("refused: ") == 200
    assert "... and 3 more lines are refused\n" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEADER, "nothing was written: there is no range in it that can be read"),
        (HEADER + NOWHERE, "nothing was written: there is no range in it that can be read"),
        ("prefix,code\n+4822,PL-14\n", "register.csv:1: refused: the header lacks"),
    ],
)
def test_what_has_no_ranges(folder: Path, content: str, said: str) -> None:
    Path("register.csv").write_text(content)
    done = sipacr("import", "register.csv", "-o", "russia.csv", "--skip-refused")
    assert done.exit_code == 2
    assert said in done.stderr
    assert not Path("russia.csv").exists()


def test_files_that_are_not_there(folder: Path) -> None:
    assert sipacr("import", "missing.csv").exit_code == 2
    done = sipacr("import", register(MOSCOW), "-o", "nowhere/russia.csv")
    assert done.exit_code == 2
    assert done.stderr == "sipacr: nowhere/russia.csv cannot be written: No such file or directory\n"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("22 111 22 33", "+48221112233 ('22 111 22 33' as a number of PL): PL-14 (Mazowieckie)"),
        ("+48601000111", "+48601000111: PL; a guess of the numbering plan"),
    ],
)
def test_look_up(folder: Path, number: str, said: str) -> None:
    assert sipacr("lookup", number).stdout == f"{said}\n"


def test_look_up_of_what_has_no_region(folder: Path) -> None:
    done = sipacr("lookup", "101")
    assert done.exit_code == 1
    assert done.stderr == "sipacr: 101 (kept as it is: no telephone number in PL): no region is known\n"
    done = sipacr("lookup", "101", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"number": "101", "e164": None, "codes": [], "names": {}, "guess": False}


def test_look_up_with_a_broken_pack(folder: Path) -> None:
    Path("bad.csv").write_text("prefix,code\n0048,PL\n+4822,PL-99\n")
    Path("sipacr.yaml").write_text(SETTINGS + "regions: [bad.csv]\n")
    done = sipacr("lookup", "+48221112233")
    assert done.exit_code == 2
    assert "bad.csv:2:1: error: " in done.stderr
    assert "bad.csv:3:1: error: " in done.stderr
