"""The Russian numbering register: regions in words, ranges to prefixes, and the pack that comes out of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers.geodata import GEOCODE_DATA

from sipacr.routing.regions import Region, Regions, normalise_code, read_pack
from sipacr.routing.register import _SUBJECTS, Range, pack_text, prefixes, read_register, subjects

HEADER = "АВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН\n"
SAMPLE = HEADER + (
    "916;0000000;0999999;1000000;ПАО «МТС»;г. Москва и Московская область;;7740000076\n"
    "916;1000000;1999999;1000000;ПАО «МТС»;г. Москва и Московская область;;7740000076\n"
    "921;0000000;0009999;10000;ПАО «МегаФон»;г. Санкт-Петербург и Ленинградская область;;7812014560\n"
    "902;0000000;0004999;5000;ООО «Т2 Мобайл»;г. Нижний Новгород|Нижегородская обл.;;7743895280\n"
    "902;5;12;8;ООО «Т2 Мобайл»;Республика Татарстан;;7743895280\n"
)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("г. Москва", {"RU-MOW"}),
        ("Московская обл.", {"RU-MOS"}),
        ("г. Москва и Московская область", {"RU-MOW", "RU-MOS"}),
        ("г. Москва * Московская обл.", {"RU-MOW", "RU-MOS"}),
        ("г. Санкт-Петербург и Ленинградская область", {"RU-SPE", "RU-LEN"}),
        ("г. Нижний Новгород|Нижегородская обл.", {"RU-NIZ"}),
        ("Новгородская область", {"RU-NGR"}),
        ("р-н Омский|Омская обл.", {"RU-OMS"}),
        ("г. Комсомольск|Ивановская обл.", {"RU-IVA"}),
        ("ст-ца Ленинградская|Краснодарский край", {"RU-KDA"}),
        ("Томская обл.", {"RU-TOM"}),
        ("Курская область", {"RU-KRS"}),
        ("Курганская область", {"RU-KGN"}),
        ("Ханты-Мансийский Автономный округ - Югра АО", {"RU-KHM"}),
        ("Ямало-Ненецкий АО", {"RU-YAN"}),
        ("Ненецкий автономный округ", {"RU-NEN"}),
        ("Архангельская область и Ненецкий АО", {"RU-ARK", "RU-NEN"}),
        ("Республика Коми", {"RU-KO"}),
        ("Коми-Пермяцкий округ", {"RU-PER"}),
        ("Республика Алтай и Алтайский край", {"RU-AL", "RU-ALT"}),
        ("Краснодарский край и Республика Адыгея", {"RU-KDA", "RU-AD"}),
        ("Республика Саха /Якутия/", {"RU-SA"}),
        ("Сахалинская обл.", {"RU-SAK"}),
        ("Карачаево-Черкесская Республика", {"RU-KC"}),
        ("Чеченская Республика", {"RU-CE"}),
        ("Кемеровская область - Кузбасс", {"RU-KEM"}),
        ("Республика Крым и г. Севастополь", {"RU", "UA-43", "UA-40"}),
        ("Российская Федерация", {"RU"}),
    ],
)
def test_subjects(text: str, codes: set[str]) -> None:
    assert set(subjects(text)) == codes


@pytest.mark.parametrize("text", ["", "Atlantis", "г. Сочи"])
def test_unknown_subjects(text: str) -> None:
    with pytest.raises(ValueError, match="none of the subjects"):
        subjects(text)


def test_all_codes_exist() -> None:
    assert [normalise_code(code) for code in _SUBJECTS] == list(_SUBJECTS)


def test_area_codes_that_libphonenumber_describes_in_the_registers_words() -> None:
    """Two tables made apart agree. The package has Moscow (495) and its oblast (496) the wrong way round."""
    world = Regions()
    for prefix, names in GEOCODE_DATA.items():
        if prefix[:2] in ("73", "74", "78") and prefix not in ("733", "7495", "7496"):
            assert set(subjects(names["ru"].replace("\u0301", ""))) == set(world.lookup(f"+{prefix}").codes), prefix


def test_from_register_to_lookup(tmp_path: Path) -> None:
    ranges, problems = read_register(("\ufeff" + SAMPLE).encode())
    assert not problems
    assert ranges[0] == Range("916", 0, 999_999, ranges[0].codes)
    path = tmp_path / "russia.csv"
    path.write_text(pack_text(prefixes(ranges), "Source: the register\nof 2026-11-20"), encoding="utf-8")
    assert path.read_text(encoding="utf-8").startswith("# Source: the register\n# of 2026-11-20\nprefix,code\n")
    assert read_pack(path)[0] == prefixes(ranges)
    known = Regions.load([path])
    assert known.lookup("+79161234567") == Region(("RU-MOS", "RU-MOW"), True)
    assert known.lookup("+79162234567") == Region(("RU",), True)
    assert known.lookup("+79210001234").codes == ("RU-LEN", "RU-SPE")
    assert known.lookup("+79020001234") == Region(("RU-NIZ",), True)  # a mobile: only the plan's guess
    assert known.lookup("+79020005000") == Region(("RU",), True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_encodings_and_column_order(encoding: str) -> None:
    text = "ABC/DEF;Регион;Оператор;До;От\r\n\r\n495;г. Москва;МГТС;1019999;1010000\r\n"
    assert read_register(text.encode(encoding)) == ([Range("495", 1_010_000, 1_019_999, ("RU-MOW",))], [])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("91;0;9;10;x;г. Москва", "has not three digits"),
        ("916;a;9;10;x;г. Москва", "up to seven digits"),
        ("916;0;10000000;10;x;г. Москва", "up to seven digits"),
        ("916;10;9;10;x;г. Москва", "before it begins"),
        ("916;0;9;10;x;Atlantis", "none of the subjects"),
        ("916;0", "up to seven digits"),
    ],
)
def test_bad_rows_are_named_and_the_others_read(row: str, message: str) -> None:
    ranges, problems = read_register((HEADER + row + "\n916;0;9;10;x;г. Москва\n").encode())
    assert len(ranges) == 1
    assert [problem.line for problem in problems] == [2]
    assert message in problems[0].message


@pytest.mark.parametrize("content", [b"", b"prefix,code\n+4822,PL-14\n", "АВС/ DEF;От;До;Емкость\n".encode()])
def test_what_is_no_register(content: bytes) -> None:
    ranges, problems = read_register(content)
    assert not ranges
    assert problems[0].line == 1
    assert "the header lacks" in problems[0].message


def test_neighbours_are_joined() -> None:
    moscow = ("RU-MOW",)
    halves = [Range("495", 5_000_000, 9_999_999, moscow), Range("495", 0, 4_999_999, moscow)]
    assert prefixes(halves) == {"7495": moscow}
    assert prefixes([*halves, Range("496", 0, 9_999_999, moscow)]) == {"7495": moscow, "7496": moscow}
    with_gap = [Range("495", 0, 999_999, moscow), Range("495", 2_000_000, 2_999_999, moscow)]
    assert prefixes(with_gap) == {"74950": moscow, "74952": moscow}


def test_two_claims_on_one_range_give_both() -> None:
    both = [Range("916", 0, 99_999, ("RU-MOW",)), Range("916", 0, 99_999, ("RU-MOS",))]
    assert {prefix: set(codes) for prefix, codes in prefixes(both).items()} == {"791600": {"RU-MOW", "RU-MOS"}}


@given(st.integers(0, 9_999_999), st.integers(0, 9_999_999), st.lists(st.integers(0, 9_999_999), max_size=20))
def test_prefixes_are_the_range_and_nothing_else(one: int, other: int, probes: list[int]) -> None:
    first, last = sorted((one, other))
    found = prefixes([Range("916", first, last, ("RU-MOW",))])
    for number in {first, last, max(first - 1, 0), min(last + 1, 9_999_999), *probes}:
        inside = any(f"7916{number:07}".startswith(prefix) for prefix in found)
        assert inside is (first <= number <= last)
    assert sum(10 ** (11 - len(prefix)) for prefix in found) == last - first + 1
