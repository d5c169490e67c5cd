"""YAML to a tree: positions, text kept as it was typed, and YAML's own traps in words."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.rulefile.yamltree import MAX_DEPTH, Mapping, Node, Sequence, Text, Tree, read_bytes, read_file, read_text

# fmt: off
PROBLEMS = [
    ("dialled: *97\n", ['1:10: "*97" is an alias to YAML, and there is no &97; if it is meant as text, put it in quotes']),
    ("a: [*97, x]", ['1:5: "*97" is an alias to YAML, and there is no &97; if it is meant as text, put it in quotes']),
    ("a: *97*\n", ['1:4: "*97*" is an alias to YAML; put it in quotes']),
    ("a: *\n", ['1:4: "*" is an alias to YAML; put it in quotes']),
    ("a: **21\n", ['1:4: "**21" is an alias to YAML; put it in quotes']),
    ("dialled: #31#\nb: 1", ['1:10: "#31#" begins a comment to YAML, so nothing is left; put it in quotes']),
    ("dialled:\n  - #31#\n", ['2:5: "#31#" begins a comment to YAML, so nothing is left; put it in quotes']),
    ("a: {x: #31#}\n", ['1:8: "#31#" begins a comment to YAML; put it in quotes']),
    ("a: [#31#]\nb: c\n", ['1:5: "#31#" begins a comment to YAML; put it in quotes']),
    ("a: {mask: ?22}\n", ['1:11: "?22" begins with a sign of YAML; put it in quotes']),
    ("a: {mask: ?22*}\nb: 1", ['1:11: "?22*" begins with a sign of YAML; put it in quotes']),
    ("a: [?22, 33]", ['1:5: "?22" begins with a sign of YAML; put it in quotes']),
    ("a: [??22]", ['1:5: "??22" begins with a sign of YAML; put it in quotes']),
    ("mask: ?22\n", []),
    ("to: @pbx\n", ['1:5: "@pbx" begins with a sign of YAML; put it in quotes']),
    ("a: {to: @pbx}\n", ['1:9: "@pbx" begins with a sign of YAML; put it in quotes']),
    ("a: [::1]", ["1:5: the IPv6 address ::1 contains signs of YAML; put it in quotes"]),
    ("a: {x: ::1}", ["1:8: the IPv6 address ::1 contains signs of YAML; put it in quotes"]),
    ("a: [::]:5060\n", ["1:4: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("a: [[::]:5060]", ["1:5: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("a: ::1\n", []),
    ("a: [2001:db8::/32]", []),
    ("a: [2001:db8::]", ["1:5: the IPv6 address 2001:db8:: contains signs of YAML; put it in quotes"]),
    ("a: {x: 2001:db8::1}", []),
    ("a: [2001:db8::, b]", ["1:5: the IPv6 address 2001:db8:: contains signs of YAML; put it in quotes"]),
    ("a: 2001:db8::\n", ["1:4: the IPv6 address 2001:db8:: contains signs of YAML; put it in quotes"]),
    ("udp: [[::1]:5060, x]", ["1:7: the IPv6 address [::1]:5060 contains signs of YAML; put it in quotes"]),
    ("udp: [[fe80::1]:5060, x]", ["1:7: the IPv6 address [fe80::1]:5060 contains signs of YAML; put it in quotes"]),
    ("- [::]:5060\n", ["1:3: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("a:\n  - [::]:5060\n", ["2:5: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("a:\n  - [fe80::1]:5060\n", ["2:5: the IPv6 address [fe80::1]:5060 contains signs of YAML; put it in quotes"]),
    ("a: [fe80::1, 10.0.0.1]", []),
    ("a: {[::1]:5060: x}", ["1:5: the IPv6 address [::1]:5060 contains signs of YAML; put it in quotes"]),
    ("a: [x: y]", []),
    ("a: &anna\nb: 2", ['1:4: "&anna" is an anchor to YAML; put it in quotes']),
    ("a: !foo x", ['1:4: "!foo" is a tag to YAML; put it in quotes']),
    ("a: !\n", ['1:4: "!" is a tag to YAML; put it in quotes']),
    ("a: %x", ['1:4: "%x" begins with a sign of YAML; put it in quotes']),
    ("a: `x", ['1:4: "`x" begins with a sign of YAML; put it in quotes']),
    ("\ta: b", ["1:1: a tab cannot indent; use spaces"]),
    ("a:\n\tb: c", ["2:1: a tab cannot indent; use spaces"]),
    ("a: b: c", ['1:4: the text "b: c" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("a: 'x", ["1:4: the quote that is opened here is never closed"]),
    ('a: "x\ny', ["1:4: the quote that is opened here is never closed"]),
    ("a: [1,2\nb: 3\n", ["2:2: a list in [ ] goes wrong here: a comma or a ] is missing"]),
    ("<<: *x", ['1:1: merging with "<<" is not supported; write the keys out', '1:5: "*x" is an alias to YAML, and there is no &x; if it is meant as text, put it in quotes']),
    ("a: &a [*a]", ['1:8: "*a" stands within what it names']),
    ("? [1]\n: 2", ["1:3: a key is one word, not a list or a mapping; if it is meant as text, put it in quotes"]),
    ("{{x}}: 1", ["1:1: {{ }} is not YAML; if it is meant as text, put it in quotes"]),
    ("a: |\n  foo\n  bar", []),
    ("---\na: b\n---\nc: d", ["3:1: a second document begins here (---); a file holds one"]),
    ("# only", []),
    ("a: b\n...\nfoo", ["3:1: the indentation is wrong: this line belongs to nothing above it"]),
    ("\ufeffa: b", []),
    ("a: \x01", ["1:4: control character 0x01; remove it, or save the file as UTF-8"]),
    ("a: {b: c", ["1:4: the { that is opened here is never closed"]),
    ("-x: 1\n- y", ["2:1: a key is expected here: the line is indented wrongly, or something follows a text in quotes"]),
    ("%FOO\na: b", ["1:5: a line that begins with % is a directive to YAML; put it in quotes"]),
    ("a: '+48' x", ["1:10: a key is expected here: the line is indented wrongly, or something follows a text in quotes"]),
    ("a: ,x", ["1:4: a value is expected here"]),
    ("a: {b: }", ['1:5: "b" has no value']),
    ("a: [,]", ["1:5: a value is expected here"]),
    ("a: {b c}", ['1:5: "b c" has no value']),
    ("a: -\n", ["1:4: a dash is not expected here: put the list on lines of its own, or the text in quotes"]),
    ("a: ?\n", ['1:4: "?" begins with a sign of YAML; put it in quotes']),
    ("a: > 5\n", ['1:4: ">" begins a text of several lines to YAML; put it in quotes']),
    ("a: {share: %10}", ['1:12: "%10" begins with a sign of YAML; put it in quotes']),
    ('a: 😀 b\n"é": @x', ['2:6: "@x" begins with a sign of YAML; put it in quotes']),
    ("a: !!str x", ['1:4: "!!str" is a tag to YAML; put it in quotes']),
    ("a: !foo", ['1:4: "!foo" is a tag to YAML; put it in quotes']),
    ("a: &x", ['1:4: "&x" is an anchor to YAML; put it in quotes']),
    ("a: b\n c: d", ["2:3: a colon is not expected here: the line is indented wrongly, or a text with a colon wants quotes"]),
    ("  a: b\nc: d", ["2:1: the indentation is wrong: this line belongs to nothing above it"]),
    ("a: [b]c", ["1:7: a key is expected here: the line is indented wrongly, or something follows a text in quotes"]),
    ('a: "\\d"', ["1:5: in double quotes a backslash is YAML's own; use single quotes: '\\+48.*'"]),
    ("a: {*97: x}", ['1:5: "*97" is an alias to YAML, and there is no &97; if it is meant as text, put it in quotes']),
    ("*97 : x", ['1:1: "*97" is an alias to YAML, and there is no &97; if it is meant as text, put it in quotes']),
    ("a: {x:y}", ['1:5: "x:y" has no value; a colon is followed by a space']),
    ("a: {x: ?}", ['1:8: "?" begins with a sign of YAML; put it in quotes']),
    ("[[]]", []),
    ("a: 1\nb: 2\na: 3\n", ['3:1: "a" stands twice; the first one is at f:1:1']),
    ("a: ~", ['1:1: "a" has no value']),
    ("a:\n  - {b: 1, when: {dialled: #31#}}\n  - {c: 1}\n", ['2:28: "#31#" begins a comment to YAML; put it in quotes']),
    ("peers:\n  x: {address: [2001:db8::1]:5060, y: 1}\n", ["2:16: the IPv6 address [2001:db8::1]:5060 contains signs of YAML; put it in quotes"]),
    ("a: [10.0.0.1, 2001:db8::]", ["1:15: the IPv6 address 2001:db8:: contains signs of YAML; put it in quotes"]),
    ("name: VIP: gold\n", ['1:7: the text "VIP: gold" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("- name: VIP: gold\n", ['1:9: the text "VIP: gold" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("a: {name: VIP: gold}\n", ['1:11: the text "VIP: gold" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("rules:\n  - name: a: b\n    reject: 403\n", ['2:11: the text "a: b" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("{X-A: *}", ['1:7: "*" is an alias to YAML; put it in quotes']),
    ("a: [1??, 2??]", []),
    ("a: {x: *}", ['1:8: "*" is an alias to YAML; put it in quotes']),
    ("a: {x: *, y: 1}", ['1:8: "*" is an alias to YAML; put it in quotes']),
    ("name: 'it's'", ["1:7: an apostrophe ends a text in single quotes; put the text in double quotes"]),
    ("a: {agent: anna, ring:20s}", ['1:18: "ring:20s" has no value; a colon is followed by a space']),
    ("a: [*1212, +1]", ['1:5: "*1212" is an alias to YAML, and there is no &1212; if it is meant as text, put it in quotes']),
    ("a:\n  - *1212\n", ['2:5: "*1212" is an alias to YAML, and there is no &1212; if it is meant as text, put it in quotes']),
    ("a: {to: *98@pbx}", ['1:9: "*98@pbx" is an alias to YAML; put it in quotes']),
    ("listen: udp: x", ['1:9: the text "udp: x" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ('a: "x: y": z', ["1:10: a colon is not expected here: the line is indented wrongly, or a text with a colon wants quotes"]),
    ("when: caller: +48\n", ['1:7: the text "caller: +48" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("a: b : c\n", ['1:4: the text "b : c" has a colon; put it in quotes, or, if it is a key and its value, on a line of its own']),
    ("a: - b\n", ["1:4: a dash is not expected here: put the list on lines of its own, or the text in quotes"]),
    ("a: [b, - c]", ["1:8: a value is expected here"]),
    ("a: , b", ["1:4: a value is expected here"]),
    ("rules:\n - name: x\n   when: {caller: {vip: true}\n   reject: 603\n", ["4:4: a mapping in { } goes wrong here: a comma or a } is missing"]),
    ("rules:\n - name: x\n  reject: 603\n", ["3:3: a dash is expected here: the line is indented wrongly, or the - is missing"]),
    ("rules:\n- name: x\n    reject: 603\n", ["3:11: a colon is not expected here: the line is indented wrongly, or a text with a colon wants quotes"]),
    ("rules:\n  - name: x\n    route: [{agent: anna]\n", ["3:25: a mapping in { } goes wrong here: a comma or a } is missing"]),
    ("rules:\n  - name: x\n    route: [{agent: anna}\n  - name: y\n", ["4:3: a list in [ ] goes wrong here: a comma or a ] is missing"]),
    ("a: 10%%\nb: @\n", ['2:4: "@" begins with a sign of YAML; put it in quotes']),
    ("a: {b: #}\nc: d\n", ['1:8: "#" begins a comment to YAML; put it in quotes']),
    ("a: # comment\nb: c\n", ['1:1: "a" has no value']),
    ("a: {b: c} # ok\n", []),
    ("a: [b,\n  #31#,\n  c]\n", ['2:3: "#31#" begins a comment to YAML; put it in quotes']),
    ("a: [[b,\n  #31#221112233\n  ], c]\n", ['2:3: "#31#221112233" begins a comment to YAML; put it in quotes']),
    ("a: [b,\n  #601000111,\n  # #31#\n  #31# hides\n  c]\n", []),
    ("a:\n  - b\n  #31#\n  - c\n", []),
    ("a:\n  b: #31# x\n", ['2:6: "#31#" begins a comment to YAML, so nothing is left; put it in quotes']),
    ("a: [b] #31#\n", []),
    ("a:\n\n  # only comment\nb: c", ['1:1: "a" has no value']),
    ("a: {?22: x}", []),
    ("a:\n  ?22: x\n", []),
    ("a: {b: ?}", ['1:8: "?" begins with a sign of YAML; put it in quotes']),
    ("a: [b, ?22*, c]", ['1:8: "?22*" begins with a sign of YAML; put it in quotes']),
    ("a: [ ?22]", ['1:6: "?22" begins with a sign of YAML; put it in quotes']),
    ("mask: [?2?]", ['1:8: "?2?" begins with a sign of YAML; put it in quotes']),
    ("a: {udp: [::]:5060}", ["1:10: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("a: {udp: [[::]:5060, 0.0.0.0:5060]}", ["1:11: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("a: {address: fe80::}", ["1:14: the IPv6 address fe80:: contains signs of YAML; put it in quotes"]),
    ("a: {public: ::}", ["1:13: the IPv6 address :: contains signs of YAML; put it in quotes"]),
    ("sources: [2001:db8:1::/64, ::1]\n", ["1:28: the IPv6 address ::1 contains signs of YAML; put it in quotes"]),
    ("x: [2001:db8:1::/64, 2001:db8::]\n", ["1:22: the IPv6 address 2001:db8:: contains signs of YAML; put it in quotes"]),
    ("own: {+48221112233: Shop A, +4822: B}\n", []),
    ("a: {b: 'x' y}", ["1:12: a mapping in { } goes wrong here: a comma or a } is missing"]),
    ("a: ''x''\n", ["1:4: an apostrophe ends a text in single quotes; put the text in double quotes"]),
    ("a: 'x'y\n", ["1:4: an apostrophe ends a text in single quotes; put the text in double quotes"]),
    ("\u00a0\u00a0a: b", []),
    ("a:\n   b: 1\n  c: 2\n", ["3:3: a key is expected here: the line is indented wrongly, or something follows a text in quotes"]),
    ("a: >-x\n", ['1:4: ">-x" begins a text of several lines to YAML; put it in quotes']),
    ("a: |x\n", ['1:4: "|x" begins a text of several lines to YAML; put it in quotes']),
    ("a: {b: |}", ['1:8: "|" begins a text of several lines to YAML; put it in quotes']),
    ("a: {b: >5}", ['1:8: ">5" begins a text of several lines to YAML; put it in quotes']),
    ("a: &\n", ['1:4: "&" is an anchor to YAML; put it in quotes']),
    ("a: {b: &x}", ['1:8: "&x" is an anchor to YAML; put it in quotes']),
    ("a: !\nb: !x y", ['1:4: "!" is a tag to YAML; put it in quotes', '2:4: "!x" is a tag to YAML; put it in quotes']),
    ("a: {b: !x}", ['1:8: "!x" is a tag to YAML; put it in quotes']),
]
# fmt: on


def said(tree: Tree) -> list[str]:
    return [f"{problem.position.line}:{problem.position.column}: {problem.message}" for problem in tree.problems]


@pytest.mark.parametrize(("text", "expected"), PROBLEMS)
def test_what_is_said(text: str, expected: list[str]) -> None:
    assert said(read_text(text, "f")) == expected


@pytest.mark.parametrize(
    "typed",
    ["0044", "+4930", "18:00", "NO", "yes", "1e3", "0x1F", "1_000", "2026-12-24", "null and void", "*", "#31#", "?22"],
)
def test_a_scalar_is_the_text_that_was_typed(typed: str) -> None:
    quoted = typed if typed[0] not in "*#?" else f'"{typed}"'
    tree = read_text(f"number: {quoted}\non: {quoted}\n", "f")
    assert tree.problems == []
    assert tree.root == {"number": typed, "on": typed}


def test_positions_count_characters_from_one() -> None:
    root = read_text("# \u00e9\nagents:\n  \U0001f600 anna: {x: [b, 'c']}\r\n  z: w\n", "f").root
    assert isinstance(root, Mapping)
    agents = root["agents"]
    assert isinstance(agents, Mapping)
    assert [(key, key.line, key.column) for key in agents.names()] == [("\U0001f600 anna", 3, 3), ("z", 4, 3)]
    anna = agents["\U0001f600 anna"]
    assert isinstance(anna, Mapping)
    assert (anna.line, anna.column, anna.under) == (3, 11, "\U0001f600 anna")
    listed = anna["x"]
    assert isinstance(listed, Sequence)
    assert [(node.line, node.column) for node in (listed, *listed)] == [(3, 15), (3, 16), (3, 19)]
    assert isinstance(listed[1], Text)
    assert not listed[1].plain


def test_an_alias_is_what_it_names() -> None:
    tree = read_text("a: &x [1, 2]\nb: *x\nc: &k d\n*k : e\n", "f")
    assert tree.root == {"a": ["1", "2"], "b": ["1", "2"], "c": "d", "d": "e"}
    assert tree.problems == []


def test_aliases_cannot_blow_a_file_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    tree = read_text("\n".join(lines), "f")
    assert not tree.whole
    assert said(tree)[-1].endswith("aliases blow this file up by more than 100000 nodes")


def size(node: Node) -> int:
    if isinstance(node, Mapping):
        return 1 + sum(map(size, node.values()))
    return 1 + (sum(map(size, node)) if isinstance(node, Sequence) else 0)


@pytest.mark.parametrize("text", ["[" * 200_000, "[" * 200_000 + "]" * 200_000, "{a: " * 50_000, "- " * 100_000 + "x"])
def test_depth_has_a_limit(text: str) -> None:
    """libyaml's own composer overflows the stack on these."""
    tree = read_text(text, "f")
    assert not tree.whole
    assert said(tree)[0].endswith(f"nested more than {MAX_DEPTH} deep")
    assert tree.root is None or size(tree.root) < 5


