"""sipacr.yaml: what it says, and what is said of one with a mistake."""

from pathlib import Path

import pytest
from rulefiles import SETTINGS, load

from sipacr.routing.directory import Credentials, Destination, Health, Peer, Registration, Treatment
from sipacr.routing.numbers import NumberPlan
from sipacr.settings import Keep, Listen, Settings, TlsFiles, load_settings

LINES = SETTINGS.splitlines()
INTERNAL = ("1??",)  # masks of extensions: such numbers are never E.164
PL = NumberPlan.of("PL", INTERNAL)

# Each case: what stands there instead of the line of SETTINGS, and all that is said of it.
# fmt: off
# Line 1.
LISTEN = [
    ("", ['1:1: error: "listen" is missing']),
    ("listen: {}", ['1:1: error: "listen" is empty']),
    ("listen:", ['1:1: error: "listen" has no value']),
    ("listen: x", ['1:9: error: a mapping such as {udp: "0.0.0.0:5060"} is expected here, not "x"']),
    ("listen: {udp: []}", ['1:10: error: "udp" is empty']),
    ("listen: {public: 1.2.3.4}", ['1:1: error: "listen" needs at least one address under udp, tcp or tls']),
    ('listen: {udp: "127.0.0.1"}', []),
    ("listen: {udp: 5060}", ['1:15: error: "5060" is a port without an address; did you mean "0.0.0.0:5060"?']),
    ('listen: {udp: ":5060"}', ['1:15: error: ":5060" is neither an address nor a host name; write it like 10.0.0.5:5060']),
    ('listen: {udp: "localhost:5060"}', ['1:15: error: "localhost:5060" is no IP address of this machine; to listen on all of them write "0.0.0.0:5060"']),
    ('listen: {udp: "127.0.0.1:0"}', ['1:15: error: "127.0.0.1:0" has no valid port: a number from 1 to 65535']),
    ('listen: {udp: "127.0.0.1:99999"}', ['1:15: error: "127.0.0.1:99999" has no valid port: a number from 1 to 65535']),
    ('listen: {udp: "127.0.0.300:5060"}', ['1:15: error: "127.0.0.300" is no IPv4 address: four numbers from 0 to 255']),
    ('listen: {udp: "[::]:5060"}', []),
    ("listen: {udp: [::]:5060}", ["1:15: error: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ("listen: {udp: [[::]:5060]}", ["1:16: error: the IPv6 address [::]:5060 contains signs of YAML; put it in quotes"]),
    ('listen: {udp: "::1"}', ['1:15: error: "::1" has too many colons; an IPv6 address stands in brackets: "[2001:db8::1]:5060"']),
    ('listen: {udp: "[::1"}', ['1:15: error: "[::1" is no address; an IPv6 address with a port is written "[2001:db8::1]:5060"']),
    ('listen: {udp: "[::g]:5060"}', ['1:15: error: "::g" in brackets is no IPv6 address']),
    ('listen: {udp: ["127.0.0.1:5060","127.0.0.1"]}', ["1:33: error: 127.0.0.1 port 5060 is listed twice"]),
    ('listen: {upd: "127.0.0.1:5060"}', ['1:10: error: unknown key "upd" in "listen"; did you mean "udp"?']),
    ('listen: {udp: "127.0.0.1:5060", tls: "127.0.0.1:5061"}', ['1:1: error: "tls" is missing: "listen" has tls addresses, which need a certificate and a key']),
    ('listen: {udp: "127.0.0.1:5060", public: "203.0.113.10:5060"}', ['1:41: error: "203.0.113.10:5060" has a port; write the host alone: 203.0.113.10']),
    ('listen: {udp: "127.0.0.1:5060", public: sip.example.pl}', []),
    ('listen: {udp: "127.0.0.1:5060", public: "2001:db8::1"}', []),
    ('listen: {udp: "127.0.0.1:5060", ws: x}', ['1:33: error: unknown key "ws" in "listen"; "listen" has udp, tcp, tls, public']),
]

# After line 1.
TOP = [
    ("tls: {certificate: a}", ['2:1: error: "key" is missing in "tls"']),
    ("tls: {}", ['2:1: error: "tls" is empty']),
    ("tls: {certificate: a, key: b, client: c}", ['2:31: error: unknown key "client" in "tls"; did you mean "clients"?']),
    ("tls: {certificate: a, key: b}", []),
    ("limits: {x: 1}", ['2:1: error: unknown key "limits" in sipacr.yaml; sipacr.yaml has listen, tls, numbers, peers, destinations, outgoing_via, regions, store, rules, drain, keep, learn, metrics, strangers, bans']),
    ("agents: {a: {extension: 1}}", ['2:1: error: unknown key "agents" in sipacr.yaml; "agents" belongs in a file of the rules folder']),
    ("regions: packs/x.csv", ["2:10: error: there is no file packs/x.csv"]),
    ("store: {path: x.db}", []),
    ("keep: {records: 30d}", []),
    ("learn: {http: 127.0.0.1:8080, token_file: token}", []),
    ("learn: {http: 127.0.0.1, token_file: token}", ['2:15: error: "127.0.0.1" has no port; write it like 127.0.0.1:8080']),
    ("learn: {http: 127.0.0.1:8080}", ['2:1: error: "token_file" is missing in "learn"']),
    ("keep: {records: forever, bindings: 2w}", []),
    ("keep: {records: 0d}", ['2:17: error: "0d" is no time at all; leave the key out, or write a longer one']),
    ("keep: {records: 30}", ['2:17: error: "30" has no unit; did you mean "30s"? (ms, s, m, h, d, w)']),
    ("keep: 30d", ['2:7: error: a mapping such as {records: 400d} is expected here, not "30d"']),
    ("store: x.db", ['2:8: error: a mapping such as {path: sipacr.db} is expected here, not "x.db"']),
    ("store: {}", ['2:1: error: "store" is empty']),
    ("store: {file: x}", ['2:1: error: "path" is missing in "store"', '2:9: error: unknown key "file" in "store"; "store" has path']),
    ("rules: rulez", []),
    ("rules: [a]", ["2:8: error: a text is expected here, not a list"]),
    ("store: {path: }", ['2:9: error: "path" has no value']),
]

RATES = [("50/s", 50.0), ("600/min", 10.0), ("90/m", 1.5), ("36/h", 0.01)]
NO_RATES = [
    ("50", '"50" is no rate; write it like 50/s or 600/min'),
    ("0/s", '"0/s" is no rate; write it like 50/s or 600/min'),
    ("5/d", '"5/d" is no rate; write it like 50/s or 600/min'),
    ("1.5/s", '"1.5/s" is no rate; write it like 50/s or 600/min'),
    ("999999/s", '"999999/s" is not from one call an hour to 100000/s'),
]

# Lines 1 and 4: which peers could not be called.
WAYS = [
    ('listen: {tcp: "127.0.0.1:5060"}', "pbx: {role: pbx, address: 10.0.0.5, mode: redirect}", []),
    ('listen: {tcp: "127.0.0.1:5060"}', "pbx: {role: pbx, address: 10.0.0.5, mode: relay}", [("4:29", "pbx", "IPv4 address"), ("5:35", "trunk-a", "IPv4 address")]),
    ('listen: {tcp: "127.0.0.1:5060"}', "pbx: {role: pbx, address: 10.0.0.5, mode: redirect, health: {every: 10s}}", [("4:29", "pbx", "IPv4 address")]),
    ('listen: {udp: "127.0.0.1:5060"}', 'pbx: {role: pbx, address: [10.0.0.5, "[2001:db8::5]:5060"], mode: relay}', [("4:40", "pbx", "IPv6 address")]),
    ('listen: {udp: ["[::]:5060", "0.0.0.0:5060"]}', 'pbx: {role: pbx, address: [10.0.0.5, "[2001:db8::5]:5060"], mode: relay}', []),
    ('listen: {udp: "[::]:5060"}', "pbx: {role: pbx, address: 10.0.0.5, mode: relay, transport: tcp}", [("5:35", "trunk-a", "IPv4 address")]),
    ('listen: {udp: "127.0.0.1:5060"}', 'pbx: {role: pbx, address: 10.0.0.5, mode: relay, outbound_proxy: "[2001:db8::9]:5060"}', [("4:68", "pbx", "IPv6 address")]),
    ('listen: {udp: "[::]:5060"}', 'pbx: {role: pbx, address: pbx.example, mode: relay, transport: udp}', [("5:35", "trunk-a", "IPv4 address")]),
]

# Line 2.
NUMBERS = [
    ("", ['1:1: error: "numbers" is missing']),
    ("numbers: {}", ['2:1: error: "numbers" is empty']),
    ("numbers: {country: PL}", ['2:1: error: "timezone" is missing in "numbers"', '2:1: error: "own" is missing in "numbers"']),
    ('numbers: {country: XX, timezone: Europe/Warsaw, own: {"+48221112233": Shop}}', ['2:20: error: "XX" is not an ISO 3166-1 country code such as PL or DE']),
    ('numbers: {country: NO, timezone: Europe/Warsaw, own: {"+48221112233": Shop}}', []),
    ('numbers: {country: Poland, timezone: Europe/Warsaw, own: {"+48221112233": Shop}}', ['2:20: error: "Poland" is not an ISO 3166-1 country code such as PL or DE']),
    ('numbers: {country: PL, timezone: Warsaw, own: {"+48221112233": Shop}}', ['2:34: error: "Warsaw" is not an IANA time zone such as Europe/Warsaw; did you mean "Europe/Warsaw"?']),
    ("numbers: {country: PL, timezone: Europe/Warsaw, own: {}}", ['2:49: error: "own" is empty']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: ["+48221112233"]}', ["2:54: error: a mapping (key: value) is expected here, not a list"]),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop, "221112233": B}}', ['2:77: error: "221112233" is the same number as "+48221112233" above']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+4822": Shop}}', ['2:55: error: "+4822" is no number in E.164: a plus and 7 to 15 digits']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": }}', ['2:55: error: "+48221112233" has no value']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": S}, extensions: ["1*2"]}', ['2:88: error: in mask "1*2" the * is neither first nor last; write ? for one digit, \\* for the star key, or use contains or regex']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": S}, emergency: [112, abc]}', ['2:92: error: "abc" is no emergency number: digits only, as they are dialled']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": S}, emergncy: [112]}', ['2:75: error: unknown key "emergncy" in "numbers"; did you mean "emergency"?']),
    ('numbers: {country: PL, tz: Europe/Warsaw, own: {"+48221112233": S}}', ['2:1: error: "timezone" is missing in "numbers"', '2:24: error: unknown key "tz" in "numbers"; "numbers" has country, timezone, own, extensions, emergency']),
    ('numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": S}, extensions: ["+48*"]}', ['2:88: error: "+48*": internal numbers are compared as they are dialled, without a plus']),
]

