"""What may be looked for in lists of the API, as pydantic models: the queries that /openapi.json describes.

They hold no rule besides form. A field that is left out asks for nothing, and unknown fields are refused.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.core.lifecycle import State
from app.core.verdict import Code

Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC))]
Key = Annotated[int, Field(ge=1, lt=1 << 53)]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Annotated[str, StringConstraints(max_length=40)] = ""
    host: Annotated[str, StringConstraints(max_length=40)] = ""
    since: Moment | None = Field(None, description="From then on.")
    until: Moment | None = Field(None, description="Before then.")


class RequestFilter(_Query):
    """What is looked for; a field that is left out asks for nothing."""

    requester: Annotated[str, StringConstraints(max_length=40)] = Field("", description="A person's id, or `me`.")
    approver: Annotated[str, StringConstraints(max_length=40)] = Field("", description="A person's id, or `me`.")
    state: State | None = None
    verdict: Code | None = None
    q: Annotated[str, StringConstraints(max_length=200)] = Field("", description="Words of the reason.")
    before: Key | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class AuditFilter(_Query):
    """What is looked for; a field that is left out asks for nothing."""

    type: Annotated[str, StringConstraints(max_length=40)] = ""
    by: Annotated[str, StringConstraints(max_length=40)] = ""
    request: Annotated[str, StringConstraints(max_length=40)] = ""


class AuditPageFilter(AuditFilter):
    """A filter, and where a page begins."""

    before: Key | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class AuditExportFilter(AuditFilter):
    """A filter, and the form of the export."""

    format: Literal["jsonl", "csv"] = "jsonl"
