"""Keys that sign proofs (Ed25519, RFC 8032)."""

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True)
class Key:
    """`id`: the first 16 hexadecimal digits of the SHA-256 of the public key's 32 bytes."""

    id: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()

    @property
    def pem(self) -> str:
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@lru_cache(maxsize=8)
def parsed(text: str) -> tuple[Key, ...]:
    """The keys of `NOTIFICATIONS_PROOF_KEY`: 32 bytes in base64, several with commas between; the first signs, all verify.

    Raises `ValueError` for anything else.
    """
    return tuple(_key(part.strip()) for part in text.split(",") if part.strip())


def _key(text: str) -> Key:
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Key(hashlib.sha256(raw).hexdigest()[:16], private)
