"""Numbers as people and machines write them, read by one country's plan."""

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from sipacr.routing import numbers
from sipacr.routing.numbers import NumberPlan, clean

WARSAW = "+48221112233"


@pytest.mark.parametrize(
    "raw",
    [
        WARSAW,
        "+48 22 111 22 33",
        "+48-22-111-22-33",
        "+48.22.111.22.33",
        "(+48) 22/111 22 33",
        "+48 (0) 22 111 22 33",
        "+48\u00a022\u202f111\u201122\u201333",
        "\u202a+48 22 111 22 33\u202c",
        " +48221112233\t",
        "0048221112233",
        "0048 (22) 111-22-33",
        "48221112233",
        "221112233",
        "22 111 22 33",
        "0221112233",
        "tel:+48221112233",
        "+48221112233;npdi;rn=+48601000000",
        "+48221112233;phone-context=example.com",
        "221112233;phone-context=+48",
        "1112233;phone-context=+4822",
        "0221112233;ext=7;phone-context=+48;x=y",
    ],
)
def test_ways_to_write_a_warsaw_number(raw: str) -> None:
    assert NumberPlan.of("PL").read(raw).e164 == WARSAW


@pytest.mark.parametrize(
    ("country", "raw", "e164"),
    [
        ("RU", "8 (495) 123-45-67", "+74951234567"),
        ("RU", "4951234567", "+74951234567"),
        ("RU", "74951234567", "+74951234567"),
        ("RU", "+7 8 495 123-45-67", "+74951234567"),
        ("RU", "8~10 48 22 111 22 33", WARSAW),
        ("RU", "81048221112233", WARSAW),
        ("RU", "88001002030", "+78001002030"),
        ("RU", "8 701 123 45 67", "+77011234567"),  # Kazakhstan shares the plan
        ("HU", "06 1 234 5678", "+3612345678"),
        ("HU", "06301234567", "+36301234567"),
        ("HU", "3612345678", "+3612345678"),
        ("UA", "044 123 45 67", "+380441234567"),
        ("UA", "380441234567", "+380441234567"),
        ("DE", "030 123456", "+4930123456"),
        ("DE", "0049 30 123456", "+4930123456"),
        ("DE", "4930123456", "+4930123456"),  # rather than area 4930: the national prefix is missing
        ("DE", "+49 (0)30 123456", "+4930123456"),
        ("US", "(202) 555-0123", "+12025550123"),
        ("US", "12025550123", "+12025550123"),
        ("US", "011 48 22 111 22 33", WARSAW),
        ("US", "416 555 0123", "+14165550123"),  # Canada shares the plan
        ("IT", "06 6981 2345", "+390669812345"),  # the zero belongs to the number
        ("IT", "333 123 4567", "+393331234567"),
        ("PL", "00390669812345", "+390669812345"),
        ("PL", "+39 06 6981 2345", "+390669812345"),
        ("PL", "+49 (0)30 123456", "+4930123456"),
        ("PL", "+49 00 30 123456", "+4930123456"),
        ("PL", "+36 06 1 234 5678", "+3612345678"),
        ("PL", "0049 (0)30 123456", "+4930123456"),
        ("PL", "+48111222333", "+48111222333"),  # not valid by the metadata: they lag behind the plans
        ("PL", "+123456789012345", "+123456789012345"),
        ("GB", "020 7946 0018", "+442079460018"),
        ("FR", "01 23 45 67 89", "+33123456789"),
        ("BR", "0 21 11 2345-6789", "+551123456789"),  # with a carrier's code
        ("AG", "460-1234", "+12684601234"),  # without the area code
    ],
)
def test_countries(country: str, raw: str, e164: str) -> None:
    assert NumberPlan.of(country).read(raw).e164 == e164


@pytest.mark.parametrize(
    "raw",
    [
        "", "101", "1234", "20123", "112", "997", "116111", "*97", "#31#", "*67*0221112233", "#31#221112233",
        "anna", "anna.nowak", "anonymous", "user48221112233", "+", "++48221112233", "48+221112233", "+48",
        "+112", "+48112", "+0048221112233", "+1234567890123456", "0012345678901234567", "000000000",
        "22111223", "2211122334", "00481", "0099912345678", "001234567",
        "٤٨٢٢١١١٢٢٣٣", "+４８221112233", "²²¹¹¹²²³³", "+48221112233\n+48", "+48221112233x", "1e9", "-", ";", ";;=",
        ";phone-context=+48", "\x00", "+48221112233\x00",
    ],
)  # fmt: skip
def test_what_is_no_number(raw: str) -> None:
    assert NumberPlan.of("PL").read(raw).e164 is None