# Line 4, after two spaces.
PEERS = [
    ("pbx: {}", ['4:3: error: "pbx" is empty']),
    ('pbx: {address: "10.0.0.5:5060", mode: redirect}', ['4:3: error: "role" is missing in "pbx"']),
    ("pbx: {role: pbx, mode: redirect}", ['4:3: error: "address" is missing in "pbx"']),
    ('pbx: {role: pbx, address: "10.0.0.5:5060"}', ['4:3: error: "mode" is missing in "pbx"']),
    ('pbx: {role: pxb, address: "10.0.0.5:5060", mode: redirect}', ['4:15: error: "pxb" is not one of pbx, trunk; did you mean "pbx"?']),
    ('pbx: {role: pbx, address: "10.0.0.5:5060", mode: redirct}', ['4:52: error: "redirct" is not one of relay, redirect; did you mean "redirect"?']),
    ('pbx: {role: pbx, address: "10.0.0.5:5060", mode: b2bua}', ['4:52: error: "b2bua" is not one of relay, redirect']),
    ("pbx: {role: pbx, address: [], mode: redirect}", ['4:20: error: "address" is empty']),
    ('pbx: {role: pbx, address: [10.0.0.5, "10.0.0.6:x"], mode: redirect}', ['4:40: error: "10.0.0.6:x" has no valid port: a number from 1 to 65535']),
    ('pbx: {role: pbx, address: "2001:db8::5:5060", mode: redirect}', ['4:29: error: "2001:db8::5:5060" has too many colons; an IPv6 address stands in brackets: "[2001:db8::1]:5060"']),
    ('pbx: {role: pbx, address: "[2001:db8::5]:5060", mode: redirect}', []),
    ("pbx: {role: pbx, address: 2001:db8::5, mode: redirect}", ['4:29: error: "2001:db8::5" has too many colons; an IPv6 address stands in brackets: "[2001:db8::1]:5060"']),
    ('pbx: {role: pbx, address: "pbx_a.example:5060", mode: redirect}', []),
    ('pbx: {role: pbx, address: "sip:10.0.0.5", mode: redirect}', ['4:29: error: "sip:10.0.0.5" is a URI; write the host alone, with its port: 10.0.0.5:5060']),
    ('pbx: {role: pbx, address: "a b", mode: redirect}', ['4:29: error: "a b" is neither an address nor a host name; write it like 10.0.0.5:5060']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: ["198.51.100.7/24"]}', ['4:65: error: "198.51.100.7/24" is an address within a network; did you mean "198.51.100.0/24"?']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: ["198.51.100.0/33"]}', ['4:65: error: "198.51.100.0/33" is no network; write it like 198.51.100.0/24 or 2001:db8:1::/64']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: ["2001:db8::/64", "10.0.0.5:5080", "2001:db8::5", "[2001:db8::5]:5060"]}', []),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: ["198.51.100.300"]}', ['4:65: error: "198.51.100.300" is no IPv4 address: four numbers from 0 to 255']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: []}", ['4:55: error: "sources" is empty']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, transport: ws}", ['4:66: error: "ws" is not one of udp, tcp, tls']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, trusted: yes}", ['4:64: error: "yes" is neither true nor false; did you mean "true"?']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, send: E164}", ['4:61: error: "E164" is not one of e164, national, international, as-is; did you mean "e164"?']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, max_contacts: 0}", ['4:69: error: "0" is not a whole number from 1 to 50']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, on_3xx: folow}", ['4:63: error: "folow" is not one of follow, pass; did you mean "follow"?']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, connect: 4}", ['4:64: error: "4" has no unit; did you mean "4s"? (ms, s, m, h, d, w)']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, connect: 0s}", ['4:64: error: "0s" is no time at all; leave the key out, or write a longer one']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, dialled_from: "a b"}', ['4:69: error: "a b" is no name of a SIP header']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, dialled_from: to}", []),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, early: first}", ['4:62: error: "first" is not one of many, one']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, outbound_proxy: sip:a}", ['4:71: error: "sip:a" is a URI; write the host alone, with its port: 10.0.0.5:5060']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, max_calls: 0}", ['4:66: error: "0" is not a number of calls from 1 to 100000']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, session_expires: 30s}", ['4:72: error: "30s" is too short: RFC 4028 knows no session under 90s; off means none']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, max_call: 0s}", ['4:65: error: "0s" is no time at all; leave the key out, or write a longer one']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, health: on}", ['4:63: error: off, or a mapping with every, down_after and up_after is expected here, not "on"']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, health: {evry: 30s}}", ['4:64: error: unknown key "evry" in "health"; did you mean "every"?']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, health: {down_after: 0}}", ['4:76: error: "0" is not a whole number from 1 to 100']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, auth: {user: a}}", ['4:55: error: "auth" needs either password or password_file']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, auth: {user: a, password: b, password_file: c}}", ['4:55: error: "auth" needs either password or password_file']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, auth: {user: a, password_file: none}}", ['4:86: error: there is no file none (paths begin at the folder of sipacr.yaml)']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, register: {}}", ['4:55: error: "register" is empty']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, register: {user: a@b}}", ['4:72: error: "a@b" is no user part: it has neither a space nor one of @ < > "']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, register: {user: a, expires: 10s}}", ['4:84: error: "10s" is not from 60s to 24h']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, identity: ppi}", ['4:65: error: "ppi" is not one of pai, rpid, from; did you mean "pai"?']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, symmetric: 1}", ['4:66: error: "1" is neither true nor false; did you mean "true"?']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, country: ZZ}", ['4:64: error: "ZZ" is not an ISO 3166-1 country code such as PL or DE']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, trustd: true}", ['4:55: error: unknown key "trustd" in a peer; did you mean "trusted"?']),
    ("pbx: {role: pbx, address: 198.51.100.1, mode: redirect}", ['5:35: warning: "pbx" claims the source 198.51.100.1 too; as it comes first, its packets are taken for "pbx"; to tell them apart give both a source with a port']),
    ('pbx: {role: pbx, address: 198.51.100.1, sources: ["198.51.100.0/24"], mode: redirect}', []),
    ('pbx: {role: pbx, address: "198.51.100.1:5080", mode: redirect}', []),
    ("pbx: x", ['4:8: error: a mapping with role, address and mode is expected here, not "x"']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, contact: ""}', ['4:55: error: "contact" is empty']),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: relay}", []),
    ('"p b": {role: pbx, address: 10.0.0.5, mode: redirect}', ['4:3: error: the name of a peer stands in user@peer, so it has no space and no @: "p b"', '6:28: error: unknown peer "pbx" in "600@pbx"; did you mean "p b"?', '6:52: error: unknown peer "pbx" in "601@pbx"; did you mean "p b"?', '6:74: error: unknown peer "pbx" in "*98@pbx"; did you mean "p b"?']),
    ('pbx: {role: pbx, address: [10.0.0.5, "10.0.0.6:5070"], mode: redirect, sources: [10.0.0.0/24, sbc.example], transport: tls, contact: "[2001:db8::5]:5061", country: DE, trusted: false, rule_header: false, send: as-is, max_contacts: 3, on_3xx: pass, dialled_from: X-Dialled}', []),
    ("pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: [198.51.100.1]}", ['5:35: warning: "pbx" claims the source 198.51.100.1 too; as it comes first, its packets are taken for "pbx"; to tell them apart give both a source with a port']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: ["198.51.100.1:5080"]}', []),
    ("pbx: {role: pbx, addres: 10.0.0.5, mode: redirect}", ['4:20: error: unknown key "addres" in a peer; did you mean "address"?']),
    ('pbx: {role: pbx, address: 10.0.0.5, mode: redirect, sources: ["10.0.0.0/8:5060"]}', ['4:65: error: "10.0.0.0/8:5060": a network has neither a port nor brackets; write it like 198.51.100.0/24']),
]

