"""Documents that people hand in: what is kept, what is refused, and that nobody alters it unnoticed."""

import io
import os
import random
import re
import socket
import socketserver
import struct
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from cryptography.fernet import Fernet
from PIL import Image
from pydantic import SecretStr

from tejido_shared import files, i18n
from tejido_shared.clock import now
from tejido_shared.files import CHUNK, Altered, ScannerUnavailable, Store, content_disposition, safe_name
from tejido_shared.ids import new_id
from tejido_shared.refusals import Refused
from tejido_shared.settings import CommonSettings

MEGA = 1_000_000
PDF = b"%PDF-1.7\n" + b"1 0 obj << >> endobj\n" * 10
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
DOCX = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"}


def settings(directory: Path | str, **changes: Any) -> CommonSettings:
    return CommonSettings().model_copy(update={"files": str(directory), **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store("requests", lambda: settings(tmp_path))


def keep(store: Store, content: bytes, name: str, largest: int = 50 * MEGA) -> files.Kept:
    return store.take_in(io.BytesIO(content), name, largest=largest)


def refusal(store: Store, content: bytes, name: str) -> str:
    with pytest.raises(Refused) as caught:
        keep(store, content, name)
    assert caught.value.fields == [("file", caught.value.code)]
    for language in ("es", "en"):
        text = i18n.text("tejido_shared", f"field.{caught.value.code}", language, **caught.value.params)
        assert "{" not in text
    assert list(store.keys(now() + timedelta(days=1))) == []
    return caught.value.code


def zipped(parts: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return buffer.getvalue()


class Endless(io.RawIOBase):
    """A PDF of any length that nobody has in memory."""

    def __init__(self, size: int) -> None:
        self.given, self.size = 0, size

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.size - self.given)
        start = PDF[self.given :][:size]
        self.given += size
        return start + random.Random(self.given).randbytes(size - len(start))


def test_thirty_megabytes_pass_and_are_never_in_memory(store: Store, tmp_path: Path) -> None:
    tracemalloc.start()
    kept = store.take_in(cast(BinaryIO, Endless(30 * MEGA)), "plano.pdf", largest=30 * MEGA)
    size, same = 0, Endless(30 * MEGA)
    # Reading asks for the pieces of sending, so that the same numbers come.
    for chunk in store.read(kept.key):
        assert chunk == same.read(CHUNK)
        size += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (size, kept.size, kept.media_type, kept.name) == (30 * MEGA, 30 * MEGA, "application/pdf", "plano.pdf")
    assert peak < 20 * CHUNK  # the same for any length: obstore gathers parts of 5 MiB
    stored = (tmp_path / "requests" / str(kept.key)).read_bytes()
    assert PDF not in stored
    assert len(stored) < 30.1 * MEGA


@pytest.mark.parametrize("size", [len(PDF), CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_round_trip_at_the_edges_of_chunks(store: Store, size: int) -> None:
    content = PDF.ljust(size, b"x")
    kept = keep(store, content, "a.pdf")
    assert b"".join(store.read(kept.key)) == content
    assert store.exists(kept.key)
    store.delete(kept.key)
    store.delete(kept.key)
    assert not store.exists(kept.key)
    with pytest.raises(FileNotFoundError):
        store.read(kept.key)


def _swap(b: bytes, sealed: int) -> bytes:
    return b[sealed : 2 * sealed] + b[:sealed] + b[2 * sealed :]


@pytest.mark.parametrize(
    "change",
    [
        _swap,
        lambda b, sealed: b[: 2 * sealed],  # cut at the edge of a chunk
        lambda b, sealed: b[:-1],
        lambda b, sealed: b[sealed:],
        lambda b, sealed: b + b[-100:],
        lambda b, sealed: b[:sealed] + b[sealed:][:5] + bytes([b[sealed + 5] ^ 1]) + b[sealed + 6 :],
        lambda b, sealed: b"",
    ],
)
def test_what_was_altered_is_not_given(store: Store, tmp_path: Path, change: Callable[[bytes, int], bytes]) -> None:
    kept = keep(store, PDF.ljust(2 * CHUNK + 500, b"x"), "a.pdf")
    path = tmp_path / "requests" / str(kept.key)
    path.write_bytes(change(path.read_bytes(), files._SEALED))
    given = bytearray()
    with pytest.raises(Altered):
        given.extend(chunk for part in store.read(kept.key) for chunk in part)
    assert PDF.ljust(2 * CHUNK + 500, b"x").startswith(given)


def test_a_file_under_another_key_is_not_given(store: Store, tmp_path: Path) -> None:
    one, other = keep(store, PDF, "a.pdf"), keep(store, PDF + b"other", "b.pdf")
    folder = tmp_path / "requests"
    (folder / str(one.key)).replace(folder / str(other.key))
    with pytest.raises(Altered):
        store.read(other.key)


def test_rotated_keys_read_and_strange_ones_do_not(tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()

    def with_keys(*keys: str) -> Store:
        return Store("requests", lambda: settings(tmp_path, data_key=SecretStr(",".join(keys))))

    kept = keep(with_keys(old), PDF, "a.pdf")
    later = keep(with_keys(new, old), PDF, "a.pdf")
    assert b"".join(with_keys(new, old).read(kept.key)) == PDF
    assert b"".join(with_keys(new).read(later.key)) == PDF
    with pytest.raises(Altered):
        with_keys(new).read(kept.key)


def test_too_large_is_known_without_reading_on(store: Store) -> None:
    stream = Endless(10**12)
    with pytest.raises(Refused, match="file_too_large"):
        store.take_in(cast(BinaryIO, stream), "a.pdf", largest=3 * MEGA)
    assert stream.given == 3 * MEGA + 1
    assert keep(store, PDF, "a.pdf", largest=len(PDF)).size == len(PDF)


def _picture(image_format: str, size: tuple[int, int] = (40, 20), **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", size, "red")
    image.paste("blue", (0, 0, size[0] // 2, size[1]))
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _encrypted_docx() -> bytes:
    content = bytearray(zipped(DOCX))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(signature), bytes(content)):
            content[found.start() + flags] |= 1
    return bytes(content)


def _lying_docx() -> bytes:
    """Declares that ten million bytes are ten."""
    return zipped({**DOCX, "word/x.xml": b"0" * 10_000_000}).replace(
        struct.pack("<I", 10_000_000), struct.pack("<I", 10)
    )


def _crowded_zip() -> bytes:
    return zipped({**DOCX, **{f"word/{n:0100d}": b"" for n in range(8000)}})


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.pdf", b"", "file_empty"),
        ("a.html", b"<!DOCTYPE html><html></html>", "file_type_not_allowed"),
        ("a.txt", b"\n <html><body>hola</body></html>", "file_type_not_allowed"),
        ("a.svg", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "file_type_not_allowed"),
        ("a.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "file_type_not_allowed"),
        ("a.exe", b"MZ\x90\x00" + bytes(200), "file_type_not_allowed"),
        ("a.pdf", b"\x7fELF\x02\x01\x01" + bytes(200), "file_type_not_allowed"),
        ("a.txt", b"#!/bin/sh\necho hola\n", "file_type_not_allowed"),
        ("a.txt", "contaminación".encode("latin-1"), "file_type_not_allowed"),
        ("a.txt", b"hola\0", "file_type_not_allowed"),
        ("a.txt", "á".encode()[:1], "file_type_not_allowed"),
        ("a.zip", zipped({"a.txt": b"hola"}), "file_type_not_allowed"),
        ("a.docx", zipped({**DOCX, "word/vbaProject.bin": b"x"}), "file_type_not_allowed"),
        ("a.gif", b"GIF89a" + bytes(100), "file_type_not_allowed"),
        ("a.jpg", PDF, "file_name_contradicts"),
        ("carta.pdf.exe", PDF, "file_name_contradicts"),
        ("a.html", b"hola", "file_name_contradicts"),
        ("a.bat", b"del *.*", "file_name_contradicts"),
        ("a.docx", zipped(DOCX)[:-5], "file_damaged"),
        ("a.docx", _lying_docx(), "file_damaged"),
        ("a.docx", zipped(DOCX, zipfile.ZIP_LZMA), "file_damaged"),  # which would say how much memory it wants
        ("a.docx", zipped(DOCX, zipfile.ZIP_BZIP2), "file_damaged"),
        ("a.docx", _encrypted_docx(), "file_encrypted"),
        ("a.docx", zipped({**DOCX, "word/b.xml": bytes(201 * MEGA)}), "file_unpacks_too_large"),
        ("a.docx", _crowded_zip(), "file_unpacks_too_large"),
        ("a.jpg", _picture("JPEG", (400, 400))[:-200], "file_damaged"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "file_damaged"),
        ("a.heic", struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1") + bytes(3), "file_damaged"),
    ],
)
def test_refused(store: Store, name: str, content: bytes, code: str) -> None:
    assert refusal(store, content, name) == code


def test_a_photo_that_would_fill_the_memory_is_refused(store: Store) -> None:
    for side in (6000, 20_000):
        image = Image.new("1", (side, side))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        assert refusal(store, buffer.getvalue(), "a.png") == "photo_too_large"


def test_an_animation_is_refused(store: Store) -> None:
    more = [Image.new("RGB", (40, 20), "green")]
    assert refusal(store, _picture("PNG", save_all=True, append_images=more), "a.png") == "file_type_not_allowed"


ODT = {"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<x/>"}


@pytest.mark.parametrize(
    ("name", "content", "media_type", "kept_name"),
    [
        ("Carta.PDF", PDF, "application/pdf", "Carta.pdf"),
        ("a.docx", zipped(DOCX), files._OFFICE["word/document.xml"], "a.docx"),
        ("a.xlsx", zipped({"xl/workbook.xml": b""}), files._OFFICE["xl/workbook.xml"], "a.xlsx"),
        ("a.pptx", zipped({"ppt/presentation.xml": b""}), files._OFFICE["ppt/presentation.xml"], "a.pptx"),
        ("a.odt", zipped(ODT), "application/vnd.oasis.opendocument.text", "a.odt"),
        ("a.txt", ("BM " + "árbol caído " * 200_000).encode(), "text/plain", "a.txt"),
        ("a.txt", b"\xef\xbb\xbfhola\r\n", "text/plain", "a.txt"),
        ("voz.opus", b"OggS" + bytes(100), "audio/ogg", "voz.opus"),
        ("voz", b"ID3\x04" + bytes(100), "audio/mpeg", "voz.mp3"),
        ("v.mp4", struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42"), "video/mp4", "v.mp4"),
        ("v.m4a", struct.pack(">I4s4sI4s", 20, b"ftyp", b"M4A ", 0, b"M4A "), "audio/mp4", "v.m4a"),
    ],
)
def test_taken_as_it_is(store: Store, name: str, content: bytes, media_type: str, kept_name: str) -> None:
    kept = keep(store, content, name)
    assert (kept.media_type, kept.name, kept.size) == (media_type, kept_name, len(content))
    assert b"".join(store.read(kept.key)) == content
    assert kept.scanned is None
    assert store.may_serve(kept.scanned)


def test_a_caller_may_admit_less(store: Store) -> None:
    only = {"application/pdf": files.KINDS["application/pdf"]}
    assert store.take_in(io.BytesIO(PDF), "a.pdf", largest=MEGA, allowed=only)
    with pytest.raises(Refused) as caught:
        store.take_in(io.BytesIO(b"hola"), "a.txt", largest=MEGA, allowed=only)
    assert caught.value.params == {"extensions": "pdf"}


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (4.0, 35.0, 53.0), 3: "W", 4: (74.0, 4.0, 33.0)})
    return exif


@pytest.mark.parametrize(
    ("image_format", "extension", "options"),
    [
        ("JPEG", "jpg", {"comment": b"SecretCamera", "xmp": b"<x>SecretCamera</x>"}),
        ("MPO", "jpg", {"save_all": True, "append_images": [Image.new("RGB", (40, 20))]}),
        ("PNG", "png", {}),
        ("WEBP", "webp", {"xmp": b"<x>SecretCamera</x>"}),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_does_not_tell_where_it_was_taken(
    store: Store, image_format: str, extension: str, options: dict[str, Any], orientation: int
) -> None:
    sent = _picture(image_format, exif=_exif(orientation), **options)
    assert b"SecretCamera" in sent
    assert Image.open(io.BytesIO(sent)).getexif().get_ifd(0x8825)
    kept = keep(store, sent + b"<script>SecretCamera</script>", f"foto.{extension}")
    content = b"".join(store.read(kept.key))
    assert (b"SecretCamera" in content, len(content)) == (False, kept.size)
    with Image.open(io.BytesIO(content)) as image:
        exif = image.getexif()
        assert dict(exif) == ({} if orientation == 1 else {0x0112: 6})
        assert not exif.get_ifd(0x8825)
        assert image.size == (40, 20)
        red, _, blue = image.convert("RGB").getpixel((35, 10))  # type: ignore[misc]
        assert red > 200 > 60 > blue


def test_transparency_and_colour_profile_stay(store: Store) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=1, icc_profile=b"a profile" * 20)
    content = b"".join(store.read(keep(store, buffer.getvalue(), "a.png").key))
    with Image.open(io.BytesIO(content)) as found:
        assert found.info["icc_profile"] == b"a profile" * 20
        assert found.convert("RGBA").getpixel((0, 0)) == (255, 0, 0, 0)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _heic(exif: bytes, xmp: bytes, picture: bytes, method: int = 0) -> bytes:
    """A HEIC as telephones write it, as far as its boxes go: three items, Exif and picture in mdat, XMP in mdat or idat."""
    ftyp = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")

    def infe(item: int, kind: bytes) -> bytes:
        return _box(b"infe", struct.pack(">IHH4s", 2 << 24, item, 0, kind) + b"\0")

    def meta(start: int) -> bytes:
        places = [(1, 0, start, picture), (2, 0, start + len(picture), exif)]
        places.append((3, method, 0 if method else start + len(picture + exif), xmp))
        iloc = struct.pack(">IHH", 1 << 24, 0x4400, len(places))
        for item, how, at, content in places:
            iloc += struct.pack(">HHHHII", item, how, 0, 1, at, len(content))
        iinf = struct.pack(">IH", 0, 3) + infe(1, b"hvc1") + infe(2, b"Exif") + infe(3, b"mime")
        return _box(
            b"meta", bytes(4) + _box(b"iinf", iinf) + _box(b"idat", xmp if method else b"") + _box(b"iloc", iloc)
        )

    start = len(ftyp + meta(0)) + 8
    return ftyp + meta(start) + _box(b"mdat", picture + exif + (b"" if method else xmp))


@pytest.mark.parametrize("method", [0, 1])
@pytest.mark.parametrize("more", [b"", _box(b"mpvd", b"GPS-video"), b"\xff\xff\xff\xffGPS-trailer"])
def test_heic_keeps_its_picture_and_nothing_else(store: Store, method: int, more: bytes) -> None:
    sent = _heic(b"Exif-GPS" * 10, b"XMP-GPS" * 20, b"picture" * 1000, method)
    kept = keep(store, sent + more, "IMG_1.HEIC")
    content = b"".join(store.read(kept.key))
    assert (kept.media_type, kept.name) == ("image/heic", "IMG_1.heic")
    assert b"GPS" not in content
    assert b"picture" * 1000 in content
    assert content[: len(sent)] == sent.replace(b"Exif-GPS", bytes(8)).replace(b"XMP-GPS", bytes(7))


@pytest.mark.parametrize("place", range(24, 220, 7))
def test_heic_that_is_broken_breaks_nothing(store: Store, place: int) -> None:
    sent = bytearray(_heic(b"Exif-GPS" * 10, b"XMP-GPS" * 20, b"picture" * 10))
    sent[place : place + 2] = b"\xff\xff"
    with suppress(Refused):
        kept = keep(store, bytes(sent), "a.heic")
        assert len(b"".join(store.read(kept.key))) == len(sent)


def test_heic_that_announces_extents_without_end_is_refused_at_once(store: Store) -> None:
    items = b"".join(struct.pack(">HHH", 1, 0, 65_535) for _ in range(1000))
    iloc = _box(b"iloc", struct.pack(">IHH", 0, 0, 1000) + items)
    exif = _box(b"iinf", struct.pack(">IH", 0, 1) + _box(b"infe", struct.pack(">IHH4s", 2 << 24, 2, 0, b"Exif")))
    ftyp = _box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    started = time.monotonic()
    assert refusal(store, ftyp + _box(b"meta", bytes(4) + exif + iloc), "a.heic") == "file_damaged"
    assert refusal(store, ftyp + _box(b"free", b"") * 2_000_000, "a.heic") == "file_damaged"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("..\\..\\windows\\carta.pdf", "carta.pdf"),
        ("/", "file.pdf"),
        ("..", "file.pdf"),
        ("", "file.pdf"),
        (".pdf", "pdf.pdf"),
        ("con.pdf", "_con.pdf"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie_ x.pdf"),
        ("carta\u202efdp.pdf", "cartafdp.pdf"),
        ('a"b<c>.pdf', "a_b_c_.pdf"),
        ("Petición n.º 3.pdf", "Petición n.º 3.pdf"),
        ("Acta 12.03.2026", "Acta 12.03.2026.pdf"),
        ("ñ" * 400 + ".pdf", "ñ" * 140 + ".pdf"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name, "application/pdf") == safe


def test_the_header_a_browser_saves_by() -> None:
    header = content_disposition('Petición "n.º 3" 100%.pdf')
    assert header == (
        'attachment; filename="Peticion _n.o 3_ 100_.pdf"; '
        "filename*=UTF-8''Petici%C3%B3n%20%22n.%C2%BA%203%22%20100%25.pdf"
    )
    assert content_disposition("a\r\nb.pdf").isprintable()


def test_orphans_can_be_found(store: Store, tmp_path: Path) -> None:
    assert list(store.keys(now())) == []
    old, new = keep(store, PDF, "a.pdf"), keep(store, PDF, "b.pdf")
    keep(Store("projects", lambda: settings(tmp_path)), PDF, "c.pdf")
    (tmp_path / "requests" / "lost+found").write_bytes(b"")
    yesterday = (now() - timedelta(days=1)).timestamp()
    os.utime(tmp_path / "requests" / str(old.key), (yesterday, yesterday))
    assert list(store.keys(now() - timedelta(hours=1))) == [old.key]
    assert set(store.keys(now() + timedelta(hours=1))) == {old.key, new.key}


class Clamd(socketserver.ThreadingTCPServer):
    """Speaks clamd's INSTREAM, finds EICAR, and like clamd hangs up on what is too long for it."""

    daemon_threads = True
    allow_reuse_address = True
    longest = 10 * MEGA
    seen = 0

    class Talk(socketserver.StreamRequestHandler):
        server: "Clamd"

        def handle(self) -> None:
            assert self.rfile.read(10) == b"zINSTREAM\0"
            content = b""
            while length := int.from_bytes(self.rfile.read(4), "big"):
                content += self.rfile.read(length)
                if len(content) > self.server.longest:
                    self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
                    return
            self.server.seen += 1
            self.wfile.write(b"stream: Eicar-Test-Signature FOUND\0" if EICAR in content else b"stream: OK\0")


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def clamd() -> Iterator[Clamd]:
    server = Clamd(("127.0.0.1", 0), Clamd.Talk)
    with serving(server):
        yield server


def test_the_scanner_is_asked(clamd: Clamd, tmp_path: Path) -> None:
    store = Store("requests", lambda: settings(tmp_path, clamav=f"127.0.0.1:{clamd.server_address[1]}"))
    assert store.scans
    kept = keep(store, PDF.ljust(3 * CHUNK, b"x"), "a.pdf")
    assert kept.scanned is not None
    assert store.may_serve(kept.scanned)
    assert store.rescan(kept.key) >= kept.scanned
    store.delete(kept.key)
    assert refusal(store, EICAR, "virus.txt") == "file_infected"
    assert clamd.seen == 3


def test_a_silent_scanner_loses_nothing(clamd: Clamd, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        down = Store("requests", lambda: settings(tmp_path, clamav=f"127.0.0.1:{free.getsockname()[1]}"))
        kept = keep(down, PDF, "a.pdf")
        infected = keep(down, EICAR, "a.txt")
        assert kept.scanned is None
        assert not down.may_serve(kept.scanned)
        with pytest.raises(ScannerUnavailable):
            down.rescan(kept.key)
    up = Store("requests", lambda: settings(tmp_path, clamav=f"127.0.0.1:{clamd.server_address[1]}"))
    assert up.may_serve(up.rescan(kept.key))
    with pytest.raises(Refused, match="file_infected"):
        up.rescan(infected.key)
    with pytest.raises(FileNotFoundError):
        up.rescan(new_id())
    with pytest.raises(ScannerUnavailable):
        Store("requests", lambda: settings(tmp_path)).rescan(kept.key)


def test_too_long_for_the_scanner_is_not_clean(clamd: Clamd, tmp_path: Path) -> None:
    store = Store("requests", lambda: settings(tmp_path, clamav=f"127.0.0.1:{clamd.server_address[1]}"))
    assert keep(store, PDF.ljust(12 * MEGA, b"x"), "a.pdf").scanned is None


class Bucket(ThreadingHTTPServer):
    """As much of S3's protocol as a store speaks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Bucket.Talk)
        self.objects: dict[str, bytes] = {}
        self.parts: dict[int, bytes] = {}

    class Talk(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server: "Bucket"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", *, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.send_header("ETag", '"e"')
            self.send_header("Last-Modified", "Fri, 20 Nov 2026 10:00:00 GMT")
            self.end_headers()
            self.wfile.write(body)

        def ask(self) -> tuple[str, dict[str, list[str]], bytes]:
            assert "Credential=the-key/" in self.headers["Authorization"]
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return unquote(url.path).removeprefix("/town/"), parse_qs(url.query, keep_blank_values=True), body

        def do_POST(self) -> None:
            key, query, _ = self.ask()
            if "uploads" in query:
                self.answer(
                    200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
                )
                return
            parts = self.server.parts
            assert all(len(part) >= 5 << 20 for number, part in parts.items() if number < max(parts))
            self.server.objects[key] = b"".join(parts[number] for number in sorted(parts))
            parts.clear()
            self.answer(200, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")

        def do_PUT(self) -> None:
            _, query, body = self.ask()
            self.server.parts[int(query["partNumber"][0])] = body
            self.answer(200)

        def do_DELETE(self) -> None:
            self.server.objects.pop(self.ask()[0], None)
            self.answer(204)

        def do_HEAD(self) -> None:
            found = self.server.objects.get(self.ask()[0])
            self.answer(404 if found is None else 200, length=len(found or b""))

        def do_GET(self) -> None:
            key, query, _ = self.ask()
            if "list-type" not in query:
                found = self.server.objects.get(key)
                self.answer(404 if found is None else 200, found or b"")
                return
            entries = "".join(
                f"<Contents><Key>{name}</Key><LastModified>2026-11-20T10:00:00.000Z</LastModified><ETag>e</ETag><Size>{len(content)}</Size></Contents>"
                for name, content in self.server.objects.items()
                if name.startswith(query["prefix"][0])
            )
            self.answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode())


def test_a_bucket_serves_as_well_as_a_directory() -> None:
    with Bucket() as bucket, serving(bucket):
        store = Store(
            "requests",
            lambda: settings(
                "s3://town/files",
                files_endpoint=f"http://127.0.0.1:{bucket.server_address[1]}",
                files_region="local",
                files_key="the-key",
                files_secret=SecretStr("the-secret"),
            ),
        )
        content = PDF + random.Random(1).randbytes(12 * MEGA)
        kept = keep(store, content, "a.pdf")
        assert list(bucket.objects) == [f"files/requests/{kept.key}"]
        assert b"".join(store.read(kept.key)) == content
        assert store.exists(kept.key)
        assert list(store.keys(now() + timedelta(days=3650))) == [kept.key]
        store.delete(kept.key)
        assert not store.exists(kept.key)
        with pytest.raises(FileNotFoundError):
            store.read(kept.key)
