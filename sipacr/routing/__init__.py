"""The pure core: facts in, decision out; no socket, clock, thread or file, and `now` is always an argument."""