# Line 6.
DESTINATIONS = [
    ("", ['1:1: error: "destinations" is missing']),
    ("destinations: {}", ['6:1: error: "destinations" is empty']),
    ('destinations: {queue-main: "600"}', ['6:28: error: "600" has no peer; write it like "600@pbx"']),
    ('destinations: {queue-main: "600@pxb"}', ['6:28: error: unknown peer "pxb" in "600@pxb"; did you mean "pbx"?']),
    ('destinations: {queue-main: "@pbx"}', ['6:28: error: "@pbx" has no valid user part before the @; write it like "600@pbx"']),
    ("destinations: {queue-main: @pbx}", ['6:28: error: "@pbx" begins with a sign of YAML; put it in quotes']),
    ("destinations: {queue-main: *98@pbx}", ['6:28: error: "*98@pbx" is an alias to YAML; put it in quotes']),
    ("destinations: {queue-main: 600@pbx}", []),
    ("destinations: {queue-main: 600@pbx, box: {to: 700@pbx, voicemail: true}}", []),
    ("destinations: {queue-main: {to: 600@pbx}}", []),
    ("destinations: {queue-main: {voicemail: true}}", ['6:28: error: a destination needs "to", such as {to: "*98@pbx", voicemail: true}']),
    ("destinations: {queue-main: {to: 600@pbx, mail: true}}", ['6:42: error: "mail" is no key of a destination; there are to and voicemail']),
    ("destinations: [a]", ["6:15: error: a mapping (key: value) is expected here, not a list"]),
    ('destinations: {queue-main: "600@pbx", queue-main: "601@pbx"}', ['6:39: error: "queue-main" stands twice; the first one is at sipacr.yaml:6:16']),
    ('destinations: {"a@b": "600@pbx", queue-main: 600@pbx}', ['6:16: error: the name of a destination has no @ and no colon, which mean an address: "a@b"']),
]

