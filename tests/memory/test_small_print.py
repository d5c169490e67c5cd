"""The small print of the memory, sentence by sentence, told in stories."""

import pytest

from tests.memory.playing import play
from tests.memory.telling import Story, told

ROWS_AND_CLOCKS = told("""
the sentence of the book: Anna fails, Ivan fails, the customer talks to Ivan, and goes to Anna
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 customer calls: ivan talks 1m
    mon 12:00 -> anna

an attempt's row exists from the INVITE
    {preset: acr-out}
    mon 09:00 anna calls (rings 1m): talks 10m
    mon 09:00:01 -> anna
    mon 09:05 -> anna

its clock starts at the end of the call
    {preset: acr-out, ttl: 1h}
    mon 09:00 anna calls (rings 1m): talks 2h
    mon 10:30 -> anna
    mon 12:01 -> anna
    mon 12:02 -> queue

an answer's row exists from the answer
    {preset: acr-in}
    mon 09:00 customer calls (rings 20s): anna talks 10m
    mon 09:00:10 -> queue
    mon 09:00:20 -> anna

with a least talk it exists from when that is reached
    {preset: acr-in, min_talk: 30s}
    mon 09:00 customer calls: anna talks 10m
    mon 09:00:29 -> queue
    mon 09:00:30 -> anna

a talk below the least teaches nothing
    {preset: acr-in, min_talk: 30s}
    mon 09:00 customer calls: anna talks 29s
    mon 10:00 -> queue

a row that expires while her telephone rings is made anew by the failure
    {preset: vipex-1, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 09:59 anna calls (rings 2m): no answer
    mon 10:02 -> anna
    mon 11:01 -> anna
    mon 11:02 -> queue

after expiry only what creates makes a row again
    {preset: acr-out, create: out_answered, ttl: 1h}
    mon 09:00 anna calls: talks 1m
    mon 10:02 customer calls: anna talks 1m
    mon 10:10 -> queue
    mon 11:00 anna calls: talks 1m
    mon 11:10 -> anna

two calls of his at once: while one of them lasts, it is live
    {preset: vipex-4, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 09:50 customer calls: olga talks 3h
    mon 10:00 customer calls: nobody
    mon 12:00 -> anna
    mon 13:50 -> anna
    mon 13:51 -> queue

two talks of theirs at once: the longer one tells
    {preset: acr, ttl: 10m}
    mon 08:55 customer calls: anna talks 1m
    mon 09:00 customer calls: anna talks 2h
    mon 09:30 customer calls: anna talks 5m
    mon 10:30 -> anna
    mon 11:10 -> anna
    mon 11:11 -> queue

what only makes rows changes nothing of a live one, not even while it lasts
    {preset: vipex-1, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 09:30 ivan calls: busy
    mon 09:50 anna calls: voicemail 30m
    mon 09:55 -> ivan
    mon 10:10 -> ivan
    mon 10:31 -> queue

a refresh in the last second keeps it
    {preset: vipex-2, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 10:00 anna calls: trunk fails
    mon 11:00 -> anna

and one second later not
    {preset: vipex-2, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 10:00:01 anna calls: trunk fails
    mon 10:01 -> queue

a talk after it has expired ends it all the same: a longer time would not bring it back
    {preset: missed-once, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 11:00 customer calls: anna talks 1m
    mon 11:30 -> queue
""")

