"""QR codes for documents. A service that prints them needs `segno` among its own dependencies."""

from io import BytesIO

import segno


def svg(url: str) -> str:
    """The picture, as a `panel` takes it."""
    picture = BytesIO()
    segno.make_qr(url, error="m").save(picture, kind="svg", border=2, dark="#000000", light="#ffffff")
    return picture.getvalue().decode()