# Line 7.
VIA = [
    ("outgoing_via: trunk-b", ['7:15: error: unknown peer "trunk-b"; did you mean "trunk-a"?']),
    ("outgoing_via: pbx", ['7:15: warning: "pbx" is a pbx; calls to the world go out by a peer with role trunk']),
    ("outgoing_via: []", ['7:1: error: "outgoing_via" is empty']),
    ("outgoing_via: [trunk-a, trunk-a]", []),
]

# fmt: on


def said(folder: Path, settings: str) -> list[str]:
    problems = load(folder, "lists: {q: {}}", settings=settings)[2]
    return [problem.removeprefix("sipacr.yaml:") for problem in problems if problem.startswith("sipacr.yaml:")]


def instead(number: int, text: str) -> str:
    """SETTINGS with another line `number`."""
    return "\n".join([*LINES[: number - 1], text, *LINES[number:]]) + "\n"


@pytest.mark.parametrize(("text", "expected"), LISTEN)
def test_listen(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(tmp_path, instead(1, text)) == expected


@pytest.mark.parametrize(("text", "expected"), TOP)
def test_other_sections(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(tmp_path, instead(1, f"{LINES[0]}\n{text}")) == expected


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_numbers(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(tmp_path, instead(2, text)) == expected


@pytest.mark.parametrize(("text", "expected"), PEERS)
def test_peers(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(tmp_path, instead(4, f"  {text}")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Treatment(refuse=False, after=10, within=600.0, ban=3600.0)),
        ("strangers: refuse", Treatment(refuse=True)),
        ("strangers: silent\nbans: off", Treatment(after=0)),
        ("bans: {after: 3, within: 1m, for: 7d}", Treatment(after=3, within=60.0, ban=7 * 86400.0)),
        ("bans: {for: 2h}", Treatment(ban=7200.0)),
    ],
)
def test_treatment_of_strangers(tmp_path: Path, text: str, expected: Treatment) -> None:
    settings, _, problems = load(tmp_path, "fallback: queue-main", None, f"{SETTINGS}{text}\n")
    assert problems == []
    assert settings is not None
    assert settings.strangers == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics: 127.0.0.1", '2:10: error: "127.0.0.1" has no port; write it like 127.0.0.1:9160'),
        (
            'metrics: "0.0.0.0:9160"',
            '2:10: error: "0.0.0.0:9160" can be reached from elsewhere, and the figures are for nobody else: 127.0.0.1:9160',
        ),
        ("strangers: ban", '2:12: error: "ban" is not one of silent, refuse'),
        ("bans: {after: 0}", '2:15: error: "0" is not a number of requests from 1 to 100000'),
        ("bans: {until: 1h}", '2:8: error: unknown key "until" in "bans"; "bans" has after, within, for'),
    ],
)
def test_wrong_words_on_strangers_and_metrics(tmp_path: Path, text: str, expected: str) -> None:
    assert said(tmp_path, instead(1, f"{LINES[0]}\n{text}")) == [expected]


