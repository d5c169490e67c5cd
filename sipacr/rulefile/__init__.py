"""Rule files: YAML -> Ruleset, or all problems with file:line:column."""
