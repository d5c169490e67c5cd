"""What is said of rule files with a mistake: every problem, its words and its place."""

from pathlib import Path

import pytest
from rulefiles import BASE, FALLBACK, SETTINGS, load, of_rules, rule, when

from sipacr.rulefile import load_rules
from sipacr.settings import load_settings

# Each case: what stands in the file, and all that is said of it.
# fmt: off
FILES = [
    ("rules: []", ['1:1: error: "rules" is empty']),
    ("rules: {}", ["1:8: error: a list is expected here, not a mapping (key: value); write it with dashes or in [ ]"]),
    ("rules: x", ['1:8: error: a list is expected here, not "x"; write it with dashes or in [ ]']),
    ("rules:", ['1:1: error: "rules" has no value']),
    ("agents: {}", ['1:1: error: "agents" is empty']),
    ("agents: [anna]", ["1:9: error: a mapping (key: value) is expected here, not a list"]),
    ("agents:\n  bob: {}", ['2:3: error: "bob" is empty']),
    ('agents:\n  bob: {extension: 103, mobil: "+48"}', ['2:25: error: unknown key "mobil" in an agent; did you mean "mobile"?', '2:32: error: "+48" is no telephone number; write it like +48601222333']),
    ('agents:\n  bob: {extension: 103, mobile: "12"}', ['2:33: error: "12" is no telephone number; write it like +48601222333']),
    ("agents:\n  bob: {extension: 103, pbx: trunk-a}", ['2:30: error: "trunk-a" is a trunk; an extension is at a peer with role pbx']),
    ("agents:\n  bob: {extension: 103, pbx: pbxx}", ['2:30: error: unknown peer "pbxx"; did you mean "pbx"?']),
    ("agents:\n  bob: {extension: 101}", ['2:20: warning: "anna" has the extension 101 at pbx too']),
    ("agents:\n  bob: 103", ['2:8: error: a mapping such as {extension: 101} is expected here, not "103"']),
    ("agents:\n  bob: {extension: 103, weight: 0}", ['2:33: error: "0" is not a whole number from 1 to 1000']),
    ("agents:\n  bob: {extension: 103, weight: x}", ['2:33: error: "x" is not a whole number from 1 to 1000']),
    ("agents:\n  bob: {extension: 103, sticky: no}", ['2:33: error: "no" is neither true nor false; did you mean "false"?']),
    ("agents:\n  anna: {extension: 103}", ['2:3: error: agent "anna" is defined twice; the first one is at 00.yaml:2:3']),
    ('agents:\n  bob: {mobile: "+48601222334"}', ['2:3: error: "extension" is missing in "bob"']),
    ('agents:\n  "bob smith": {extension: "1 03"}', ['2:28: error: "1 03" is no extension: neither spaces nor @ may stand in it']),
    ("groups: {x: []}", ['1:10: error: "x" is empty']),
    ("groups: {x: [[]]}", ["1:14: error: this is empty"]),
    ("groups: {x: [[anna], []]}", ["1:22: error: this is empty"]),
    ("groups: {x: [anna, [ivan]]}", ["1:13: error: either all entries are names (one line), or all are lists (a line each)"]),
    ("groups: {x: [anan]}", ['1:14: error: unknown agent "anan"; did you mean "anna"?']),
    ("groups: {x: anna}", ['1:13: error: a list is expected here, not "anna"; write it with dashes or in [ ]']),
    ("groups: {x: [anna, anna]}", ['1:20: warning: "anna" stands twice in this group; the first place counts']),
    ("groups: {x: [[anna],[sales]]}", ['1:22: error: unknown agent "sales"; "sales" is a group']),
    ("groups: {sales: [anna]}", ['1:10: error: group "sales" is defined twice; the first one is at 00.yaml:4:10']),
    ("lists: {x: }", ['1:9: error: "x" has no value']),
    ("lists: {x: {known: yes}}", ['1:20: error: "yes" is neither true nor false; did you mean "true"?']),
    ("lists: {x: {knwon: true}}", ["1:13: error: unknown key \"knwon\" in a list's declaration; did you mean \"known\"?"]),
    ("lists: [x]", ["1:8: error: a mapping (key: value) is expected here, not a list"]),
    ("lists: {black: {}}", ['1:9: error: list "black" is defined twice; the first one is at 00.yaml:5:9']),
    ("lists: {x: [a]}", ["1:12: error: {} or {known: true} (the numbers themselves are data: sipacr list add) is expected here, not a list"]),
    ("fallback: queue-main", ["1:1: error: fallback stands once in all files; the first one is at 00.yaml:8:1"]),
    ("foo: 1", ['1:1: error: unknown key "foo" in a rule file; a rule file has agents, groups, lists, schedules, sticky, rules, outgoing, fallback']),
    ("agnets: {x: {extension: 1}}", ['1:1: error: unknown key "agnets" in a rule file; did you mean "agents"?']),
    ("peers: {}", ['1:1: error: unknown key "peers" in a rule file; "peers" belongs in sipacr.yaml']),
    ("destinations: {x: 1@pbx}", ['1:1: error: unknown key "destinations" in a rule file; "destinations" belongs in sipacr.yaml']),
    ("- a", ["1:1: error: a rule file is a mapping (agents:, rules:, ...), not a list"]),
    ("just text", ['1:1: error: a rule file is a mapping (agents:, rules:, ...), not "just text"']),
    ("", ["1:1: error: this file is empty"]),
    ("fallback: quee", ["1:1: error: fallback stands once in all files; the first one is at 00.yaml:8:1", '1:11: error: unknown destination "quee"; did you mean "queue-main"?']),
]

