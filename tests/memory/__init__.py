"""Tests of sipacr/memory; a package, so that its modules may have names that others have too."""
