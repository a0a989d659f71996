"""Personal data at rest and in flight: encrypted with a key that can be rotated."""

from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from tejido_shared.settings import CommonSettings


@cache
def _keys() -> MultiFernet:
    text = CommonSettings().data_key.get_secret_value()
    return MultiFernet([Fernet(key.strip()) for key in text.split(",") if key.strip()])


def seal(text: str) -> str:
    """Encrypts a text so that it may lie in an event; `unseal` gives it back."""
    return _keys().encrypt(text.encode()).decode()


def unseal(token: str) -> str:
    """The text that `seal` hid. Raises `ValueError` if the token was altered or its key is not among ours."""
    try:
        return _keys().decrypt(token.encode()).decode()
    except InvalidToken:
        raise ValueError("sealed with a key that is not configured, or altered") from None


class Personal(TypeDecorator[str]):
    """A text column whose value is encrypted in the database and plain in Python. It can be neither searched nor sorted."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        return None if value is None else seal(value).encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else unseal(bytes(value).decode())