FAILURES = told("""
no answer is a failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls (rings 30s): no answer
    mon 10:00 -> anna

declined is a failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: declined
    mon 10:00 -> anna

unavailable is a failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: unavailable
    mon 10:00 -> anna

refused counts as failed
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: refused
    mon 10:00 -> anna

that she hung up before the answer is a failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls (rings 10s): hangs up
    mon 10:00 -> anna

voicemail is a failure, known when it answers
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls (rings 20s): voicemail 5m
    mon 09:00:19 -> queue
    mon 09:00:20 -> anna
    thu 09:05:20 -> anna
    thu 09:05:21 -> queue

nor does half an hour of voicemail end what she tried before
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 anna calls: voicemail 30m
    mon 11:00 -> anna

a voicemail is no answer
    {preset: acr-out, create: out_answered}
    mon 09:00 anna calls: voicemail 30m
    mon 10:00 -> queue

a trunk's failure is none of the customer
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: trunk fails
    mon 10:00 -> queue

an unknown number is none
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: unknown number
    mon 10:00 -> queue

our own refusal is none
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: rejected
    mon 10:00 -> queue

a trunk's failure is an attempt
    {preset: acr-out}
    mon 09:00 anna calls: trunk fails
    mon 10:00 -> anna

an unknown number is an attempt
    {preset: acr-out}
    mon 09:00 anna calls: unknown number
    mon 10:00 -> anna

our own refusal is not
    {preset: acr-out}
    mon 09:00 anna calls: rejected
    mon 10:00 -> queue

forwarded to somebody who was busy is busy
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: forwarded busy
    mon 10:00 -> anna

forwarded to where a trunk failed is the trunk's failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: forwarded trunk fails
    mon 10:00 -> queue

forwarded, and nobody followed: an attempt of which no more is known
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: forwarded
    mon 10:00 -> queue

a redirected call teaches nothing: what came next was the trunk's doing
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls: redirected
    thu 09:01 -> queue
""")

WHO_TALKED = told("""
a named one who is no agent of ours teaches nothing
    {preset: acr-in}
    mon 09:00 customer calls: outside talks 5m
    mon 10:00 -> queue

nor does he take anything from the last
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 customer calls: outside talks 5m
    mon 11:00 -> anna

nor a voicemail
    {preset: acr-in}
    mon 09:00 customer calls: voicemail 1m
    mon 10:00 -> queue

after a transfer, the one who talked last
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m, ivan 5m
    mon 10:00 -> ivan

both of them talked
    {preset: acr-in, keep: all}
    mon 09:00 customer calls: anna talks 5m, ivan 5m
    mon 10:00 -> ivan, anna

or the first, if so set
    {preset: acr-in, keep: first}
    mon 09:00 customer calls: anna talks 5m, ivan 5m
    mon 10:00 -> anna

the last even if he had a row before
    {preset: acr-in}
    fri 09:00 customer calls: ivan talks 1m
    mon+1 09:00 customer calls: anna talks 5m, ivan 5m
    mon+1 10:00 -> ivan

and if the other one had
    {preset: acr-in}
    fri 09:00 customer calls: anna talks 1m
    mon+1 09:00 customer calls: anna talks 5m, ivan 5m
    mon+1 10:00 -> ivan

there and back: the one who talked last
    {preset: acr-in, keep: all}
    mon 09:00 customer calls: anna talks 5m, ivan 5m, anna 5m
    mon 09:12 -> anna, ivan
    mon 10:00 -> anna, ivan

while the call lasts after a transfer
    {preset: acr-in, ttl: 1m}
    mon 09:00 customer calls: anna talks 5m, ivan 1h
    mon 09:30 -> ivan

who only took the call and gave it on has not talked
    {preset: acr-in, min_talk: 10s, keep: all}
    mon 09:00 customer calls: anna talks 5s, ivan 5m
    mon 10:00 -> ivan

a transfer outside takes nothing from the first
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m, outside 1h
    mon 09:30 -> anna
    mon 11:00 -> anna

a transfer ends the row of each who talked
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 customer calls: anna talks 1m, ivan 1m
    mon 12:00 -> queue

another person on her outgoing call: the attempt is hers
    {preset: acr-out}
    mon 09:00 anna calls: ivan talks 5m
    mon 10:00 -> anna

and the conversation his
    {preset: acr-out}
    mon 08:00 ivan calls: busy
    mon 09:00 anna calls: ivan talks 5m
    mon 10:00 -> ivan

the conversation with him does not end hers
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 anna calls: ivan talks 5m
    sat 09:05 -> anna
    sat 09:06 -> queue

nor has her call failed
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: ivan talks 5m
    mon 10:00 -> queue

the answer is his too
    {preset: acr-out, create: out_answered}
    mon 09:00 anna calls: ivan talks 5m
    mon 10:00 -> ivan

an outgoing transfer: both have talked
    {preset: ringostat-scheme, ttl: 7d, create: out_answered, keep: all}
    mon 09:00 anna calls: talks 5m, ivan 5m
    mon 10:00 -> ivan, anna

an outgoing call that went on with somebody outside has not failed
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: talks 2s, outside 5m
    mon 10:00 -> queue

nobody knows who called
    {preset: acr-out}
    mon 09:00 outside calls: busy
    mon 10:00 -> queue

used means through the queue too
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls (rings 3m): anna talks 1m
    mon 11:00 -> queue

used by each who talked, after a transfer
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: ivan talks 1m, anna 1m
    mon 11:00 -> queue
""")

