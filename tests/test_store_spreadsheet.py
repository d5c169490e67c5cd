"""CSV as people and spreadsheets make it: understood if that is certain, else refused in words that help."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipacr.routing.numbers import NumberPlan
from sipacr.store.spreadsheet import InputError, Line, Refusal, decode, read, read_number

COLUMNS = {"number": ("phone", "phone number"), "agent": ("employee",), "note": ("name",)}
PL = NumberPlan.of("PL")


def lines(data: bytes | str, encoding: str | None = None) -> list[Line]:
    sheet = read(data.encode() if isinstance(data, str) else data, COLUMNS, ("number", "agent"), encoding)
    found = list(sheet.lines())
    assert sheet.refusals == []
    return found


PLAIN = [
    Line(2, {"number": "601", "agent": "anna", "note": "A, B"}),
    Line(3, {"number": "602", "agent": "ivan", "note": ""}),
]


@pytest.mark.parametrize(
    "text",
    [
        'number,agent,note\n601,anna,"A, B"\n602,ivan,\n',
        'number,agent,note\r\n601,anna,"A, B"\r\n602,ivan,\r\n',
        'number,agent,note\r601,anna,"A, B"\r602,ivan,',
        "number;agent;note\n601;anna;A, B\n602;ivan;\n",
        "number\tagent\tnote\n601\tanna\tA, B\n602\tivan\n",
        "note;number;agent\nA, B;601;anna\n;602;ivan",
        "NOTE ; Phone Number;Employee\nA, B ; 601;anna\n;602 ;ivan",
        'phone_number;"agent";name;\n601;anna;"A, B";\n602;ivan;;\n',
        'number;agent;note\n="601";"anna";A, B\n="602";ivan;\n',
        "\ufeffnumber;agent;note\n601;anna;A, B\n602;ivan;\n;;\n\n   \n",
        '"number, please";number;agent;note\nx;601;anna;A, B\ny;602;ivan;\n',
    ],
)
def test_shapes(text: str) -> None:
    assert lines(text) == PLAIN


def test_a_line_that_names_the_delimiter() -> None:
    assert [line.line for line in lines("sep=|\nnumber|agent\n601|anna\n")] == [3]


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + "number,agent,note\n601,anna,Łódź".encode(),
        "number,agent,note\n601,anna,Łódź".encode(),
        codecs.BOM_UTF16_LE + "number,agent,note\n601,anna,Łódź".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "number,agent,note\n601,anna,Łódź".encode("utf-16-be"),
    ],
)
def test_encodings(data: bytes) -> None:
    assert lines(data)[0].values["note"] == "Łódź"


def test_other_encodings_are_named() -> None:
    data = "number,agent,note\n600,x,y\n601,anna,Łódź".encode("cp1250")
    assert lines(data, "cp1250")[1].values["note"] == "Łódź"
    with pytest.raises(InputError, match=r"is not utf-8 \(line 3\): export it as CSV UTF-8, or .* --encoding cp1250"):
        decode(data, None)
    with pytest.raises(InputError, match="there is no such encoding"):
        decode(data, "cp9999")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04rest", r"spreadsheet's own format .*export it as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "spreadsheet's own format"),
        ("number,agent\n".encode("utf-16-le"), "is no text: .* --encoding utf-16-le"),
    ],
)
def test_what_is_no_csv_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(data, None)


def test_quoted_fields_may_span_lines_and_lines_keep_their_numbers() -> None:
    found = lines('number,agent,note\n601,anna,"one\ntwo ""three"""\n602,ivan,x\n')
    assert found[0].values["note"] == 'one\ntwo "three"'
    assert [line.line for line in found] == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: the first line must be a header such as number,agent,note"),
        ("  \n \n", "is empty"),
        ("601000111,anna\n601000112,ivan\n", "has no column number and no column agent: the first line must name"),
        ("number,name\n601,ACME\n", r"has no column agent: .*\(number,agent,note; any order\), and is 'number,name'"),
        ("number,phone,agent\n1,2,x\n", "has two columns for number .'number' and 'phone'.: remove or rename one"),
        ('"number,agent\n601,anna\n', "has no header"),
    ],
)
def test_headers_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(text.encode(), COLUMNS, ("number", "agent"), None)


def test_unknown_columns_are_named() -> None:
    sheet = read(b"number;agent;City; \n1;2;3;4\n", COLUMNS, ("number", "agent"), None)
    assert sheet.ignored == ("City",)
    assert sheet.columns == ("number", "agent")


def test_a_line_with_too_many_fields_is_refused_and_the_others_read() -> None:
    sheet = read(b"number,agent,note\n601,anna,A, B\n602,ivan,x\n603,ivan,x,,\n", COLUMNS, ("number", "agent"), None)
    assert [line.line for line in sheet.lines()] == [3, 4]
    assert sheet.refusals == [Refusal(2, "has 4 fields, the header 3: put texts with a delimiter in quotes")]


@pytest.mark.parametrize("rest", ['"anna\n602,ivan\n', '"anna" x\n602,ivan\n'])
def test_damage_is_refused_where_it_begins(rest: str) -> None:
    sheet = read(f"number,agent\n600,olga\n601,{rest}".encode(), COLUMNS, ("number", "agent"), None)
    assert [line.line for line in sheet.lines()][:1] == [2]
    assert [refusal.line for refusal in sheet.refusals] == [3]


@pytest.mark.parametrize(
    ("text", "e164", "key"),
    [
        ("601000111", "+48601000111", "+48601000111"),
        ("48601000111", "+48601000111", "+48601000111"),  # the plus was lost
        ("+48 601-000-111", "+48601000111", "+48601000111"),
        ("0048601000111", "+48601000111", "+48601000111"),
        ("+49 (0)30 1234567", "+49301234567", "+49301234567"),
        ("112", None, "112"),
        ("*97", None, "*97"),
    ],
)
def test_numbers(text: str, e164: str | None, key: str) -> None:
    number = read_number(text, PL)
    assert (number.e164, number.key) == (e164, key)


def test_a_zero_that_was_lost() -> None:
    assert read_number("30123456", NumberPlan.of("DE")).e164 == "+4930123456"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no number"),
        ("4.8601E+10", r"4\.8601E\+10 is a number that the spreadsheet has shortened.*format the column as text"),
        ("4,8601e10", "shortened"),
        ("48601000111.0", "has decimals: format the column as text"),
        ("48601000111,00", "has decimals"),
        ("+12", "is no telephone number, although it begins with [+]: correct it"),
        ("+48601000111222333", "is no telephone number"),
    ],
)
def test_numbers_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_number(text, PL)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"number,agent\n{text}".encode()))
def test_any_bytes_are_lines_or_refusals(data: bytes) -> None:
    try:
        sheet = read(data, COLUMNS, ("number", "agent"), None)
    except InputError:
        return
    for line in sheet.lines():
        assert set(line.values) == {"number", "agent"} | (set(sheet.columns) & {"note"})
        try:
            read_number(line.values["number"], PL)
        except InputError:
            pass
