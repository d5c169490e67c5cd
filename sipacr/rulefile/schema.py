"""JSON Schema of both kinds of file, for editors. What only sipacr knows (names, numbers) it does not check."""

from typing import Any

from pydantic import BaseModel

from sipacr.rulefile.models import RuleFileShape
from sipacr.settings import SettingsShape

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rules_schema() -> dict[str, Any]:
    """Of a file in the rules folder."""
    return _schema(RuleFileShape, "sipacr rules")


def settings_schema() -> dict[str, Any]:
    """Of sipacr.yaml."""
    return _schema(SettingsShape, "sipacr.yaml")


def _schema(shape: type[BaseModel], title: str) -> dict[str, Any]:
    found = _plain(shape.model_json_schema(by_alias=True))
    return {"$schema": _DIALECT, **found, "title": title}


def _plain(node: Any) -> Any:
    """Without what pydantic adds of its own: titles made of field names, and null, which these files do not know."""
    if isinstance(node, list):
        return [_plain(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if plain.get("default", ...) is None:
        del plain["default"]
    choices = plain.get("anyOf")
    if isinstance(choices, list):
        left = [choice for choice in choices if choice != {"type": "null"}]
        if len(left) == 1:
            del plain["anyOf"]
            plain = {**left[0], **plain}
        else:
            plain["anyOf"] = left
    return plain
