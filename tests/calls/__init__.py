"""Tests of sipacr/calls; a package, so that test_message here and tests/test_message.py can both be."""
