"""Where numbers are from: the built-in data against what everybody knows, and packs of prefixes."""

from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from phonenumbers.geodata import GEOCODE_DATA

from sipacr.routing import regions
from sipacr.routing.regions import PackError, Region, Regions, normalise_code, read_pack, region_name

WORLD = Regions.load()


def sure(*codes: str) -> Region:
    return Region(codes, False)


def guess(*codes: str) -> Region:
    return Region(codes, True)


@pytest.mark.parametrize(
    ("e164", "region"),
    [
        ("+48221112233", sure("PL-14")),
        ("+48123334455", sure("PL-12")),
        ("+48616661122", sure("PL-30")),
        ("+48586661122", sure("PL-22")),
        ("+48713334455", sure("PL-02")),
        ("+48556661122", guess("PL-28", "PL-22")),  # Elbląg, and Malbork in Pomerania
        ("+74951234567", sure("RU-MOW")),
        ("+74991234567", sure("RU-MOW")),
        ("+74961234567", sure("RU-MOS")),
        ("+74981234567", sure("RU-MOS")),
        ("+78121234567", sure("RU-SPE")),
        ("+78131234567", sure("RU-LEN")),
        ("+78311234567", sure("RU-NIZ")),
        ("+74012345678", sure("RU-KGD")),
        ("+78181234567", sure("RU-ARK")),
        ("+78185312345", sure("RU-NEN")),
        ("+73652123456", guess("RU", "UA-43")),
        ("+380441234567", sure("UA-30")),
        ("+380456123456", sure("UA-32")),
        ("+380322123456", sure("UA-46")),
        ("+380561234567", sure("UA-12")),
        ("+380482123456", sure("UA-51")),
        ("+3612345678", sure("HU-BU")),
        ("+3652345678", sure("HU-HB")),
        ("+3626345678", sure("HU-PE")),
        ("+4930123456", sure("DE-BE")),
        ("+4989123456", sure("DE-BY")),
        ("+4940123456", sure("DE-HH")),
        ("+49221123456", sure("DE-NW")),
        ("+4969123456", sure("DE-HE")),
        ("+49711123456", sure("DE-BW")),
        ("+49621123456", sure("DE-BW")),  # Mannheim
        ("+49621591234", sure("DE-RP")),  # Ludwigshafen over the Rhine has the same area code
        ("+496134123456", sure("DE-HE")),  # Mainz-Kastel is Wiesbaden's
        ("+49731123456", guess("DE-BW", "DE-BY")),  # Ulm and Neu-Ulm
        ("+494725123456", sure("DE-SH")),  # Helgoland
        ("+49471123456", sure("DE-HB")),
        ("+4936645123456", sure("DE-SN")),
        ("+498001234567", guess("DE")),  # a service, although 8 is Bavaria otherwise
        ("+497001234567", guess("DE")),
        ("+48601000111", guess("PL")),
        ("+491711234567", guess("DE")),
        ("+380501234567", guess("UA")),
        ("+36301234567", guess("HU")),
        ("+79161234567", guess("RU")),
        ("+77011234567", guess("KZ")),
        ("+77172123456", sure("KZ")),
        ("+33123456789", sure("FR")),
        ("+33612345678", guess("FR")),
        ("+12025550123", guess("US")),  # in America a mobile looks like any number
        ("+14165550123", guess("CA")),
        ("+18765550123", guess("JM")),
        ("+390612345678", sure("IT")),
        ("+390669812345", sure("VA")),
        ("+441481256789", sure("GG")),
        ("+35818123456", sure("AX")),
        ("+80012345678", Region((), False)),  # nobody's
        ("+99912345678", Region((), False)),
        ("+", Region((), False)),
        ("", Region((), False)),
    ],
)
def test_lookup(e164: str, region: Region) -> None:
    assert WORLD.lookup(e164) == region
    assert WORLD.lookup(e164) == region  # from the memo


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_countries_are_those_of_libphonenumber(country: str) -> None:
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(country, kind)
        if number is not None:
            found = WORLD.lookup(phonenumbers.format_number(number, PhoneNumberFormat.E164))
            assert found.codes[0][:2] == phonenumbers.region_code_for_number(number)


def test_every_area_code_of_the_five_countries_has_its_subdivision() -> None:
    without = []
    for prefix in GEOCODE_DATA:
        russian = prefix[:2] in ("73", "74", "78") and prefix != "733"  # 733 is Baikonur
        if prefix.startswith(("36", "380", "48", "49")) or russian:
            codes = WORLD.lookup("+" + prefix).codes
            if not any("-" in code for code in codes):
                without.append(prefix)
    assert not without


