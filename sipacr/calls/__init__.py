"""Relayed calls, pure: messages, transactions, dialogs, the state machine of a call. No socket, no clock, no PJSIP.

The driver (`sip`, wired in `service`) hands in messages and the time, and carries out what is asked of it.
"""
