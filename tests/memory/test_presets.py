"""Each preset of the memory, told in stories: who called, answered or not, and where the customer's call goes then."""

import pytest

from tests.memory.playing import play
from tests.memory.telling import Story, told

STORIES = told("""
S0.5 acr-in: a stranger takes the standard way, then goes to whom he talked to
    {preset: acr-in}
    mon 08:59 -> queue
    mon 09:00 customer calls: anna talks 5m
    mon 09:10 -> anna

S0.5 acr-in: the last who talked with him
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 customer calls: ivan talks 5m
    mon 11:00 -> ivan
    mon 12:00 customer calls: anna talks 1m
    mon 13:00 -> anna

S0.5 acr-in: for ever
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m
    mon+200 09:00 -> anna

S0.5 acr-in: a call that nobody answered teaches nothing
    {preset: acr-in}
    mon 09:00 customer calls: nobody
    mon 09:10 customer calls (rings 30s): hangs up
    mon 10:00 -> queue

S0.5 acr-in: a talk of one second is one
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 1s
    mon 10:00 -> anna

S0.5 acr-in: an outgoing call makes no row
    {preset: acr-in}
    mon 09:00 anna calls: talks 5m
    mon 10:00 -> queue

S0.5 acr-in: an outgoing conversation makes a row the latest again
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 customer calls: ivan talks 5m
    mon 11:00 anna calls: talks 1m
    mon 12:00 -> anna

S0.5 acr-in: an outgoing attempt does not
    {preset: acr-in}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 customer calls: ivan talks 5m
    mon 11:00 anna calls (rings 30s): no answer
    mon 12:00 -> ivan

S0.7 acr-in with a ttl: 24 h from the last conversation, whoever called
    {preset: acr-in, ttl: 24h}
    mon 09:00 customer calls: anna talks 10m
    mon 20:00 anna calls: talks 10m
    tue 20:10 -> anna
    tue 20:11 -> queue

S0.6 acr-out: who called last gets the call-back
    {preset: acr-out}
    mon 09:00 anna calls: talks 5m
    mon 10:00 ivan calls: talks 5m
    mon 11:00 -> ivan

S0.6 acr-out: a mere attempt counts
    {preset: acr-out}
    mon 09:00 anna calls (rings 20s): no answer
    mon 10:00 -> anna

S0.6 acr-out: the customer who calls while his telephone rings finds her
    {preset: acr-out}
    mon 09:00 anna calls (rings 60s): no answer
    mon 09:00:30 -> anna

S0.6 acr-out: an incoming call that another answered neither moves nor ends it
    {preset: acr-out}
    mon 09:00 anna calls: talks 5m
    mon 10:00 customer calls: ivan talks 30m
    mon 11:00 -> anna

S0.6 acr: the newest contact wins
    {preset: acr}
    mon 09:00 anna calls: talks 5m
    mon 10:00 customer calls: ivan talks 30m
    mon 11:00 -> ivan
    mon 12:00 anna calls: busy
    mon 13:00 -> anna

S0.6 acr-out: a conversation on the call-back makes it the latest
    {preset: acr-out}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 customer calls: anna talks 1m
    mon 12:00 -> anna

S0.6 acr-out on answers only: an attempt is not enough
    {preset: acr-out, create: out_answered}
    mon 09:00 anna calls (rings 20s): no answer
    mon 10:00 -> queue
    mon 11:00 anna calls: talks 5s
    mon 12:00 -> anna

S0.6 acr-out on answers only: refresh follows create, an attempt moves nothing
    {preset: acr-out, create: out_answered}
    mon 09:00 anna calls: talks 1m
    mon 10:00 ivan calls: talks 1m
    mon 11:00 anna calls: busy
    mon 12:00 -> ivan
    mon 13:00 anna calls: talks 1m
    mon 14:00 -> anna

S0.7 acr is for ever
    {preset: acr}
    mon 09:00 customer calls: anna talks 5m
    mon+520 09:00 -> anna

S0.7 acr-24h ends 24 h after the end of the call
    {preset: acr-24h}
    mon 09:00 customer calls: anna talks 30m
    tue 09:29 -> anna
    tue 09:30 -> anna
    tue 09:30:01 -> queue

S0.7 acr-24h: each conversation starts it anew
    {preset: acr-24h}
    mon 09:00 customer calls: anna talks 30m
    tue 09:00 customer calls: anna talks 1h
    wed 09:59 -> anna
    wed 10:01 -> queue

S0.7 acr-24h: after that the customer is new
    {preset: acr-24h}
    mon 09:00 customer calls: anna talks 1m
    wed 09:00 -> queue
    wed 09:01 customer calls: ivan talks 1m
    wed 09:05 -> ivan

S0.7 acr-24h: an attempt makes and refreshes too
    {preset: acr-24h}
    mon 09:00 anna calls: busy
    tue 08:00 anna calls: busy
    wed 07:59 -> anna
    wed 08:01 -> queue

S0.7 acr-24h can be given another time
    {preset: acr-24h, ttl: 1h}
    mon 09:00 customer calls: anna talks 1m
    mon 10:01 -> anna
    mon 10:02 -> queue

S0.7 a calendar day is 23 hours when the clocks go forward, 24 h are 24 h
    {preset: acr-24h}
    # Sunday 2027-03-28, 2:00 becomes 3:00: told in winter's time
    sat+17 20:00 customer calls: anna talks 1m
    sun+17 20:01 -> anna
    sun+17 20:02 -> queue

S1.6 ringostat-global: outgoing calls of a period
    {preset: ringostat-global, ttl: 3d, during: office}
    mon 09:00 anna calls: talks 5m
    mon 10:00 -> anna
    thu 09:05 -> anna
    thu 09:06 -> queue

S1.6 ringostat-global: in working hours only
    {preset: ringostat-global, ttl: 3d, during: office}
    mon 09:00 anna calls: talks 5m
    mon 17:59 -> anna
    mon 18:00 -> queue
    tue 07:59 -> queue
    tue 08:00 -> anna

S1.6 ringostat-global: learning goes on outside of hours
    {preset: ringostat-global, ttl: 3d, during: office}
    mon 22:00 anna calls: busy
    mon 22:10 -> queue
    tue 09:00 -> anna

S1.6 ringostat-global: incoming calls teach nothing
    {preset: ringostat-global, ttl: 3d, during: office}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 -> queue
    mon 11:00 ivan calls: busy
    mon 12:00 customer calls: anna talks 5m
    mon 13:00 -> ivan
    thu 11:01 -> queue

S1.7 ringostat-scheme: incoming and outgoing conversations of a period
    {preset: ringostat-scheme, ttl: 7d, create: [in_answered, out_answered]}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 -> anna
    mon 11:00 ivan calls: talks 5m
    mon 12:00 -> ivan
    mon+1 11:05 -> ivan
    mon+1 11:06 -> queue

S1.7 ringostat-scheme: only successful ones
    {preset: ringostat-scheme, ttl: 7d, create: [in_answered, out_answered]}
    mon 09:00 anna calls (rings 30s): no answer
    mon 10:00 -> queue
    mon 11:00 customer calls: ivan talks 1m
    mon 12:00 anna calls: busy
    mon 13:00 -> ivan

S1.7 ringostat-scheme: incoming only
    {preset: ringostat-scheme, ttl: 7d, create: in_answered}
    mon 09:00 anna calls: talks 5m
    mon 10:00 -> queue
    mon 11:00 customer calls: ivan talks 1m
    mon 12:00 anna calls: talks 5m
    mon 13:00 -> ivan

S1.7 ringostat-scheme: outgoing only
    {preset: ringostat-scheme, ttl: 7d, create: out_answered}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 -> queue
    mon 11:00 ivan calls: talks 1m
    mon 12:00 -> ivan

S1.7 ringostat-scheme: the refresh is what creates, a talk on a call of the other kind is not
    {preset: ringostat-scheme, ttl: 7d, create: in_answered}
    mon 09:00 customer calls: anna talks 0s
    sun 09:00 anna calls: talks 5m
    mon+1 09:00 -> anna
    mon+1 09:01 -> queue

S4.1 vipex-1: an unsuccessful call binds
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 09:01 -> anna
    thu 09:00 -> anna
    thu 09:00:01 -> queue

S4.1 vipex-1: a successful one does not
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: talks 10s
    mon 09:01 -> queue

S4.1 vipex-1: they talk because she calls again, and it is over
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 anna calls: talks 1m
    mon 10:05 -> queue

S4.1 vipex-1: they talk because he calls back, and it is over
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: anna talks 1m
    mon 10:05 -> queue

S4.1 vipex-1: the clock is not restarted by her next attempt
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 anna calls: busy
    thu 09:00 -> anna
    thu 09:01 -> queue

S4.1 vipex-1: after it has expired a new attempt makes a new one
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    thu 09:01 anna calls: busy
    sun 09:00 -> anna
    sun 09:02 -> queue

S4.1 vipex-1: the clock starts at the end of the attempt
    {preset: vipex-1, ttl: 1h}
    mon 09:00 anna calls (rings 10m): no answer
    mon 09:05 -> queue
    mon 10:10 -> anna
    mon 10:11 -> queue

S4.1 vipex-1: talking with somebody else neither ends nor refreshes
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 customer calls: ivan talks 5m
    mon 12:00 -> anna

S4.1 vipex-1: the customer's calls do not restart the clock
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls: nobody
    thu 09:01 -> queue

S4.1 vipex-1: who tried last is called first
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 -> ivan

S4.1 vipex-1: a second attempt changes nothing, not even who was last
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 anna calls: busy
    mon 12:00 -> ivan

S4.1 vipex-1: less than ten seconds are no talk, and it stays
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: anna talks 9s
    mon 11:00 -> anna

S4.1 vipex-1: ten seconds are
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: anna talks 10s
    mon 11:00 -> queue

S4.1 vipex-1: nine seconds of an outgoing call are a failure
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: talks 9s
    mon 10:00 -> anna

S4.1 vipex-1: it is over as soon as they have talked long enough
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 anna calls: talks 1h
    mon 10:00:09 -> anna
    mon 10:00:10 -> queue

S4.1 vipex-1: two numbers of failing, then the own person answers and only his is over
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 customer calls: anna talks 1m
    mon 12:00 -> ivan

S4.2 vipex-2: each new attempt restarts the clock
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 anna calls: busy
    sat 09:00 -> anna
    sat 09:01 -> queue

S4.2 vipex-2: one that a trunk let fail does too
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 anna calls: trunk fails
    sat 09:00 -> anna

S4.2 vipex-2: an attempt of somebody else does not
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 ivan calls: trunk fails
    thu 09:01 -> queue

S4.2 vipex-2: talking ends it
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: anna talks 10s
    mon 11:00 -> queue

S4.2 vipex-2: an attempt makes no row but when it fails
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: trunk fails
    mon 10:00 -> queue

S4.2 vipex-2: while her telephone rings him, it is live
    {preset: vipex-2, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 09:59 anna calls (rings 3m): no answer
    mon 10:01 -> anna
    mon 11:02 -> anna
    mon 11:03 -> queue

S4.2 vipex-2: the last attempt is the latest
    {preset: vipex-2, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    mon 11:00 anna calls: busy
    mon 12:00 -> anna

S4.2 vipex-2: the example of the rules, with a talk of five seconds
    {preset: vipex-2, ttl: 3d, min_talk: 5s}
    mon 09:00 anna calls: talks 4s
    mon 10:00 -> anna
    mon 11:00 anna calls: talks 5s
    mon 12:00 -> queue

S4.3 vipex-3: an unsuccessful call binds
    {preset: vipex-3, ttl: 3d}
    mon 09:00 anna calls: busy
    thu 09:00 -> anna
    thu 09:01 -> queue

S4.3 vipex-3: a successful one too, from the answer on
    {preset: vipex-3, ttl: 3d}
    mon 09:00 anna calls (rings 20s): talks 5m
    mon 09:00:10 -> queue
    mon 09:00:20 -> anna
    mon 10:00 -> anna

S4.3 vipex-3: talking does not delete it
    {preset: vipex-3, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: anna talks 5m
    mon 11:00 -> anna
    thu 09:01 -> queue

S4.3 vipex-3: never made by an incoming call
    {preset: vipex-3, ttl: 3d}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 -> queue

S4.3 vipex-3: her new attempt restarts the clock
    {preset: vipex-3, ttl: 3d}
    mon 09:00 anna calls: talks 1m
    wed 09:00 anna calls: busy
    sat 09:00 -> anna
    sat 09:01 -> queue

S4.3 vipex-3: his calls do not
    {preset: vipex-3, ttl: 3d}
    mon 09:00 anna calls: talks 1m
    wed 09:00 customer calls: anna talks 1m
    thu 09:02 -> queue

S4.3 vipex-3: the failure of a trunk is no call to him
    {preset: vipex-3, ttl: 3d}
    mon 09:00 anna calls: trunk fails
    mon 09:01 anna calls: unknown number
    mon 10:00 -> queue

S4.4 vipex-4: the customer's own calls restart the clock
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: talks 1m
    wed 09:00 customer calls: anna talks 1m
    sat 09:01 -> anna
    sat 09:02 -> queue

S4.4 vipex-4: unanswered ones too
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls (rings 30s): hangs up
    sat 09:00 -> anna
    sat 09:01 -> queue

S4.4 vipex-4: whoever takes them
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls: ivan talks 1h
    sat 10:00 -> anna
    sat 10:01 -> queue

S4.4 vipex-4: one that a rule refused is a call of his as well
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls: rejected
    sat 09:00 -> anna

S4.4 vipex-4: they move the clocks of all, and not the order
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 ivan calls: busy
    wed 09:00 customer calls: anna talks 5m
    wed 09:01 -> ivan
    wed 10:00 -> ivan
    sat 09:05 -> ivan

S4.4 vipex-4: they bring nothing back that has expired
    {preset: vipex-4, ttl: 3d}
    mon 09:00 anna calls: busy
    thu 09:01 customer calls: nobody
    thu 09:02 -> queue

S4.4 vipex-4: never made by an incoming call
    {preset: vipex-4, ttl: 3d}
    mon 09:00 customer calls: anna talks 5m
    mon 10:00 -> queue

S4.4 vipex-4: while he talks it is live, whatever the time
    {preset: vipex-4, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 09:50 customer calls: ivan talks 3h
    mon 12:00 -> anna
    mon 13:50 -> anna
    mon 13:51 -> queue

missed-once: the missed call is returned once
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 -> anna
    mon 10:00 customer calls: anna talks 1m
    mon 11:00 -> queue

missed-once: it is not used up because she was merely rung
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls (rings 20s): nobody
    mon 11:00 customer calls: ivan talks 5m
    mon 12:00 -> anna

missed-once: her own next call does not use it up
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 anna calls: talks 5m
    mon 11:00 -> anna

missed-once: a word is not enough
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 customer calls: anna talks 9s
    mon 11:00 -> anna

missed-once: it expires
    {preset: missed-once, ttl: 3d}
    mon 09:00 anna calls: busy
    thu 09:01 -> queue

missed-once may be for ever
    {preset: missed-once, ttl: forever}
    mon 09:00 anna calls: busy
    mon+99 09:00 -> anna

S4.0 an agent without sticky: learned, never offered
    {preset: vipex-1, ttl: 3d}
    mon 09:00 anna calls: busy
    mon 10:00 zoe calls: busy
    mon 11:00 -> anna

own words: what creates, and nothing refreshes
    {create: in_answered, ttl: 1h}
    mon 09:00 customer calls: anna talks 0s
    mon 09:30 customer calls: anna talks 0s
    mon 10:00 -> anna
    mon 10:01 -> queue

own words: what creates and refreshes
    {create: in_answered, refresh: in_answered, ttl: 1h}
    mon 09:00 customer calls: anna talks 0s
    mon 09:30 customer calls: anna talks 0s
    mon 10:30 -> anna
    mon 10:31 -> queue

own words: refresh alone makes nothing
    {create: out_failed, refresh: [in_answered, conversation], ttl: 1h}
    mon 09:00 customer calls: anna talks 1m
    mon 09:30 -> queue

own words: a preset with its refresh written
    {preset: vipex-1, ttl: 3d, refresh: in_call}
    mon 09:00 anna calls: busy
    wed 09:00 customer calls: nobody
    sat 09:00 -> anna
    sat 09:01 -> queue

own words: a preset with another end
    {preset: vipex-3, ttl: 3d, end: used}
    mon 09:00 anna calls: talks 1m
    mon 10:00 anna calls: talks 1m
    mon 11:00 -> anna
    mon 12:00 customer calls: anna talks 0s
    mon 13:00 -> queue

own words: the call that ends a row and may make one makes a new one
    {create: [out_failed, out_answered], end: conversation, ttl: 1h}
    mon 09:00 anna calls: busy
    mon 09:30 anna calls: talks 1m
    mon 10:31 -> anna
    mon 10:32 -> queue
""")


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_story(story: Story) -> None:
    play(story)
