"""Who is never a customer: whom the memory must not bind (product.md, "Never a customer")."""

from sipacr.routing.directory import Directory
from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask
from sipacr.routing.ruleset import Ruleset


class Customers:
    """Who may be a customer, by one configuration."""

    __slots__ = ("_directory", "_extensions", "_internal", "_mobiles")

    def __init__(self, directory: Directory, ruleset: Ruleset) -> None:
        self._directory = directory
        self._internal = tuple(Mask(pattern) for pattern in directory.extensions)
        self._extensions = frozenset(agent.extension for agent in ruleset.agents.values())
        self._mobiles = {agent.mobile: agent.name for agent in ruleset.agents.values() if agent.mobile}

    def why_nobody(self, number: Number, anonymous: bool, shared: bool) -> str:
        """Why this caller, or called one, is never bound, in words; "": he may be.

        `shared`: the number is marked as shared by many customers, now.
        """
        directory = self._directory
        if anonymous:
            return "is anonymous"
        if number.text in directory.emergency:
            return "is an emergency number"
        if number.text in self._extensions or any(mask.matches(number) for mask in self._internal):
            return "is an internal extension"
        if number.key in directory.own or number.text in directory.own:
            return "is a number of our own"
        if number.key in self._mobiles:
            return f"is the mobile of {self._mobiles[number.key]}"
        return "is marked as shared" if shared else ""
