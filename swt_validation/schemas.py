"""JSON schemas of the files that others read, made from the models that write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from swt_validation.comparison import Comparison
from swt_validation.report import Report

SCHEMAS: Final[Mapping[str, type[BaseModel]]] = {"report": Report, "comparison": Comparison}
_NOT_FINITE: Final = ["Infinity", "-Infinity", "NaN"]


class _WithInfinity(GenerateJsonSchema):
    """Numbers without an upper bound may be infinite, which JSON writes as a string."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number, or the name of one that JSON cannot write."""
        number = super().float_schema(schema)
        if "le" in schema or "lt" in schema:
            return number
        return {"anyOf": [number, {"enum": _NOT_FINITE}]}


def json_schema(name: str) -> dict[str, Any]:
    """The schema of `SCHEMAS` ``name``, JSON Schema draft 2020-12."""
    schema = SCHEMAS[name].model_json_schema(mode="serialization", schema_generator=_WithInfinity)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema}


def schema_text(name: str) -> str:
    """The same as text."""
    return json.dumps(json_schema(name), indent=2, ensure_ascii=False)