KEEP = told("""
keep last: by the end of the call, not by its start
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1h
    mon 09:30 customer calls: ivan talks 5m
    mon 11:00 -> anna

keep last: a call in progress is the latest
    {preset: acr-out}
    mon 09:00 anna calls: talks 1h
    mon 09:30 ivan calls: busy
    mon 09:45 -> anna

keep last: of two in progress the one that began last
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1h
    mon 09:30 customer calls: ivan talks 1h
    mon 09:45 -> ivan

keep first: who was there first, whoever came later
    {preset: acr-in, keep: first}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 -> anna

keep first: by the start of the row, not by its end
    {preset: acr-out, keep: first}
    mon 09:00 anna calls: talks 1h
    mon 09:30 ivan calls: busy
    mon 11:00 -> anna

keep first: once it has expired the next one is first, and it comes back behind
    {preset: acr-24h, keep: first}
    mon 09:00 customer calls: anna talks 1m
    tue 08:00 customer calls: ivan talks 1m
    tue 09:02 -> ivan
    tue 09:03 customer calls: anna talks 1m
    tue 09:30 -> ivan

keep all: newest first
    {preset: acr-in, keep: all}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 customer calls: olga talks 1m
    mon 12:00 -> olga, ivan, anna
    mon 13:00 customer calls: anna talks 1m
    mon 14:00 -> anna, olga, ivan

keep all: only those that live
    {preset: acr-24h, keep: all}
    mon 09:00 customer calls: anna talks 1m
    tue 08:00 customer calls: ivan talks 1m
    tue 12:00 -> ivan

who has left drops out before keep
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 -> anna (left ivan)
    mon 11:00 -> queue (left ivan anna)

who is in no rule at all drops out
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ghost talks 1m
    mon 11:00 -> anna

whose calls are not sticky drops out
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: zoe talks 1m
    mon 11:00 -> anna

who is on leave does not: the step is skipped
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 -> queue (leave ivan)

who is on leave, with keep all: the next one
    {preset: acr-in, keep: all}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 -> anna (leave ivan)

who is busy is rung all the same, by a step without skip_busy
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 11:00 -> anna (busy anna)

whose PBX is down does not drop out: the step is skipped
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 11:00 -> queue (down pbx)
""")

SCOPE = told("""
scope number: each number has its own person
    {preset: acr-in, scope: number}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls (line): ivan talks 1m
    mon 11:00 -> anna
    mon 11:00 -> ivan (line)

scope number: outgoing, the number shown
    {preset: acr-out, scope: number}
    mon 09:00 anna calls (line): busy
    mon 10:00 -> queue
    mon 10:00 -> anna (line)

scope number: a withheld one makes no row
    {preset: acr-out, scope: number}
    mon 09:00 anna calls (withheld): busy
    mon 10:00 -> queue
    mon 10:00 -> queue (line)

scope number: nor a foreign one
    {preset: acr-out, scope: number}
    mon 09:00 anna calls (foreign): busy
    mon 10:00 -> queue

scope everywhere: withheld is as good
    {preset: acr-out}
    mon 09:00 anna calls (withheld): busy
    mon 10:00 -> anna
    mon 10:00 -> anna (line)

scope number: a conversation ends the row over any number
    {preset: vipex-1, ttl: 3d, scope: number}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls (line): anna talks 1m
    mon 11:00 -> queue

scope number: and over a withheld one
    {preset: vipex-1, ttl: 3d, scope: number}
    mon 09:00 anna calls: busy
    mon 10:00 anna calls (withheld): talks 1m
    mon 11:00 -> queue

scope number: it is used up only in scope
    {preset: missed-once, ttl: 3d, scope: number}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls (line): anna talks 1m
    mon 11:00 -> anna
    mon 12:00 customer calls: anna talks 1m
    mon 13:00 -> queue

scope number: his calls restart clocks in scope only
    {preset: vipex-4, ttl: 3d, scope: number}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls (line): nobody
    thu 09:01 -> queue

scope number: her attempt over another number leaves the clock alone
    {preset: vipex-2, ttl: 3d, scope: number}
    mon 09:00 anna calls: busy
    wed 09:00 anna calls (line): busy
    thu 09:01 -> queue
    thu 09:01 -> anna (line)
""")

