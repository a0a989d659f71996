"""Personal data at rest and in flight: encrypted with a key that can be rotated."""

from functools import cache
from hashlib import blake2b

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from tejido_shared.settings import CommonSettings


def data_keys() -> list[str]:
    """The configured keys, the encrypting one first."""
    return [key.strip() for key in CommonSettings().data_key.get_secret_value().split(",") if key.strip()]


@cache
def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in data_keys()])


@cache
def hash_keys(purpose: bytes) -> list[bytes]:
    """Of every data key one to hash with for this purpose, that of the encrypting key first."""
    return [blake2b(key.encode(), person=purpose).digest() for key in data_keys()]


def fingerprints(text: str) -> list[bytes]:
    """What a text may be known by without being kept: keyed hashes, the first to store, all to look for."""
    return [blake2b(text.encode(), key=key, digest_size=16).digest() for key in hash_keys(b"tejido-mark")]


def seal(text: str) -> str:
    """Encrypts a text so that it may lie in an event; `unseal` gives it back."""
    return _keys().encrypt(text.encode()).decode()


def unseal(token: str) -> str:
    """The text that `seal` hid. Raises `ValueError` if the token was altered or its key is not among ours."""
    try:
        return _keys().decrypt(token.encode()).decode()
    except InvalidToken:
        raise ValueError("sealed with a key that is not configured, or altered") from None


@cache
def _first_key() -> Fernet:
    return Fernet(data_keys()[0])


def renew(token: str) -> str | None:
    """What `seal` made, encrypted with the first of our keys; None if it is so already. Raises `ValueError` as `unseal` does."""
    try:
        _first_key().decrypt(token.encode())
    except InvalidToken:
        try:
            return _keys().rotate(token.encode()).decode()
        except InvalidToken:
            raise ValueError("sealed with a key that is not configured, or altered") from None
    return None


class Personal(TypeDecorator[str]):
    """A text column whose value is encrypted in the database and plain in Python. It can be neither searched nor sorted."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        return None if value is None else seal(value).encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else unseal(bytes(value).decode())
