"""Shapes of documents that come with a request."""

from typing import Literal
from uuid import UUID

from fastapi import UploadFile
from pydantic import AwareDatetime, BaseModel, Field

from tejido_shared.fields import Strict


class CitizenAttachmentIn(Strict):
    """A document from the petitioner."""

    file: UploadFile
    purpose: Literal["petition", "completion", "evidence"]


class AttachmentIn(Strict):
    """A document from the desk."""

    file: UploadFile
    purpose: Literal["petition", "completion", "evidence", "answer", "note"]
    public: bool | None = Field(
        None,
        description="Whether the citizen sees it, an answer's once it is issued; all but notes and evidence if left out",
    )


class AttachmentOut(BaseModel):
    """A document of a request."""

    id: UUID
    purpose: str
    public: bool
    name: str | None = Field(description="None to the desk where the petitioner's identity is confidential")
    media_type: str = Field(description="As its content shows")
    size: int = Field(description="Bytes, as kept: photos lose their metadata")
    sha256: str
    status: Literal["ready", "not_scanned", "infected"] = Field(description="Only what is ready is given out")
    uploaded_at: AwareDatetime
    uploaded_by: str | None = Field(description="Subject of the official; none if the citizen sent it")