FILTERS = told("""
learn_from a header: campaign calls only
    {preset: acr-out, learn_from: {header: {X-Campaign: "summer*"}}}
    mon 09:00 anna calls (X-Campaign: summer-1): busy
    mon 10:00 ivan calls: busy
    mon 11:00 ivan calls (X-Campaign: winter): busy
    mon 12:00 -> anna

learn_from agents
    {preset: acr-in, learn_from: {agents: [anna]}}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 -> anna

learn_from groups
    {preset: acr-in, learn_from: {groups: [sales]}}
    mon 09:00 customer calls: ivan talks 1m
    mon 10:00 customer calls: olga talks 1m
    mon 11:00 -> ivan

learn_from peers
    {preset: acr-in, learn_from: {peers: [trunk-b]}}
    mon 09:00 customer calls (from trunk-b): anna talks 1m
    mon 10:00 customer calls: ivan talks 1m
    mon 11:00 -> anna

learn_from numbers
    {preset: acr-out, learn_from: {numbers: ["+48221119900"]}}
    mon 09:00 anna calls (line): busy
    mon 10:00 ivan calls: busy
    mon 11:00 olga calls (withheld): busy
    mon 12:00 -> anna

learn_from numbers that are not ours
    {preset: acr-out, learn_from: {numbers: ["+48229999999"]}}
    mon 09:00 anna calls (foreign): busy
    mon 10:00 ivan calls: busy
    mon 12:00 -> anna

all keys must hold
    {preset: acr-out, learn_from: {agents: [anna], header: {X-Campaign: "*"}}}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls (X-Campaign: summer): busy
    mon 11:00 -> queue
    mon 12:00 anna calls (X-Campaign: summer): busy
    mon 13:00 -> anna

learn_from limits refreshing
    {preset: acr-24h, learn_from: {header: {X-Campaign: "*"}}}
    mon 09:00 anna calls (X-Campaign: summer): busy
    tue 08:00 customer calls: anna talks 1m
    tue 09:00 -> anna
    tue 09:01 -> queue

learn_from limits no ending
    {preset: vipex-1, ttl: 3d, learn_from: {header: {X-Campaign: "*"}}}
    mon 09:00 anna calls (X-Campaign: summer): busy
    mon 10:00 customer calls: anna talks 1m
    mon 11:00 -> queue

learn_from does not limit the customer's own calls
    {preset: vipex-4, ttl: 3d, learn_from: {header: {X-Campaign: "*"}}}
    mon 09:00 anna calls (X-Campaign: summer): busy
    wed 09:00 customer calls: nobody
    sat 09:00 -> anna

learn: false makes nothing and refreshes nothing
    {preset: acr-24h}
    mon 09:00 anna calls (no learn): busy
    mon 10:00 -> queue
    mon 11:00 anna calls: busy
    tue 10:00 customer calls (no learn): anna talks 1m
    tue 11:01 -> queue

learn: false ends all the same
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls (no learn): anna talks 1m
    mon 11:00 -> queue

learn: false: his own call counts
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls (no learn): nobody
    sat 09:00 -> anna
""")

USE = told("""
during limits use by the time of the incoming call
    {preset: acr-in, during: office}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 -> anna
    mon 19:00 -> queue
    sat 10:00 -> queue

during does not limit learning
    {preset: acr-in, during: office}
    sat 10:00 customer calls: anna talks 1m
    mon+1 09:00 -> anna

an anonymous caller is nobody's
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 -> queue (anonymous)

who is never a customer teaches nothing
    {preset: acr}
    mon 09:00 customer calls (nobody: shared): anna talks 1m
    mon 09:30 ivan calls (nobody: shared): busy
    mon 10:00 -> queue

marked as shared later: not offered, but not gone
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 -> queue (shared)
    mon 11:00 customer calls (nobody: shared): ivan talks 1m
    mon 12:00 -> queue (shared)
    mon 13:00 -> anna

a crash in mid-call: the clock is the last moment that it lived
    {preset: acr-24h}
    mon 09:00 customer calls (crash 10m): anna talks 1h
    tue 09:10 -> anna
    tue 09:11 -> queue

a crash while it rang: an attempt, and no failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls (rings 60s) (crash 30s): no answer
    mon 10:00 -> queue

a crash while it rang: the attempt counts
    {preset: acr-out}
    mon 09:00 anna calls (rings 60s) (crash 30s): no answer
    mon 10:00 -> anna

a crash after three seconds of talk: nothing failed
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls (crash 3s): talks 1m
    mon 10:00 -> queue

a crash after enough talk: they have talked
    {preset: vipex-1, ttl: 3d}
    mon 08:00 anna calls: busy
    mon 09:00 anna calls (crash 30s): talks 1m
    mon 10:00 -> queue

a crash while the voicemail recorded: it had failed before
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls (crash 30s): voicemail 1m
    mon 10:00 -> anna
""")