@pytest.mark.parametrize(("text", "rate"), RATES)
def test_rates(tmp_path: Path, text: str, rate: float) -> None:
    line = f"  pbx: {{role: pbx, address: 10.0.0.5, mode: redirect, max_rate: {text}, max_rate_each: {text}}}"
    settings = load(tmp_path, "fallback: queue-main", None, SETTINGS.replace(LINES[3], line))[0]
    assert settings is not None
    peer = settings.directory.peers["pbx"]
    assert peer.max_rate == pytest.approx(rate)
    assert peer.max_rate_each == pytest.approx(rate)


@pytest.mark.parametrize(("text", "expected"), NO_RATES)
def test_no_rates(tmp_path: Path, text: str, expected: str) -> None:
    line = f"pbx: {{role: pbx, address: 10.0.0.5, mode: redirect, max_rate: {text}}}"
    assert said(tmp_path, instead(4, f"  {line}")) == [f"4:65: error: {expected}"]


@pytest.mark.parametrize(("listen", "pbx", "expected"), WAYS)
def test_ways_to_peers(tmp_path: Path, listen: str, pbx: str, expected: list[tuple[str, str, str]]) -> None:
    text = SETTINGS.replace(LINES[0], listen).replace(LINES[3], f"  {pbx}")
    warnings = [
        f'sipacr.yaml:{where}: warning: "{name}" cannot be called over udp: "listen" has no {kind} under udp; add one, or '
        "give the peer another transport"
        for where, name, kind in expected
    ]
    assert load(tmp_path, "fallback: queue-main", None, text)[2] == warnings