# The condition of a rule.
CONDITIONS = [
    ("{}", ['3:5: error: "when" is empty']),
    ("", ['3:5: error: "when" has no value']),
    ("[]", ["3:11: error: a condition such as {during: office} is expected here, not a list"]),
    ("x", ['3:11: error: a condition such as {during: office} is expected here, not "x"']),
    ("{caller: {}}", ['3:12: error: "caller" is empty']),
    ("{caller: []}", ['3:12: error: "caller" is empty']),
    ('{caller: ""}', ['3:12: error: "caller" is empty']),
    ('{caller: "+48601000111"}', []),
    ('{caller: ["+48601000111", "112"]}', []),
    ('{caller: "+48221*"}', ['3:20: error: "+48221*" is no exact number; did you mean {mask: "+48221*"}?']),
    ('{caller: "22??"}', ['3:20: error: "22??" is no exact number; did you mean {mask: "22??"}?']),
    ('{caller: "+48"}', ['3:20: warning: "+48" is no number in E.164 (a plus and 7 to 15 digits), so it is compared as raw text']),
    ("{caller: {number: {}}}", ["3:29: error: a number is expected here, not a mapping (key: value)"]),
    ('{caller: {mask: "22*"}}', ['3:27: warning: the mask "22*" sees the raw number as it comes, not E.164; did you mean "+4822*"?']),
    ('{caller: {mask: "0048*"}}', ['3:27: warning: the mask "0048*" sees the raw number as it comes, not E.164; did you mean "+48*"?']),
    ('{caller: {mask: "1??"}}', []),
    ('{caller: {mask: "+48*22"}}', ['3:27: error: in mask "+48*22" the * is neither first nor last; write ? for one digit, \\* for the star key, or use contains or regex']),
    ('{caller: {mask: "+4a"}}', ['3:27: error: mask "+4a" starts with + and is compared with E.164: "a" cannot be in it']),
    ("{caller: {mask: []}}", ['3:21: error: "mask" is empty']),
    ('{caller: {contains: "22*"}}', ['3:31: error: "22*": contains takes a part of a number as it stands; for * and ? write mask']),
    ('{caller: {regex: "+48.*"}}', ["3:28: error: \"+48.*\" is no regular expression: no argument for repetition operator: +; a plus is written \\+: '\\+48.*'"]),
    ("{caller: {regex: '(?=x)'}}", ['3:28: error: "(?=x)" is no regular expression: invalid perl operator: (?=; look-ahead and look-behind do not exist here, because the engine must never go back']),
    ("{caller: {regex: '^\\+48.*'}}", ['3:28: warning: "^\\+48.*" sees the raw number; only a regex whose first signs are \\+ sees E.164 (it matches the whole anyway, so ^ and $ are not needed)']),
    ("{caller: {regex: '\\+48(22|61).*'}}", []),
    ("{caller: {regex: '[a'}}", ['3:28: error: "[a" is no regular expression: missing ]: [a']),
    ("{caller: {list: blakc}}", ['3:27: error: unknown list "blakc"; did you mean "black"?']),
    ("{caller: {list: [black, white]}}", []),
    ("{caller: {region: PLL}}", ['3:29: error: "PLL" is no region: write ISO 3166 codes such as PL or PL-14']),
    ("{caller: {region: PL-MZ}}", ['3:29: warning: "PL-MZ" is an old code; it is now called PL-14']),
    ("{caller: {region: pl}}", []),
    ("{caller: {region: [PL, XX]}}", ['3:34: error: "XX" is no country of ISO 3166-1']),
    ("{caller: {vip: yes}}", ['3:26: error: "yes" is neither true nor false; did you mean "true"?']),
    ("{caller: {vip: True}}", ['3:26: error: "True" is neither true nor false; did you mean "true"?']),
    ('{caller: {vip: "true"}}', []),
    ("{caller: {knwon: true}}", ['3:21: error: unknown key "knwon" in "caller"; did you mean "known"?']),
    ("{caller: {anonymous: 1}}", ['3:32: error: "1" is neither true nor false; did you mean "true"?']),
    ('{dialled: "+48221112234"}', ['3:21: error: "+48221112234" is not in numbers.own; did you mean "+48221112233"?']),
    ('{dialled: "221112233"}', []),
    ('{dialled: "*97"}', []),
    ("{dialled: *97}", ['3:21: error: "*97" is an alias to YAML, and there is no &97; if it is meant as text, put it in quotes']),
    ("{dialled: #31#}", ['3:21: error: "#31#" begins a comment to YAML; put it in quotes']),
    ("{dialled: {vip: true}}", ['3:22: error: unknown key "vip" in "dialled"; "vip" is asked of the caller only']),
    ("{dialled: {region: PL}}", ['3:22: error: an incoming call dials one of our own numbers: "region" of "dialled" is for outgoing rules; did you mean caller: {region: ...}?']),
    ("{dialled: {mask: ?22}}", ['3:28: error: "?22" begins with a sign of YAML; put it in quotes']),
    ("{during: offcie}", ['3:20: error: unknown schedule "offcie"; did you mean "office"?']),
    ("{during: [office, x]}", ['3:29: error: unknown schedule "x"']),
    ("{during: []}", ['3:12: error: "during" is empty']),
    ("{during: office, during: office}", ['3:28: error: "during" stands twice; the first one is at 10.yaml:3:12']),
    ("{peer: trunk-b}", ['3:18: error: unknown peer "trunk-b"; did you mean "trunk-a"?']),
    ("{peer: pbx}", []),
    ('{header: {X-A: "summer*"}}', []),
    ('{header: {X-A: ["a","*"]}}', []),
    ('{header: {"X A": a}}', ['3:21: error: "X A" is no name of a SIP header']),
    ("{header: X-A}", ['3:20: error: a mapping (key: value) is expected here, not "X-A"']),
    ("{header: {}}", ['3:12: error: "header" is empty']),
    ('{header: {X-A: "a*b"}}', ['3:26: error: in mask "a*b" the * is neither first nor last; write ? for one digit, \\* for the star key, or use contains or regex']),
    ("{header: {X-A: }}", ['3:21: error: "X-A" has no value']),
    ("{share: 10}", ['3:19: error: "10" is no share; write it like 10% or 0.5%; did you mean "10%"?']),
    ("{share: 10%}", []),
    ("{share: 110%}", ['3:19: error: "110%" is no share: more than 0% and at most 100%']),
    ("{share: 0%}", ['3:19: error: "0%" is no share: more than 0% and at most 100%']),
    ("{share: 0.5%}", []),
    ("{share: ten}", ['3:19: error: "ten" is no share; write it like 10% or 0.5%']),
    ("{any: {caller: x}}", ["3:17: error: a list is expected here, not a mapping (key: value); write it with dashes or in [ ]"]),
    ("{any: []}", ['3:12: error: "any" is empty']),
    ("{any: [{}]}", ["3:18: error: this is empty"]),
    ("{any: [{vip: true}]}", ['3:19: error: unknown key "vip" in a condition; write {caller: {vip: ...}}']),
    ("{not: {}}", ['3:12: error: "not" is empty']),
    ("{not: []}", ['3:12: error: "not" is empty']),
    ("{not: x}", ['3:17: error: a condition such as {during: office} is expected here, not "x"']),
    ("{not: [{caller: {vip: true}}, {during: office}]}", []),
    ("{all: [{during: office}]}", []),
    ("{free: 2}", ['3:12: error: unknown key "free" in a condition; "free" is reserved for a later version']),
    ("{card: x}", ['3:12: error: unknown key "card" in a condition; "card" is reserved for a later version']),
    ("{owner: anna}", ['3:12: error: unknown key "owner" in a condition; "owner" is reserved for a later version']),
    ("{vip: true}", ['3:12: error: unknown key "vip" in a condition; write {caller: {vip: ...}}']),
    ("{callr: x}", ['3:12: error: unknown key "callr" in a condition; did you mean "caller"?']),
    ("{schedule: office}", ['3:12: error: unknown key "schedule" in a condition; write {during: ...}']),
    ("{any: [{during: office}], or: x}", ['3:37: error: unknown key "or" in a condition; a condition has caller, dialled, during, peer, header, share, any, all, not']),
    ("{caller: {any: [x]}}", ['3:21: error: unknown key "any" in "caller"; "caller" has number, mask, contains, regex, list, region, vip, known, anonymous, shared']),
    ('{caller: [["a"]]}', ["3:21: error: a number is expected here, not a list"]),
    ('{caller: [{mask: "+48*"}]}', ["3:21: error: a number is expected here, not a mapping (key: value)"]),
    ("{dialled: 0048221112234}", ['3:21: error: "0048221112234" (read as +48221112234) is not in numbers.own; did you mean "+48221112233"?']),
    ('{caller: {mask: "+48 22*"}}', []),
    ('{caller: {mask: "**"}}', ['3:27: error: mask "**" has two stars; for anything write "*"']),
    ('{caller: {mask: "+48?"}}', []),
    ("{header: {X-A: ?a}}", ['3:26: error: "?a" begins with a sign of YAML; put it in quotes']),
    ("{caller: ?22}", ['3:20: error: "?22" begins with a sign of YAML; put it in quotes']),
    ('{caller: [?22, "112"]}', ['3:21: error: "?22" begins with a sign of YAML; put it in quotes']),
    ("{peer: []}", ['3:12: error: "peer" is empty']),
    ("{share: 10%, share: 20%}", ['3:24: error: "share" stands twice; the first one is at 10.yaml:3:12']),
    ("{not: [{}]}", ["3:18: error: this is empty"]),
    ("{all: [{during: office}, {}]}", ["3:36: error: this is empty"]),
    ("{caller: {region: [PL, ]}}", []),
    ("{caller: {vip: }}", ['3:21: error: "vip" has no value']),
    ("{caller: {vip: ~}}", ['3:21: error: "vip" has no value']),
    ("{caller: {vip: null}}", ['3:21: error: "vip" has no value']),
    ('{callee: "1"}', ['3:12: error: unknown key "callee" in a condition; did you mean "dialled"?']),
    ('{caller: {number: "+48601000111", numbr: x}}', ['3:45: error: unknown key "numbr" in "caller"; did you mean "number"?']),
]