def test_after_a_syntax_error_whole_entries_stay() -> None:
    tree = read_text("agents:\n  anna: {x: 1}\n  ivan: {x: @}\n", "f")
    assert tree.root == {"agents": {"anna": {"x": "1"}}}
    tree = read_text("rules:\n  - name: a\n  - name: b\n    when: {x: @}\n", "f")
    assert tree.root == {"rules": [{"name": "a"}]}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: b\nc: \xff\n", ["2:4: the byte 0xff is not UTF-8; save the file as UTF-8"]),
        ("\u00e9: ".encode() + b"\xe9", ["1:4: the byte 0xe9 is not UTF-8; save the file as UTF-8"]),
        ("a: b".encode("utf-16"), ["1:1: is UTF-16; save it as UTF-8"]),
        (b"\xef\xbb\xbfa: *", ['1:4: "*" is an alias to YAML; put it in quotes']),
        (b"", []),
        (b"\x00", ["1:1: control character 0x00; remove it, or save the file as UTF-8"]),
    ],
)
def test_bytes(data: bytes, expected: list[str]) -> None:
    assert said(read_bytes(data, "f")) == expected


def test_files_that_are_none(tmp_path: Path) -> None:
    assert said(read_file(tmp_path)) == ["1:1: this is a directory, not a file"]
    assert said(read_file(tmp_path / "none")) == ["1:1: there is no such file"]
    assert said(read_file(tmp_path / ("x" * 300))) == ["1:1: cannot be read: File name too long"]
    assert said(read_file(Path("a\0b"))) != []


_SIGNS = st.sampled_from(
    [*"*#?@%`&!|>:[]{},-'\"\\\n\t ab1+~", "\n  ", ": ", "- ", "<<", "---\n", "\ufeff", "\x85", "\u2028"]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_SIGNS, max_size=40).map("".join)))
def test_no_text_raises(text: str) -> None:
    tree = read_text(text, "f")
    lines = max(text.count("\n"), len(text.splitlines())) + 1
    for problem in tree.problems:
        assert 1 <= problem.position.line <= lines + 1
        assert problem.position.column >= 1
        assert problem.message


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    read_bytes(data, "f")