@pytest.mark.parametrize("story", [*ROWS_AND_CLOCKS, *FAILURES, *WHO_TALKED, *KEEP, *SCOPE, *FILTERS, *USE], ids=str)
def test_story(story: Story) -> None:
    play(story)


SEVERAL = told(
    """
several profiles are independent
    {p: {preset: vipex-1, ttl: 3d}, q: {preset: acr}}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 10:30 -> ivan
    mon 11:00 customer calls: anna talks 1m
    mon 12:00 -> ivan, anna
    mon 13:00 customer calls: ivan talks 1m
    mon 14:00 -> ivan

S4 before S0: who tried, then who talked
    {p: {preset: vipex-3, ttl: 1h}, q: {preset: acr-in}}
    mon 09:00 customer calls: anna talks 1m
    mon 10:00 ivan calls: busy
    mon 10:30 -> ivan, anna
    mon 11:30 -> anna
""",
    "rules:\n  - {name: all, route: [{sticky: p}, {sticky: q}]}\n",
)

GLOBAL_AND_SCHEME = """\
rules:
  - {name: blocked, when: {caller: {list: black}}, reject: 603}
  - {name: own person first, when: {during: office}, route: [{sticky: p}], else: next}
  - {name: line, when: {dialled: "+48221119900"}, route: [{sticky: q}, {agent: olga}]}
  - {name: shop, route: [{agent: zoe}]}
"""
S1_8 = told(
    """
S1.6 the own person first, then the number's own scheme
    {p: {preset: ringostat-global, ttl: 3d, during: office}, q: {preset: ringostat-scheme, ttl: 7d, create: in_answered}}
    mon 09:00 anna calls: busy
    mon 10:00 -> anna, zoe
    mon 19:00 -> zoe

S1.8 both exist: the scheme's settings win
    {p: {preset: ringostat-global, ttl: 3d, during: office}, q: {preset: ringostat-scheme, ttl: 7d, create: in_answered}}
    mon 09:00 anna calls: busy
    mon 09:30 customer calls: ivan talks 1m
    mon 10:00 -> ivan, olga (line)
    mon 10:00 -> anna, zoe

S1.8 the global step is left out though the scheme's has nobody
    {p: {preset: ringostat-global, ttl: 3d, during: office}, q: {preset: ringostat-scheme, ttl: 7d, create: in_answered}}
    mon 09:00 anna calls: busy
    mon 10:00 -> olga (line)

S1.8 and outside the hours of the scheme's own step
    {p: {preset: ringostat-global, ttl: 3d, during: office}, q: {preset: acr-in, during: office}}
    mon 09:00 customer calls: ivan talks 1m
    mon 09:30 anna calls: busy
    mon 10:00 -> ivan, olga (line)
    mon 19:00 -> olga (line)
""",
    GLOBAL_AND_SCHEME,
)
IN_A_CHILD = told(
    """
S1.8 in a child rule too
    {p: {preset: ringostat-global, ttl: 3d, during: office}, q: {preset: acr-in}}
    mon 09:00 customer calls: ivan talks 1m
    mon 09:30 anna calls: busy
    mon 10:00 -> ivan (line)
    mon 10:00 -> anna
""",
    """\
rules:
  - {name: own person first, route: [{sticky: p}], else: next}
  - name: schemes
    rules:
      - {name: line, when: {dialled: "+48221119900"}, route: [{sticky: q}]}
""",
)


@pytest.mark.parametrize("story", [*SEVERAL, *S1_8, *IN_A_CHILD], ids=str)
def test_story_of_rules(story: Story) -> None:
    play(story)
