"""sipacr brings a caller to the right person: a SIP router on PJSIP.

Where things are, in the order in which one INVITE meets them:

    cli/        the commands; each parses, calls one function, prints
    service     builds all parts from the settings, starts, reloads, stops
    settings    sipacr.yaml: listen addresses, peers, numbers, store
    sip/        sockets, who is it and is it whole, PJSIP's parser, gate, answers
    routing/    pure: numbers, schedules, conditions, decide, resolve, sticky
    rulefile/   YAML -> Ruleset, or all problems with file:line:column
    store/      SQLite: VIPs, lists, bindings

routing/ knows no socket, clock, thread, file or PJSIP; `now` is an argument.
"""

__version__ = "0.1.0"
