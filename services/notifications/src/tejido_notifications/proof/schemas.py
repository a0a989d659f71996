"""Shapes of proofs."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from tejido_shared.fields import Line, Strict

Result = Literal["delivered", "failed", "bounced"]


class WhyIn(Strict):
    reason: Line = Field(description="Why the caller has to see who asks: recorded with the request")


class ProofOut(BaseModel):
    """A proof of a legal notice. It holds personal data."""

    message_id: UUID
    result: Result
    at: AwareDatetime
    status: Literal["signed", "unsigned", "erased"] = Field(
        description="`unsigned`: no key was configured. `erased`: retention emptied the record, its hash stays"
    )
    record: str | None = Field(description="JSON, byte for byte as it was hashed and signed: see docs/proofs.md")
    sha256: str = Field(description="Of the record, in hexadecimal")
    signature: str = Field(description="Ed25519 over the record, in base64; empty if unsigned")
    key_id: str = Field(description="Which key of /v1/proof-key signed")


class ProofKeyOut(BaseModel):
    """A public key that verifies proofs."""

    key_id: str
    pem: str = Field(description="SubjectPublicKeyInfo")
    signs: bool = Field(description="Whether new proofs are signed with it")


class ProofKeysOut(BaseModel):
    """Public keys: of proofs that are made now, and of earlier ones. Empty if proofs are not signed."""

    algorithm: Literal["Ed25519"] = "Ed25519"
    keys: list[ProofKeyOut]