# What follows the name of a rule.
RULES = [
    ("route: []", ['3:5: error: "route" is empty']),
    ("route: {agent: anna}", ["3:12: error: a list is expected here, not a mapping (key: value); write it with dashes or in [ ]"]),
    ("route: [anna]", ['3:13: error: a step such as {agent: anna} is expected here, not "anna"']),
    ("route: [{}]", ["3:13: error: this is empty"]),
    ("route: [{agent: anan}]", ['3:21: error: unknown agent "anan"; did you mean "anna"?']),
    ("route: [{agent: sales}]", ['3:21: error: unknown agent "sales"; "sales" is a group']),
    ("route: [{agent: anna, group: sales}]", ['3:27: error: a step has one target: beside "agent" there is no place for "group"']),
    ("route: [{ring: 5s}]", ["3:13: error: this step has no target: one of agent, mobile, group, vip, sticky, crm, list, to"]),
    ("route: [{agent: anna, ring: 20}]", ['3:33: error: "20" has no unit; did you mean "20s"? (ms, s, m, h, d, w)']),
    ("route: [{agent: anna, ring: 0s}]", ['3:33: error: "0s" is no time at all; leave the key out, or write a longer one']),
    ("route: [{agent: anna, ring: twenty}]", ['3:33: error: "twenty" is no length of time; write it like 20s, 5m, 24h or 3d']),
    ("route: [{agent: anna, ring: 20s}]", ['3:27: warning: "ring" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ("route: [{agent: anna, total: 0s}]", ['3:34: error: "0s" is no time at all; leave the key out, or write a longer one']),
    ("route: [{group: sales, order: longest}]", ['3:35: error: "longest" is not one of in-order, round-robin, longest-idle, random, all; did you mean "longest-idle"?']),
    ("route: [{group: sales, order: longest-idle}]", []),
    ("route: [{to: queue-main, order: all}]", ['3:30: warning: "order" means nothing for a step with "to"']),
    ("route: [{mobile: anna}]", ['3:22: error: "anna" has no mobile; give the agent one, or write {agent: anna}']),
    ("route: [{mobile: ivan}]", []),
    ("route: [{vip: false}]", ['3:19: error: "vip: false" says nothing: write vip: true, or leave the step out']),
    ("route: [{vip: true}]", []),
    ("route: [{vip: yes}]", ['3:19: error: "vip: yes" says nothing: write vip: true, or leave the step out']),
    ("route: [{sticky: return}]", ['3:22: error: unknown sticky profile "return"; did you mean "returning"?']),
    ("route: [{crm: main}]", []),
    ("route: [{list: blck}]", ['3:20: error: unknown list "blck"; did you mean "black"?']),
    ("route: [{list: black}]", []),
    ("route: [{to: queue-mian}]", ['3:18: error: unknown destination "queue-mian"; did you mean "queue-main"?']),
    ("route: [{to: 700@pbx}]", []),
    ("route: [{to: 700@nope}]", ['3:18: error: unknown peer "nope" in "700@nope"; the peers are pbx, trunk-a']),
    ('route: [{to: "@pbx"}]', ['3:18: error: "@pbx" has no valid user part before the @; write it like "600@pbx"']),
    ("route: [{to: @pbx}]", ['3:18: error: "@pbx" begins with a sign of YAML; put it in quotes']),
    ('route: [{to: "sip:700@10.0.0.5"}]', []),
    ('route: [{to: "sip:700@pbx.example.pl"}]', []),
    ('route: [{to: "sip:700@evil.example"}]', ['3:18: error: "evil.example" is no host of a declared peer (pbx, trunk-a); calls go nowhere else (toll fraud)']),
    ('route: [{to: "sip:700@10.0.0.5;transport=tcp"}]', ['3:18: error: "sip:700@10.0.0.5;transport=tcp" has parameters, which would not be sent; write user@peer']),
    ('route: [{to: "tel:+48221112233"}]', ['3:18: error: "tel:+48221112233": to takes a destination, user@peer, or a sip: URI']),
    ('route: [{to: "+48601222333"}]', ['3:18: error: unknown destination "+48601222333"; name one of sipacr.yaml, or write user@peer']),
    ("route: [{to: anna}]", ['3:18: error: unknown destination "anna"; "anna" is an agent']),
    ("route: [{agent: anna, skip_busy: yes}]", ['3:38: error: "yes" is neither true nor false; did you mean "true"?']),
    ("route: [{agent: anna, stop_on: [busy, nope]}]", ['3:43: error: "nope" is not one of busy, no_answer, unavailable, voicemail, declined, unknown_number, forwarded, unreachable, refused']),
    ("route: [{agent: anna, stop_on: busy}]", ['3:27: warning: "stop_on" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ('route: [{agent: anna, from: "a\\r\\nb"}]', ["3:33: error: line breaks and control characters may not stand in it"]),
    ("route: [{agent: anna, headers: {Via: x}}]", ["3:37: error: the header \"Via\" is SIP's or sipacr's own and cannot be set"]),
    ("route: [{agent: anna, headers: {v: x}}]", ["3:37: error: the header \"v\" is SIP's or sipacr's own and cannot be set"]),
    ("route: [{agent: anna, headers: {X-Sipacr-Rule: x}}]", ["3:37: error: the header \"X-Sipacr-Rule\" is sipacr's own and cannot be set"]),
    ("route: [{agent: anna, headers: {P-Asserted-Identity: x}}]", ["3:37: error: the header \"P-Asserted-Identity\" is SIP's or sipacr's own and cannot be set"]),
    ('route: [{agent: anna, headers: {X-A: "a\\nb"}}]', ["3:42: error: line breaks and control characters may not stand in it"]),
    ("route: [{agent: anna, headers: {X-A: b}}]", ['3:27: warning: "headers" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ("route: [{agent: anna, headers: {}}]", ['3:27: error: "headers" is empty']),
    ("route: [{agent: anna, whisper: shop}]", ['3:27: warning: "whisper" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ("redirect: [{agent: anna, ring: 20s}]", ['3:30: error: "ring" is lost after a 302, and this rule demands one; write route, or leave it out']),
    ("redirect: [{agent: anna}]\nremember: {list: white, on: answer}", ['4:33: error: "on: answer" is lost after a 302, and this rule demands one; write route, or leave it out']),
    ("redirect: [{agent: anna}]", []),
    ("relay: [{agent: anna}]", []),
    ("route: [{agent: anna}]\nreject: 403", ['4:5: error: a rule does one thing: beside "route" there is no place for "reject"']),
    ("reject: 603", []),
    ("reject: 401", ["3:13: error: 401 asks the caller for a password, which sipacr never checks; write 403"]),
    ("reject: 302", ['3:13: error: "302" is no SIP status from 400 to 699; to redirect write redirect: with steps']),
    ("reject: 200", ['3:13: error: "200" is no SIP status from 400 to 699']),
    ("reject: 700", ['3:13: error: "700" is no SIP status from 400 to 699']),
    ("reject: foo", ['3:13: error: "foo" is no SIP status from 400 to 699']),
    ('reject: {code: 480, reason: "Back", retry_after: 60s}', []),
    ("reject: {reason: x}", ['3:5: error: "code" is missing in "reject"']),
    ("reject: {code: 480, retryafter: 60s}", ['3:25: error: unknown key "retryafter" in "reject"; did you mean "retry_after"?']),
    ('reject: {code: 480, reason: "a\\nb"}', ["3:33: error: line breaks and control characters may not stand in it"]),
    ("reject: []", ["3:13: error: a SIP status from 400 to 699 is expected here, not a list"]),
    ("route: [{agent: anna}]\nelse: nxt", ['4:11: error: "nxt" is not one of fallback, next, end, {reject: 480}; did you mean "next"?']),
    ("route: [{agent: anna}]\nelse: {reject: 480}", []),
    ("route: [{agent: anna}]\nelse: {reject: 407}", ["4:20: error: 407 asks the caller for a password, which sipacr never checks; write 403"]),
    ("route: [{agent: anna}]\nelse: [x]", ["4:11: error: fallback, next, end or {reject: 480} is expected here, not a list"]),
    ("route: [{agent: anna}]\nelse: {rejcet: 407}", ['4:12: error: unknown key "rejcet" in "else"; did you mean "reject"?', "4:20: error: 407 asks the caller for a password, which sipacr never checks; write 403"]),
    ("reject: 403\nelse: next", ['4:5: warning: "else" means nothing beside "reject": there is no last step']),
    ("tag: x", ["2:5: error: this rule does nothing: it needs one of route, redirect, relay, reject, rules"]),
    ("route: [{agent: anna}]\nlearn: off", ['4:12: error: "off" is neither true nor false; did you mean "false"?']),
    ("route: [{agent: anna}]\nlearn: false\ntag: a", []),
    ("route: [{agent: anna}]\nremember: white", ['4:15: error: a mapping such as {list: white, on: call} is expected here, not "white"']),
    ("route: [{agent: anna}]\nremember: {list: withe}", ['4:22: error: unknown list "withe"; did you mean "white"?']),
    ("route: [{agent: anna}]\nremember: {list: white, on: cal}", ['4:33: error: "cal" is not one of call, answer; did you mean "call"?']),
    ("route: [{agent: anna}]\nremember: {on: call}", ['4:5: error: "list" is missing in "remember"']),
    ("route: [{agent: anna}]\nremember: {list: white, on: answer}", ['4:33: warning: "on: answer" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ("route: [{agent: anna}]\nmaximum: 60s", ['4:5: error: unknown key "maximum" in a rule; a rule has name, when, route, redirect, relay, reject, rules, else, tag, learn, remember, max_ring, connect']),
    ("route: [{agent: anna}]\nmaxring: 60s", ['4:5: error: unknown key "maxring" in a rule; did you mean "max_ring"?']),
    ("relay: [{agent: anna}]\nmax_ring: 60s\nconnect: 2s", []),
    ("rules: [{name: y, reject: 403}]\nmax_ring: 60s", []),
    ("relay: [{agent: anna}]\nmax_ring: 60", ['4:15: error: "60" has no unit; did you mean "60s"? (ms, s, m, h, d, w)']),
    ("reject: 403\nconnect: 0s", ['4:5: warning: "connect" means nothing beside "reject": nobody is called', '4:14: error: "0s" is no time at all; leave the key out, or write a longer one']),
    ("route: [{agent: anna}]\nmax_ring: 60s", ['4:5: warning: "max_ring" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ("redirect: [{agent: anna}]\nconnect: 2s", ['4:5: error: "connect" is lost after a 302, and this rule demands one; write route, or leave it out']),
    ("route: [{agent: anna, max_ring: 60s}]", ['3:27: error: unknown key "max_ring" in a step; "max_ring" belongs to the rule, beside its route']),
    ("rules: []", ['3:5: error: "rules" is empty']),
    ("rules: [{name: y, route: [{agent: anna}]}]\nelse: next", ['4:5: warning: "else" means nothing beside "rules": there is no last step']),
    ("rules: [{name: x, route: [{agent: anna}]}]", ['3:20: error: rule "x" is defined twice; the first one is at 10.yaml:2:11']),
    ("rules: [{route: [{agent: anna}]}]", ['3:13: error: "name" is missing here']),
    ("route: [{agent: anna, timeout: 20s}]", ['3:27: error: unknown key "timeout" in a step; a step has agent, mobile, group, vip, sticky, crm, list, to, ring, total, order, skip_busy, stop_on, from, headers, whisper']),
    ("ring: 20s\nroute: [{agent: anna}]", ['3:5: error: unknown key "ring" in a rule; "ring" belongs in a step: route: [{ring: ...}]']),
    ("caller: x\nroute: [{agent: anna}]", ['3:5: error: unknown key "caller" in a rule; "caller" belongs under "when"']),
    ("route: [{agent: anna}]\nelse:", ['4:5: error: "else" has no value']),
    ('route: [{agent: anna}]\ntag: ""', ['4:5: error: "tag" is empty']),
    ("route: [{agent: anna}]\ntag: [a]", ["4:10: error: a text is expected here, not a list"]),
    ('route: [{to: ""}]', ['3:14: error: "to" is empty']),
    ('route: [{to: "700@trunk-a"}]', []),
    ("route: [{to: [queue-main]}]", ["3:18: error: a text is expected here, not a list"]),
    ("route: [{agent: anna, ring: 20s, ring: 30s}]", ['3:38: error: "ring" stands twice; the first one is at 10.yaml:3:27']),
    ("route:\n- agent: anna\n  ring: 20\n- agent: anan", ['5:13: error: "20" has no unit; did you mean "20s"? (ms, s, m, h, d, w)', '6:14: error: unknown agent "anan"; did you mean "anna"?']),
    ("route:\n  - agent anna", ['4:9: error: a step such as {agent: anna} is expected here, not "agent anna"']),
    ('route: [{agent: anna, headers: {"X A": b}}]', ['3:37: error: "X A" is no name of a SIP header']),
    ("route: [{agent: anna, headers: {Content-Type: b}}]", ["3:37: error: the header \"Content-Type\" is SIP's or sipacr's own and cannot be set"]),
    ("route: [{agent: anna, ring: -5s}]", ['3:33: error: "-5s" is no length of time; write it like 20s, 5m, 24h or 3d']),
    ('route: [{agent: anna, ring: "20 s"}]', ['3:33: error: "20 s" is no length of time; write it like 20s, 5m, 24h or 3d']),
    ("route: [{agent: anna, ring: 1m30s}]", ['3:27: warning: "ring" is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)']),
    ("reject: {code: 480, retry_after: 0s}", ['3:38: error: "0s" is not a whole number of seconds, at least one']),
    ("reject: {code: 480, retry_after: soon}", ['3:38: error: "soon" is no length of time; write it like 20s, 5m, 24h or 3d']),
    ('reject: "480"', []),
    ("reject: 4xx", ['3:13: error: "4xx" is no SIP status from 400 to 699']),
    ("redirect: [{to: voicemail}]\nelse: end", []),
    ("route: [{group: anna}]", ['3:21: error: unknown group "anna"; "anna" is an agent']),
    ("route: [{sticky: true}]", ['3:22: error: unknown sticky profile "true"']),
    ("route: [{list: anna}]", ['3:20: error: unknown list "anna"; "anna" is an agent']),
    ("route: [{agent: [anna, ivan]}]", ["3:21: error: the name of an agent is expected here, not a list"]),
]

# Within `schedules: {s: {...}}`.
SCHEDULES = [
    ('mon: "08:00-12:00"', []),
    ("mon: 08:00-12:00", []),
    ('mon-fri: ["08:00-12:00", "12:30-20:00"]', []),
    ("mon: []", ['2:7: error: "mon" is empty']),
    ('mon: ""', ['2:7: error: "mon" is empty']),
    ("{}", ['2:3: error: "s" is empty', "2:7: error: a key is one word, not a list or a mapping; if it is meant as text, put it in quotes"]),
    ('mon: "8-12"', ['2:12: error: "8-12" is no span of time; write it like "08:00-18:00"']),
    ('mon: "25:00-26:00"', ['2:12: error: "25:00" does not exist; a day goes from 00:00 to 24:00']),
    ('mon: "08:60-09:00"', ['2:12: error: "08:60" does not exist; a day goes from 00:00 to 24:00']),
    ('mon: "08:00-24:00"', []),
    ('mon: "08:00-24:01"', ['2:12: error: "24:01" does not exist; a day goes from 00:00 to 24:00']),
    ('mon: "24:00-06:00"', ['2:12: error: "24:00-06:00" begins at 24:00, which is the end of the day; write 00:00 and the day after']),
    ('mon: "08:00-08:00"', ['2:12: error: "08:00-08:00" is no time at all; a whole day is 00:00-24:00']),
    ('mon: "22:00-06:00"', []),
    ('mon: "08:00-12:00, 13:00-14:00"', ['2:12: error: "08:00-12:00, 13:00-14:00" is no span of time; write it like "08:00-18:00"; several spans stand in a list']),
    ('mon-fri: "08:00-12:00", fri: "08:00-10:00"', ['2:31: error: fri is named twice: in "mon-fri" and in "fri"']),
    ('daily: "08:00-12:00", sun: "08:00-10:00"', ['2:29: error: sun is named twice: in "daily" and in "sun"']),
    ('fri-mon: "08:00-12:00"', []),
    ('fri-mon: "08:00-12:00", sun: "08:00-09:00"', ['2:31: error: sun is named twice: in "fri-mon" and in "sun"']),
    ('Mon-Fri: "08:00-12:00"', ['2:7: error: "Mon-Fri" is no day; write mon, mon-fri or daily (or closed, open, tz); did you mean "mon-fri"?']),
    ('monday: "08:00-12:00"', ['2:7: error: "monday" is no day; write mon, mon-fri or daily (or closed, open, tz); did you mean "mon"?']),
    ('mon-fir: "08:00-12:00"', ['2:7: error: "mon-fir" is no day; write mon, mon-fri or daily (or closed, open, tz); did you mean "mon-fri"?']),
    ('weekdays: "08:00-12:00"', ['2:7: error: "weekdays" is no day; write mon, mon-fri or daily (or closed, open, tz)']),
    ('mon-tue-wed: "08:00-12:00"', ['2:7: error: "mon-tue-wed" is no day; write mon, mon-fri or daily (or closed, open, tz)']),
    ('mon: "08:00-12:00", tz: Europe/Warszawa', ['2:31: error: "Europe/Warszawa" is not an IANA time zone such as Europe/Warsaw; did you mean "Europe/Warsaw"?']),
    ('mon: "08:00-12:00", tz: Europe/London', []),
    ('mon: "08:00-12:00", tz: ../x', ['2:31: error: "../x" is not an IANA time zone such as Europe/Warsaw']),
    ('mon: "08:00-12:00", closed: [2026-12-24, 2026-02-30]', ['2:48: error: the date "2026-02-30" does not exist']),
    ('mon: "08:00-12:00", closed: 2026-12-24', []),
    ('mon: "08:00-12:00", closed: [24.12.2026]', ['2:36: error: "24.12.2026" is neither a date such as 2026-12-24 nor an iCal file such as holidays/pl.ics']),
    ('mon: "08:00-12:00", closed: [holidays/none.ics]', ["2:36: error: there is no file holidays/none.ics (paths begin at the folder of sipacr.yaml)"]),
    ('mon: "08:00-12:00", closed: []', ['2:27: error: "closed" is empty']),
    ('mon: "08:00-12:00", open: {2026-12-27: "10:00-14:00"}', []),
    ('mon: "08:00-12:00", open: {2026-13-27: "10:00-14:00"}', ['2:34: error: the date "2026-13-27" does not exist']),
    ('mon: "08:00-12:00", open: {2026-12-27: }', ['2:34: error: "2026-12-27" has no value']),
    ('mon: "08:00-12:00", open: [2026-12-27]', ["2:33: error: a mapping (key: value) is expected here, not a list"]),
    ('mon: "08:00-12:00", open: {2026-12-24: "10:00-14:00"}, closed: [2026-12-24]', ["2:34: warning: 2026-12-24 is in closed too; open counts"]),
    ("closed: [2026-12-24]", ['2:3: warning: the schedule "s" names no day, so it is never open']),
    ('open: {2026-12-24: "10:00-14:00"}', []),
    ("mon: {from: 8}", ['2:12: error: a span such as "08:00-18:00" is expected here, not a mapping (key: value)']),
    ('mon: "08:00-12:00", mon: "13:00-14:00"', ['2:27: error: "mon" stands twice; the first one is at 10.yaml:2:7']),
    ('mon: "08:00-12:00", clsoed: [2026-12-24]', ['2:27: error: unknown key "clsoed" in a schedule; did you mean "closed"?']),
    ('mon: "08:00–12:00"', ['2:12: error: "08:00–12:00" is no span of time; write it like "08:00-18:00"']),
    ('mon: "08:00-12:00", tz: CET, open: {}', ['2:36: error: "open" is empty']),
]

# Within `sticky: {s: {...}}`.
PROFILES = [
    ("preset: acr", []),
    ("preset: acr24", ['2:15: error: "acr24" is not one of acr-in, acr-out, acr, acr-24h, ringostat-global, ringostat-scheme, vipex-1, vipex-2, vipex-3, vipex-4, missed-once; did you mean "acr-24h"?']),
    ("preset: vipex-1", ['2:3: error: "ttl" is missing: preset vipex-1 has no default for it']),
    ("preset: vipex-1, ttl: 3d", []),
    ("preset: vipex-1, ttl: forever", ["2:29: error: vipex-1 is never for ever; write a time such as 3d"]),
    ("preset: vipex-1, ttl: forevr", ['2:29: error: "forevr" is no length of time; write it like 20s, 5m, 24h or 3d; did you mean "forever"?']),
    ("preset: vipex-1, ttl: 3", ['2:29: error: "3" has no unit; did you mean "3s"? (ms, s, m, h, d, w)']),
    ("preset: vipex-1, ttl: 0s", ["2:29: error: a ttl of nothing remembers nothing"]),
    ("preset: ringostat-global", ['2:3: error: "ttl" is missing: preset ringostat-global has no default for it', '2:3: error: "during" is missing: preset ringostat-global has no default for it']),
    ("preset: ringostat-global, ttl: 30d, during: office", []),
    ("preset: ringostat-global, ttl: 30d, during: ofice", ['2:51: error: unknown schedule "ofice"; did you mean "office"?']),
    ("preset: ringostat-scheme, ttl: 3d", ['2:3: error: "create" is missing: preset ringostat-scheme has no default for it']),
    ("preset: ringostat-scheme, ttl: 3d, create: in_answered", []),
    ("preset: ringostat-scheme, ttl: 3d, create: out_failed", ['2:50: error: ringostat-scheme learns from in_answered and out_answered, not from "out_failed"']),
    ("preset: missed-once", ['2:3: error: "ttl" is missing: preset missed-once has no default for it']),
    ("preset: missed-once, ttl: forever", []),
    ("{}", ['2:3: error: "s" is empty', "2:7: error: a key is one word, not a list or a mapping; if it is meant as text, put it in quotes"]),
    ("ttl: 3d", ['2:3: error: a sticky profile needs "preset" or "create": what makes a binding']),
    ("create: in_answered", []),
    ("create: [in_answerd]", ['2:16: error: "in_answerd" is not one of out_attempt, out_failed, out_answered, in_answered; did you mean "in_answered"?']),
    ("create: [in_call]", ['2:16: error: "in_call" is not one of out_attempt, out_failed, out_answered, in_answered']),
    ("create: []", ['2:7: error: "create" is empty']),
    ("preset: acr, refresh: in_call", []),
    ("preset: acr, end: converstion", ['2:25: error: "converstion" is not one of conversation, used; did you mean "conversation"?']),
    ("preset: acr, min_talk: 5", ['2:30: error: "5" has no unit; did you mean "5s"? (ms, s, m, h, d, w)']),
    ("preset: acr, min_talk: 0s", []),
    ("preset: acr, keep: lst", ['2:26: error: "lst" is not one of last, first, all; did you mean "last"?']),
    ("preset: acr, scope: numbr", ['2:27: error: "numbr" is not one of everywhere, number; did you mean "number"?']),
    ("preset: acr, learn_from: {agents: anan}", ['2:41: error: unknown agent "anan"; did you mean "anna"?']),
    ("preset: acr, learn_from: {}", ['2:20: error: "learn_from" is empty']),
    ('preset: acr, learn_from: {header: {X-Campaign: "*"}, groups: [sales], peers: pbx, numbers: "+48221112233"}', []),
    ('preset: acr, learn_from: {header: {Via: "a*b"}}', ['2:47: error: in mask "a*b" the * is neither first nor last; write ? for one digit, \\* for the star key, or use contains or regex']),
    ("preset: acr, ring: 0s", ['2:26: error: "0s" is no time at all; leave the key out, or write a longer one']),
    ("preset: acr, ring: 20s, during: office", []),
    ("preset: acr, tll: 3d", ['2:20: error: unknown key "tll" in a sticky profile; did you mean "ttl"?']),
    ("preset: forever", ['2:15: error: "forever" is not one of acr-in, acr-out, acr, acr-24h, ringostat-global, ringostat-scheme, vipex-1, vipex-2, vipex-3, vipex-4, missed-once']),
    ("preset: acr-24h, ttl: 48h", []),
]
# fmt: on


@pytest.mark.parametrize(("text", "said"), FILES)
def test_files(tmp_path: Path, text: str, said: list[str]) -> None:
    assert of_rules(tmp_path, text) == said


@pytest.mark.parametrize(("condition", "said"), CONDITIONS)
def test_conditions(tmp_path: Path, condition: str, said: list[str]) -> None:
    assert of_rules(tmp_path, when(condition)) == said


@pytest.mark.parametrize(("rest", "said"), RULES)
def test_rules(tmp_path: Path, rest: str, said: list[str]) -> None:
    assert of_rules(tmp_path, rule(rest)) == said


@pytest.mark.parametrize(("inner", "said"), SCHEDULES)
def test_schedules(tmp_path: Path, inner: str, said: list[str]) -> None:
    assert of_rules(tmp_path, f"schedules:\n  s: {{{inner}}}") == said


@pytest.mark.parametrize(("inner", "said"), PROFILES)
def test_sticky_profiles(tmp_path: Path, inner: str, said: list[str]) -> None:
    assert of_rules(tmp_path, f"sticky:\n  s: {{{inner}}}") == said


def test_every_problem_of_every_file_at_once(tmp_path: Path) -> None:
    settings = SETTINGS.replace("mode: redirect}", "mode: redirct}", 1)
    text = """\
rules:
- name: a
  when: {caller: {vip: x}}
  route: [{agnet: anna, ring: 20}, {agent: anan, group: sles, foo: 1}]
  reject: 200
agents: {b: {extension: 1, weight: x}}
"""
    base = BASE.replace("extension: 101", "extensoin: 101")
    read, ruleset, problems = load(tmp_path, text, base, settings)
    assert read is None
    assert ruleset is None
    assert [problem.partition(": error: ")[0] for problem in problems] == [
        "sipacr.yaml:5:57",
        "00.yaml:2:10",
        "10.yaml:3:24",
        "10.yaml:4:12",
        "10.yaml:4:31",
        "10.yaml:4:44",
        "10.yaml:4:50",
        "10.yaml:4:57",
        "10.yaml:4:63",
        "10.yaml:5:3",
        "10.yaml:5:11",
        "10.yaml:6:36",
    ]


def test_a_misspelt_section_is_one_problem(tmp_path: Path) -> None:
    text = "agnets:\n  bob: {extension: 103}\n" + rule("route: [{agent: bob}]")
    assert of_rules(tmp_path, text) == ['1:1: error: unknown key "agnets" in a rule file; did you mean "agents"?']


def test_what_comes_before_a_syntax_error_is_checked_too(tmp_path: Path) -> None:
    text = "rules:\n  - name: a\n    reject: 200\n  - name: b\n    when: {dialled: {mask: ?22}}\n    reject: 403\n"
    assert of_rules(tmp_path, text) == [
        '3:13: error: "200" is no SIP status from 400 to 699',
        '5:28: error: "?22" begins with a sign of YAML; put it in quotes',
    ]


def test_names_of_a_file_with_a_syntax_error_are_not_called_unknown(tmp_path: Path) -> None:
    assert of_rules(tmp_path, rule("route: [{agent: zoe}]"), BASE + "x: @y\n") == [
        '00.yaml:9:4: error: "@y" begins with a sign of YAML; put it in quotes'
    ]


def test_fallback_stands_exactly_once(tmp_path: Path) -> None:
    without = BASE.replace(FALLBACK, "")
    missing = '00.yaml:1:1: error: "fallback" is missing: the destination of every call that no rule can place'
    assert of_rules(tmp_path, rule("reject: 403"), without) == [missing]
    assert of_rules(tmp_path, "fallback: [queue-main, voicemail, 700@pbx]", without) == []
    assert of_rules(tmp_path, "fallback: anna", without) == [
        '1:11: error: unknown destination "anna"; "anna" is an agent'
    ]
    assert of_rules(tmp_path, FALLBACK) == [
        "1:1: error: fallback stands once in all files; the first one is at 00.yaml:8:1"
    ]


def test_outgoing_rules_dial_any_number_and_ask_for_its_region(tmp_path: Path) -> None:
    text = """\
outgoing:
  - name: abroad
    when: {dialled: {region: DE}}
    reject: 403
  - name: one
    when: {dialled: "+48601222333"}
    reject: 403
"""
    assert of_rules(tmp_path, text) == []
    assert of_rules(tmp_path, text.replace("outgoing", "rules"))[1:] == [
        '6:21: error: "+48601222333" is not in numbers.own; ours are +48221112233, +48221119900, *97'
    ]


def test_names_are_one_set_over_all_files(tmp_path: Path) -> None:
    assert of_rules(
        tmp_path, "agents:\n  anna: {extension: 1}\n" + rule("reject: 403") + "outgoing:\n- name: x\n  reject: 403\n"
    ) == [
        '2:3: error: agent "anna" is defined twice; the first one is at 00.yaml:2:3',
        '7:9: error: rule "x" is defined twice; the first one is at 10.yaml:4:11',
    ]


def test_two_pbxes_demand_that_agents_say_which(tmp_path: Path) -> None:
    settings = SETTINGS.replace("  trunk-a:", '  pbx-b: {role: pbx, address: "10.0.0.6", mode: redirect}\n  trunk-a:')
    said = '"pbx" is missing: several peers have role pbx (pbx, pbx-b)'
    assert of_rules(tmp_path, "agents:\n  bob: {extension: 103, pbx: pbx-b}", settings=settings) == [
        f"00.yaml:2:3: error: {said}",
        f"00.yaml:3:3: error: {said}",
    ]


def test_calls_go_to_hosts_of_peers_only(tmp_path: Path) -> None:
    """Toll fraud."""

    def said(uri: str) -> list[str]:
        return of_rules(tmp_path, rule(f'route: [{{to: "{uri}"}}]'))

    assert said("sip:700@10.0.0.5") == said("sips:700@PBX.example.pl:5061") == said("sip:%2A97@198.51.100.1") == []
    for host in ("evil.example", "10.0.0.50", "[2001:db8::1]:5060", "pbx.example.pl.evil.example"):
        assert "is no host of a declared peer" in said(f"sip:700@{host}")[0]
    for uri in ("sip:10.0.0.5", "sip:@10.0.0.5", "sip:a:b@10.0.0.5", "sip:1@10.0.0.5@evil.example", "sip:", "sip:1@"):
        assert len(said(uri)) == 1


def test_files_that_look_like_rules_and_are_not_read(tmp_path: Path) -> None:
    load(tmp_path, rule("reject: 403"))
    folder = tmp_path / "rules"
    for name in ("a.yml", ".b.yaml", "c.yaml~", "d.yaml.bak", "#e.yaml#", "F.YAML", "README.md", "x.ics", ".gitignore"):
        (folder / name).write_text("][")
    (folder / "tests").mkdir()
    settings, _ = load_settings(tmp_path / "sipacr.yaml")
    ruleset, problems = load_rules(folder, settings)
    assert ruleset is not None
    assert {Path(problem.position.file).name: problem.message.partition(": ")[2] for problem in problems} == {
        "a.yml": "rule files end in .yaml",
        ".b.yaml": "it is hidden",
        "c.yaml~": "it looks like a backup",
        "d.yaml.bak": "it looks like a backup",
        "#e.yaml#": "it looks like a backup",
        "F.YAML": "rule files end in .yaml",
    }
    assert {problem.severity for problem in problems} == {"warning"}


def test_folders_and_files_that_cannot_be_read(tmp_path: Path) -> None:
    load(tmp_path, rule("reject: 403"))
    settings, _ = load_settings(tmp_path / "sipacr.yaml")

    def said(folder: Path) -> list[str]:
        ruleset, problems = load_rules(folder, settings)
        assert ruleset is None
        return [str(problem).replace(f"{tmp_path}/", "") for problem in problems]

    assert said(tmp_path / "none") == [
        "none:1:1: error: there is no such folder; make it, or name another with rules: in sipacr.yaml"
    ]
    assert said(tmp_path / "sipacr.yaml") == ["sipacr.yaml:1:1: error: this is a file; rules: names a folder"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert said(empty) == ["empty:1:1: error: there are no rules here: write at least one file *.yaml with a fallback"]
    (empty / "a.yaml").mkdir()
    (empty / "b.yaml").write_bytes(b"fallback: queue-main\nname: caf\xe9\n")
    (empty / "c.yaml").write_text("fallback: queue-main", encoding="utf-16")
    (empty / "d.yaml").write_text("# nothing yet\n")
    (empty / "e.yaml").symlink_to(empty / "none")
    assert said(empty) == [
        "empty/a.yaml:1:1: error: this is a directory, not a file",
        "empty/b.yaml:2:10: error: the byte 0xe9 is not UTF-8; save the file as UTF-8",
        "empty/c.yaml:1:1: error: is UTF-16; save it as UTF-8",
        "empty/d.yaml:1:1: error: this file is empty",
        "empty/e.yaml:1:1: error: there is no such file",
    ]


def test_without_settings_what_can_be_checked_is(tmp_path: Path) -> None:
    load(tmp_path, rule('when: {dialled: "+48999", peer: nobody}\nroute: [{to: nowhere, ring: 20}]'))
    ruleset, problems = load_rules(tmp_path / "rules", None)
    assert ruleset is None
    assert [problem.message for problem in problems] == ['"20" has no unit; did you mean "20s"? (ms, s, m, h, d, w)']