def test_the_code_that_the_data_use_are_known() -> None:
    for name in ("areas.csv", "countries.csv"):
        for codes in regions._built_in(name).values():
            assert [normalise_code(code) for code in codes] == list(codes)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("PL", "PL"), ("pl-14", "PL-14"), (" PL-14 ", "PL-14"), ("PL-MZ", "PL-14"), ("PL-DS", "PL-02"), ("UK", "GB"),
        ("RU-CHI", "RU-ZAB"), ("RU-KOP", "RU-PER"), ("US-CA", "US-CA"), ("AQ", "AQ"), ("HU-SD", "HU-SD"), ("XK", "XK"),
    ],
)  # fmt: skip
def test_normalise_code(text: str, code: str) -> None:
    assert normalise_code(text) == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write ISO 3166 codes such as PL or PL-14"),
        ("PL14", "write ISO 3166 codes"),
        ("Moscow", "did you mean RU-MOW"),
        ("Slaskie", "did you mean PL-24"),
        ("Śląskie", "did you mean PL-24"),
        ("Lodzkie", "did you mean PL-10"),
        ("Thuringen", "did you mean DE-TH"),
        ("Nizhni Novgorod", "did you mean RU-NIZ"),
        ("XX", "no country"),
        ("XX-01", "no subdivision"),
        ("PL-99", "those of PL are PL-02, PL-04"),
        ("DE-NRW", "did you mean DE-NW"),
        ("RU-MOC", "did you mean RU-MO"),
        ("RU-77", "no subdivision of ISO 3166-2"),
    ],
)
def test_codes_that_do_not_exist(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normalise_code(text)


def test_names() -> None:
    assert region_name("RU-MOW") == "Moscow"
    assert region_name("PL-14") == "Mazowieckie"
    assert region_name("US-CA") is None


def pack(tmp_path: Path, text: str, name: str = "pack.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


CSV = "prefix,code\n+48601,PL-14\n4822,PL-12\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pack.csv", CSV),
        ("pack.csv", "\ufeff# our mobiles\r\n\r\nPrefix;Note;Code\r\n+48 601*;Anna;PL-14\r\n+48-22;;pl-ma\r\n"),
        ("pack.yaml", '---\n# our mobiles\n"+48601": PL-14\n"+4822": PL-MA   # an old code\n'),
        ("pack.yml", "'48601': [PL-14]\n4822: \"PL-12\"\n"),
    ],
)
def test_packs(tmp_path: Path, name: str, text: str) -> None:
    assert read_pack(pack(tmp_path, text, name)) == ({"48601": ("PL-14",), "4822": ("PL-12",)}, [])


def test_a_pack_comes_before_the_built_in_data_and_a_longer_prefix_before_both(tmp_path: Path) -> None:
    first = pack(tmp_path, "prefix,code\n+48601,PL-14\n+4822,PL-12\n+4823,PL-10\n+4823,PL-14\n+48,DE\n", "first.csv")
    second = pack(tmp_path, "prefix,code\n+48601,PL-30\n+48601,PL-32\n+7916123,RU-MOW RU-MOS\n", "second.csv")
    known = Regions.load([first, second])
    assert known.lookup("+48601000111") == guess("PL-30", "PL-32")
    assert known.lookup("+48221112233") == sure("PL-12")
    assert known.lookup("+48231112233") == guess("PL-10", "PL-14")
    assert known.lookup("+48616661122") == sure("PL-30")
    assert known.lookup("+79161234567") == guess("RU-MOW", "RU-MOS")
    assert known.lookup("+79161334567") == guess("RU")
    assert WORLD.lookup("+48601000111") == guess("PL")


@pytest.mark.parametrize(
    ("name", "text", "problems"),
    [
        ("p.csv", "", {1: "has no prefixes"}),
        ("p.csv", "prefix,code\n", {1: "has no prefixes"}),
        ("p.csv", "+4822,PL-14\n", {1: "must name the columns prefix and code"}),
        (
            "p.csv",
            "prefix,code\n+4822,PL-14\n0048,PL\n+48x,PL\n+4822\n+4861,PL-99\n+4862,\n,PL\n+1234567890123456,US\n",
            {3: "begins with 0", 4: "no prefix", 5: "a prefix and a code", 6: "those of PL", 7: "missing",
             8: "no prefix", 9: "15 digits"},
        ),
        ("p.csv", 'prefix,code\n+4822,PL-14\n"+4861,PL-30\n', {3: "is no CSV"}),
        ("p.csv", "prefix,code\n+48٢٢,PL-14\n", {2: "no prefix"}),
        ("p.yaml", '"+4822": PL-14\n+4861\n"+48": XX\n"+47":\n', {2: "one prefix a line", 3: "no country", 4: "one"}),
    ],
)  # fmt: skip
def test_bad_packs_name_every_line(tmp_path: Path, name: str, text: str, problems: dict[int, str]) -> None:
    path = pack(tmp_path, text, name)
    found = read_pack(path)[1]
    assert [problem.line for problem in found] == list(problems)
    for problem in found:
        assert problems[problem.line] in problem.message
    with pytest.raises(PackError) as error:
        Regions.load([path])
    assert str(error.value) == "\n".join(f"{path}:{problem.line}:1: error: {problem.message}" for problem in found)


def test_packs_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("prefix,code\n+4822,PL-14 # Łódź\n".encode("cp1250"))
    with pytest.raises(PackError) as error:
        Regions.load([tmp_path / "absent.csv", latin, tmp_path])
    assert [(problem.path, problem.line) for problem in error.value.problems] == [
        (tmp_path / "absent.csv", 1), (latin, 2), (tmp_path, 1),
    ]  # fmt: skip


@given(st.text() | st.from_regex(r"\+[0-9]{1,16}", fullmatch=True))
def test_lookup_takes_anything(e164: str) -> None:
    region = WORLD.lookup(e164)
    assert len(region.codes) == len(set(region.codes))


def test_memo_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "_MEMO_SIZE", 10)
    known = Regions()
    for last in range(100):
        assert known.lookup(f"+482211122{last:02}") == sure("PL-14")
        assert len(known._memo) <= 10
