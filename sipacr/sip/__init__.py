"""SIP on the wire: sockets, who is it and is it whole, PJSIP's parser, the gate, the answers.

The only importer of pjsua2 and cffi. Promises: a stranger's bytes reach no parser, nothing malformed goes further than
the gate, no exception ends the loop, and nothing ever answers an ACK.
"""