def test_no_address_of_ours_for_a_name_that_is_called_over_udp(tmp_path: Path) -> None:
    for peer, warned in (("pbx.example", False), ("pbx.example:5060", True)):
        text = SETTINGS.replace(LINES[0], "listen: {tcp: 127.0.0.1}").replace(LINES[4], "")
        text = text.replace(LINES[3], f'  pbx: {{role: pbx, address: "{peer}", mode: relay}}').replace(LINES[6], "")
        said = load(tmp_path, "fallback: queue-main", None, text)[2]
        assert [each.partition(" under")[0] for each in said] == (
            ['sipacr.yaml:4:29: warning: "pbx" cannot be called over udp: "listen" has no address'] if warned else []
        )


@pytest.mark.parametrize(("text", "expected"), DESTINATIONS)
def test_destinations(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(tmp_path, instead(6, text)) == expected


@pytest.mark.parametrize(("text", "expected"), VIA)
def test_outgoing_via(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert said(tmp_path, instead(7, text)) == expected


EXAMPLE = """\
listen:
  udp: ["0.0.0.0:5060", "[::]"]
  tls: ["0.0.0.0"]
  public: 203.0.113.10
tls: {certificate: certs/a.crt, key: /etc/a.key, clients: certs/ca.pem, ca: certs/trunks.pem}
numbers:
  country: PL
  timezone: Europe/Warsaw
  own: {"221112233": Shop A, "0048 22 111-99-00": Customers' line, "*97": Code}
  extensions: ["1??"]
  emergency: [112, "9 9 7"]
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: redirect}
  trunk-a:
    role: trunk
    address: [sip.carrier-a.example, "198.51.100.1:5070"]
    sources: ["198.51.100.0/24", "2001:db8:1::/64"]
    mode: redirect
    country: DE
    trusted: true
    send: national
    transport: tls
    max_contacts: 3
    on_3xx: pass
    dialled_from: X-Dialled
    connect: 1500ms
    early: one
    outbound_proxy: "proxy.carrier-a.example:5080"
    max_calls: 30
    session_expires: off
    max_call: 2h
    health: {every: 1m, up_after: 2}
    auth: {user: 48221112233, password_file: password}
    register: {user: 48221112233, domain: carrier-a.example, contact: main, expires: 5m}
    symmetric: true
    contact: "a.example:5061"
destinations: {queue-main: "600@pbx", voicemail: "*98@pbx"}
outgoing_via: [trunk-a]
store: {path: data/x.db}
rules: /srv/rules
drain: 2m
keep: {bindings: 90d}
"""


def read(folder: Path, text: str) -> Settings:
    path = folder / "sipacr.yaml"
    path.write_text(text, encoding="utf-8")
    settings, problems = load_settings(path)
    assert problems == []
    assert settings is not None
    return settings


def test_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret # 1\nnot this\n")
    settings = read(tmp_path, EXAMPLE)
    assert settings.path == tmp_path / "sipacr.yaml"
    assert settings.listen == Listen((("0.0.0.0", 5060), ("::", 5060)), (), (("0.0.0.0", 5061),), "203.0.113.10")
    assert settings.tls == TlsFiles(
        tmp_path / "certs/a.crt", Path("/etc/a.key"), tmp_path / "certs/ca.pem", tmp_path / "certs/trunks.pem"
    )
    assert settings.keep == Keep(400 * 86_400.0, 90 * 86_400.0)
    assert (settings.drain, settings.passwords) == (120.0, (tmp_path / "password",))
    assert (settings.store, settings.rules, settings.regions) == (tmp_path / "data/x.db", Path("/srv/rules"), ())
    directory = settings.directory
    assert (directory.plan, directory.timezone) == (PL, "Europe/Warsaw")
    assert directory.own == {"+48221112233": "Shop A", "+48221119900": "Customers' line", "*97": "Code"}
    assert (directory.extensions, directory.emergency) == (("1??",), {"112", "997"})
    assert directory.destinations == {"queue-main": Destination("600", "pbx"), "voicemail": Destination("*98", "pbx")}
    assert directory.outgoing_via == ("trunk-a",)
    assert directory.peers == {
        "pbx": Peer("pbx", "pbx", "redirect", ("10.0.0.5:5060",), PL, rule_header=True, any_transport=True),
        "trunk-a": Peer(
            "trunk-a",
            "trunk",
            "redirect",
            ("sip.carrier-a.example", "198.51.100.1:5070"),
            NumberPlan.of("DE", INTERNAL),
            sources=("198.51.100.0/24", "2001:db8:1::/64"),
            transport="tls",
            contact="a.example:5061",
            trusted=True,
            send="national",
            max_contacts=3,
            on_3xx="pass",
            dialled_from="X-Dialled",
            connect=1.5,
            early="one",
            outbound_proxy="proxy.carrier-a.example:5080",
            max_calls=30,
            session_expires=0.0,
            max_call=7200.0,
            health=Health(60.0, 3, 2),
            auth=Credentials("48221112233", "s3cret # 1"),
            register=Registration("48221112233", "carrier-a.example", "main", 300.0),
            identity="pai",
            symmetric=True,
        ),
    }


def test_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, SETTINGS)
    assert (settings.store, settings.rules, settings.tls) == (tmp_path / "sipacr.db", tmp_path / "rules", None)


def test_what_relaying_takes_for_granted(tmp_path: Path) -> None:
    peer = "  pbx: {role: pbx, address: [sip.a.example, 10.0.0.5], mode: redirect, %s}"
    short = peer % "trusted: true, identity: rpid, health: {}, session_expires: 0s, register: {user: 7}"
    one = read(tmp_path, instead(4, short)).directory.peers["pbx"]
    assert (one.identity, one.health, one.session_expires) == ("rpid", Health(), 0.0)
    assert one.register == Registration("7", "sip.a.example", "7", 600.0)
    other = read(tmp_path, instead(4, peer % "health: off")).directory.peers["pbx"]
    assert (other.identity, other.health, other.session_expires, other.max_call) == ("from", None, 1800.0, 14_400.0)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret # 1")
    assert "s3cret" not in repr(read(tmp_path, EXAMPLE))


def test_a_kept_copy_is_read_as_if_it_lay_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret # 1")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/password").write_text("other")
    read(tmp_path, EXAMPLE)
    settings, _ = load_settings(tmp_path / "sipacr.yaml", folder=tmp_path / "etc")
    assert settings is not None
    assert settings.store == tmp_path / "etc/data/x.db"


def test_regions_are_files(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs/a.csv").write_text("prefix,region\n+4822,PL-14\n")
    settings = read(tmp_path, SETTINGS + "regions: [packs/a.csv]\n")
    assert settings.regions == (tmp_path / "packs/a.csv",)
    assert said(tmp_path, SETTINGS + "regions: packs\n") == ["8:10: error: packs is a directory, not a file"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "1:1: error: this file is empty; it needs listen, numbers, peers and destinations"),
        (b"# nothing\n", "1:1: error: this file is empty; it needs listen, numbers, peers and destinations"),
        (b"listen: \xff\n", "1:9: error: the byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"- a\n", "1:1: error: sipacr.yaml is expected here, not a list"),
        (b"listen: [\n", "1:9: error: the [ that is opened here is never closed"),
    ],
)
def test_files_that_say_nothing(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "sipacr.yaml"
    path.write_bytes(data)
    settings, problems = load_settings(path)
    assert settings is None
    assert [str(problem).removeprefix(f"{path}:") for problem in problems] == [expected]


def test_no_file(tmp_path: Path) -> None:
    for path, expected in ((tmp_path, "this is a directory, not a file"), (tmp_path / "none", "there is no such file")):
        settings, problems = load_settings(path)
        assert settings is None
        assert [str(problem) for problem in problems] == [f"{path}:1:1: error: {expected}"]