@pytest.mark.parametrize(("country", "raw"), [("DE", "2012345"), ("DE", "0201"), ("PL", "642123"), ("LU", "2201")])
def test_extensions_that_the_metadata_would_allow_as_numbers(country: str, raw: str) -> None:
    assert NumberPlan.of(country).read(raw).e164 is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("0048 (22) 111-22-33", "0048221112233"),
        ("+48 22 111 22 33;npdi", WARSAW),
        ("*97", "*97"),
        ("#31# 22-111", "#31#22111"),
        ("john.smith", "john.smith"),  # two people: john.smith and johnsmith
        ("anna-maria;x=1", "anna-maria"),
        (" anna ", "anna"),
        ("TEL:101", "101"),
        ("-", "-"),
    ],
)
def test_text_without_separators(raw: str, text: str) -> None:
    number = NumberPlan.of("PL").read(raw)
    assert (number.raw, number.text) == (raw, text)


def test_key_is_the_raw_text_only_where_there_is_no_e164() -> None:
    plan = NumberPlan.of("PL")
    assert plan.read("22 111 22 33").key == WARSAW
    assert plan.read("1 01").key == "101"


@pytest.mark.parametrize(
    ("country", "e164", "national", "international"),
    [
        ("PL", WARSAW, "221112233", "0048221112233"),
        ("PL", "+4930123456", "004930123456", "004930123456"),
        ("DE", "+4930123456", "030123456", "004930123456"),
        ("RU", "+74951234567", "84951234567", "81074951234567"),
        ("HU", "+3612345678", "0612345678", "003612345678"),
        ("UA", "+380441234567", "0441234567", "00380441234567"),
        ("US", "+12025550123", "2025550123", "01112025550123"),
        ("US", WARSAW, "01148221112233", "01148221112233"),
        ("IT", "+390669812345", "0669812345", "00390669812345"),
        ("BR", WARSAW, WARSAW, WARSAW),  # every carrier has its own prefix: none is right
    ],
)
def test_outgoing_forms(country: str, e164: str, national: str, international: str) -> None:
    plan = NumberPlan.of(country)
    assert (plan.national(e164), plan.international(e164)) == (national, international)


@pytest.mark.parametrize("country", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_reads_its_own_notation(country: str) -> None:
    plan = NumberPlan.of(country)
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(country, kind)
        if number is None:
            continue
        e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        written = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        for form in (e164, e164[1:], written, plan.national(e164), plan.international(e164)):
            assert plan.read(form).e164 == e164, form
    assert plan.read(plan.international(WARSAW)).e164 == WARSAW


@pytest.mark.parametrize(("country", "hint"), [("XX", ""), ("UK", "GB"), ("", ""), ("Poland", ""), ("001", "")])
def test_unknown_country(country: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"is not an ISO 3166-1 country code.*{hint}"):
        NumberPlan(country)


def test_plans_of_one_country_are_equal() -> None:
    assert NumberPlan.of("PL") is NumberPlan.of("PL")
    assert NumberPlan("pl") == NumberPlan.of("PL") != NumberPlan.of("DE")
    assert len({NumberPlan("PL"), NumberPlan("PL")}) == 1


def test_memo_is_bounded_and_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_MEMO_SIZE", 10)
    plan = NumberPlan("PL")
    first = plan.read("221112233")
    assert plan.read("221112233") is first
    for last in range(100):
        plan.read(f"+482211122{last:02}")
        assert len(plan._memo) <= 10
    assert plan.read("221112233") == first
    plan.read("9" * 10_000)
    assert all(len(raw) <= 256 for raw in plan._memo)


NUMBERISH = st.text("0123456789+*#-./() ;=~", max_size=30) | st.from_regex(
    r"(\+|00|0|8)?[1-9][0-9 ]{6,16}", fullmatch=True
)
PLANS = st.sampled_from(["PL", "RU", "HU", "UA", "DE", "US", "IT", "BR", "AR", "FI", "KZ"]).map(NumberPlan.of)


@given(PLANS, st.text() | NUMBERISH)
@example(NumberPlan.of("PL"), "+49000030123456")
@example(NumberPlan.of("DE"), "20100000000000")
def test_reads_anything_and_keeps_what_it_made(plan: NumberPlan, raw: str) -> None:
    number = plan.read(raw)
    assert number.raw == raw
    assert number.text == clean(raw)
    if number.e164 is not None:
        assert number.e164.isascii()
        assert number.e164[0] == "+"
        assert number.e164[1:].isdigit()
        assert 7 <= len(number.e164) - 1 <= 15
        assert plan.read(number.e164).e164 == number.e164


@given(PLANS, st.from_regex(r"[1-9][0-9]{6,12}", fullmatch=True))
def test_national_readings_are_valid_by_the_metadata(plan: NumberPlan, digits: str) -> None:
    """What has no prefix that says so becomes E.164 only if libphonenumber calls the outcome a valid number."""
    e164 = plan.read(digits).e164
    if e164 is not None and not digits.startswith(("8", "9")):  # may be the prefixes of Russia and Finland
        assert phonenumbers.is_valid_number(phonenumbers.parse(e164)), (plan, digits, e164)


def test_an_extension_is_never_e164() -> None:
    plan = NumberPlan.of("PL", ("1???????0", "+4822*"))
    assert plan.read("122223330").e164 is None
    assert plan.read("122223331").e164 == "+48122223331"
    assert NumberPlan.of("PL").read("122223330").e164 == "+48122223330"
    assert plan != NumberPlan.of("PL")
