"""Documents that people hand in: checked by what they contain, encrypted, kept in a directory or an S3 bucket, streamed both ways.

A file is never whole in memory. What is checked lies meanwhile in the system's temporary directory (TMPDIR), nameless and gone with
the process. The database knows a file only by its key: write it first, then the row; what a rollback leaves, `Store.keys` finds.

Needs filetype, obstore and pillow, which the services that keep files declare and the others need not carry.
"""

import base64
import codecs
import hashlib
import os
import re
import socket
import struct
import tempfile
import threading
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import quote
from uuid import UUID

import filetype  # type: ignore[import-untyped]
import obstore
import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from obstore.store import LocalStore, S3Store
from PIL import Image, JpegImagePlugin

from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.refusals import Refused
from tejido_shared.settings import CommonSettings

_EXTENSIONS = {
    media_type: extensions.split()
    for media_type, extensions in {
        "application/pdf": "pdf",
        "image/jpeg": "jpg jpeg jpe jfif",
        "image/png": "png",
        "image/heic": "heic heif",
        "image/webp": "webp",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
        "application/vnd.oasis.opendocument.text": "odt",
        "application/vnd.oasis.opendocument.spreadsheet": "ods",
        "text/plain": "txt",
        "audio/mpeg": "mp3",
        "audio/mp4": "m4a mp4",
        "video/mp4": "mp4 m4v",
        "audio/ogg": "ogg oga opus",
    }.items()
}
KINDS: Mapping[str, frozenset[str]] = {kind: frozenset(extensions) for kind, extensions in _EXTENSIONS.items()}
"""Every type that can be recognized, with the extensions its name may have."""
_EXTENSION = {kind: extensions[0] for kind, extensions in _EXTENSIONS.items()}  # completes a name that has none
_OFFICE = {
    "word/document.xml": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/workbook.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt/presentation.xml": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_PHOTOS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_MARKUP = re.compile(rb"<(!doctype|html|head|body|script|svg|iframe|\?xml|\?php)\b", re.IGNORECASE)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")

CHUNK = 1 << 20
UNPACKED_MEGABYTES = 200
"""Most that an office document may hold once unpacked."""
MEGAPIXELS = 25
"""Largest photo: decoded it takes four bytes a pixel, and a process decodes one at a time."""
_ORIENTATION = 0x0112  # of Exif
_ZIP_DIRECTORY = 1 << 20
_ZIP_METHODS = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
}  # what office programs write; LZMA asks for memory as it likes
_HEIC_DIRECTORY = 1 << 20
_HEIC_BOXES = 1000

_HEAD = struct.Struct(">B16sQ?")  # format, object, position, whether it is the last
_FORMAT = 0xFF  # in no UTF-8 text, so nothing that `personal.seal` made under the same key passes for a chunk
_SEALED = (
    1 + 8 + 16 + ((_HEAD.size + CHUNK) // 16 + 1) * 16 + 32
)  # a full chunk as Fernet writes it, without its base64

_one_photo = threading.Lock()
log = structlog.get_logger()


class Altered(Exception):  # noqa: N818
    """What lies in the store is not what was put there under that key, or none of our data keys opens it."""


class ScannerUnavailable(Exception):  # noqa: N818
    """No scanner is configured, or it gave no verdict; try again later."""


class StoreUnavailable(Exception):  # noqa: N818
    """The place where files are kept cannot be reached, or takes no more; try again later."""


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (obstore.exceptions.BaseError, OSError) as error:
        log.error("store_unavailable", error=type(error).__name__)  # noqa: TRY400 - its words may name paths and hosts
        raise StoreUnavailable from None


@dataclass(frozen=True)
class Kept:
    """A file that was taken in: what its row in the database holds."""

    key: UUID
    name: str  # safe to show and to download under
    media_type: str  # found in the content, one of `KINDS`
    size: int  # bytes, as kept and as `read` gives it; a photo's differs from what was sent
    sha256: str  # hexadecimal, of the same bytes
    scanned: datetime | None  # when the scanner found it clean; None: not yet, or there is no scanner


class Store:
    """The files of one service, which `area` names. Safe in threads.

    Opens on first use. A process that has used it must not fork and use it again in the child: obstore's threads are not there.
    """

    def __init__(self, area: str, settings: Callable[[], CommonSettings] = CommonSettings) -> None:
        self._area = area
        self._read_settings = settings

    @cached_property
    def _settings(self) -> CommonSettings:
        return self._read_settings()

    @cached_property
    def _keys(self) -> MultiFernet:
        text = self._settings.data_key.get_secret_value()
        return MultiFernet([Fernet(key.strip()) for key in text.split(",") if key.strip()])

    @cached_property
    def _directory(self) -> Path | None:
        return None if "://" in self._settings.files else Path(self._settings.files)

    @cached_property
    def _objects(self) -> LocalStore | S3Store:
        if self._directory:
            return LocalStore(self._directory, mkdir=True)
        given = {
            "access_key_id": self._settings.files_key,
            "secret_access_key": self._settings.files_secret.get_secret_value(),
            "endpoint": self._settings.files_endpoint,
            "region": self._settings.files_region,
            "disable_bulk_delete": "true",  # not every S3 has it
        }
        return S3Store.from_url(
            self._settings.files,
            config={name: value for name, value in given.items() if value},  # type: ignore[arg-type]
            client_options={
                "allow_http": self._settings.files_endpoint.startswith("http:"),
                "connect_timeout": "5s",
                "timeout": "10m",  # of a whole download, and people's lines are slow
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
        )

    def _path(self, key: UUID) -> str:
        return f"{self._area}/{key}"

    @property
    def scans(self) -> bool:
        """Whether a scanner is configured."""
        return bool(self._settings.clamav)

    def may_serve(self, scanned: datetime | None) -> bool:
        """Whether a file with this `Kept.scanned` may be given to anybody: never one that a configured scanner has not seen."""
        return scanned is not None or not self.scans

    def take_in(
        self, stream: BinaryIO, name: str, *, largest: int, allowed: Mapping[str, frozenset[str]] = KINDS
    ) -> Kept:
        """Checks a file of at most `largest` bytes whose type is in `allowed` (part of `KINDS`) and keeps it.

        Photos lose all metadata but their orientation and colour profile, so that nobody tells where they live without wishing it:
        JPEG, PNG and WebP are written anew, and in HEIC, which Pillow cannot read and which telephones send, the metadata is
        overwritten in place. PDF, office documents, sound and video stay as they are, with what their program wrote into them.

        A scanner that does not answer loses no petition: the file is kept with `scanned` None, for `rescan`. Raises `Refused` on
        the field `file`: file_too_large, file_empty, file_type_not_allowed, file_name_contradicts, file_damaged, file_encrypted,
        file_unpacks_too_large, photo_too_large, file_infected; nothing is kept then. Raises `StoreUnavailable` too, as all that
        reaches for the store does.
        """
        with (
            tempfile.SpooledTemporaryFile(max_size=CHUNK) as file,
            tempfile.SpooledTemporaryFile(max_size=CHUNK) as photo,
        ):
            _receive(stream, file, largest)
            media_type = _recognize(file, allowed)
            name = safe_name(name, media_type)
            scanned: datetime | None = None
            if self.scans:
                with suppress(ScannerUnavailable):
                    scanned = self._scan(_pieces(file))
            clean: IO[bytes] = file
            if media_type in _PHOTOS:
                _write_anew(file, photo, _PHOTOS[media_type])
                clean = photo
            elif media_type == "image/heic":
                _blank_heic(file)
            key, digest, size = new_id(), hashlib.sha256(), 0
            for piece in _pieces(clean):
                digest.update(piece)
                size += len(piece)
            with _reached():
                # One part in flight beside the one that is being sealed.
                sealed = self._sealed(key, clean)
                obstore.put(self._objects, self._path(key), sealed, use_multipart=True, max_concurrency=1)
                self._make_durable(key)
        return Kept(key, name, media_type, size, digest.hexdigest(), scanned)

    def read(self, key: UUID) -> Iterator[bytes]:
        """The content, in chunks of 1 MiB, each of them verified before it is given.

        Raises `FileNotFoundError` and `Altered` at once where the beginning shows it; `Altered` later ends an answer that has begun.
        """
        with _reached():
            chunks = self._opened(key, obstore.get(self._objects, self._path(key)).stream(min_chunk_size=CHUNK))
            first = next(chunks)

        def content() -> Iterator[bytes]:
            yield first
            yield from chunks

        return content()

    def renew(self, key: UUID) -> bool:
        """Encrypts a file anew with the first of the data keys; False if it is so already. Readers meanwhile get the one or the other.

        Raises `FileNotFoundError` and `Altered`.
        """
        with _reached():
            stream = obstore.get(self._objects, self._path(key)).stream(min_chunk_size=CHUNK)
            sealed, _ = next(_sealed_chunks(stream))
        first = Fernet(self._settings.data_key.get_secret_value().split(",")[0].strip())
        with suppress(InvalidToken):
            first.decrypt(base64.urlsafe_b64encode(sealed))
            return False
        with tempfile.SpooledTemporaryFile(max_size=CHUNK) as file:
            for piece in self.read(key):
                file.write(piece)
            with _reached():
                obstore.put(
                    self._objects, self._path(key), self._sealed(key, file), use_multipart=True, max_concurrency=1
                )
                self._make_durable(key)
        return True

    def rescan(self, key: UUID) -> datetime:
        """Scans what is kept; the instant at which it was found clean, for its row.

        Raises `ScannerUnavailable`, `Refused` file_infected (what then becomes of the file is the caller's to decide),
        `FileNotFoundError` and `Altered`.
        """
        return self._scan(self.read(key))

    def delete(self, key: UUID) -> None:
        """Removes the file for good; one that is not there is no error."""
        with suppress(FileNotFoundError), _reached():
            obstore.delete(self._objects, self._path(key))

    def exists(self, key: UUID) -> bool:
        """Whether there is a file under this key; says nothing of its content."""
        try:
            with _reached():
                obstore.head(self._objects, self._path(key))
        except FileNotFoundError:
            return False
        return True

    def keys(self, older_than: datetime) -> Iterator[UUID]:
        """The keys of this area that were written before `older_than`. Those without a row are orphans, if that was long enough ago."""
        for found in obstore.list(self._objects, self._area):
            for entry in found:
                if entry["last_modified"] < older_than:
                    with suppress(ValueError):
                        yield UUID(entry["path"].rpartition("/")[2])

    def _sealed(self, key: UUID, file: IO[bytes]) -> Iterator[bytes]:
        file.seek(0)
        position, piece = 0, file.read(CHUNK)
        while piece:
            following = file.read(CHUNK)
            token = self._keys.encrypt(_HEAD.pack(_FORMAT, key.bytes, position, not following) + piece)
            yield base64.urlsafe_b64decode(token)
            position, piece = position + 1, following

    def _opened(self, key: UUID, stream: Iterable[bytes]) -> Iterator[bytes]:
        for position, (sealed, last) in enumerate(_sealed_chunks(stream)):
            try:
                plain = self._keys.decrypt(base64.urlsafe_b64encode(sealed))
            except InvalidToken:
                raise Altered(str(key)) from None
            if plain[: _HEAD.size] != _HEAD.pack(_FORMAT, key.bytes, position, last):
                raise Altered(str(key))
            yield plain[_HEAD.size :]

    def _make_durable(self, key: UUID) -> None:
        """A row that says a file was handed in must not outlive it when the power fails; obstore leaves that to the kernel."""
        if self._directory:
            path = self._directory / self._path(key)
            for part in (path, path.parent):
                descriptor = os.open(part, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _scan(self, content: Iterator[bytes]) -> datetime:
        """Asks clamd (INSTREAM). Raises `Refused` file_infected or `ScannerUnavailable`."""
        if not self.scans:
            raise ScannerUnavailable
        host, _, port = self._settings.clamav.rpartition(":")
        answer = b""
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as clamd:
                clamd.settimeout(30)  # less than a gateway waits for us
                clamd.sendall(b"zINSTREAM\0")
                for piece in content:
                    clamd.sendall(struct.pack(">I", len(piece)) + piece)
                clamd.sendall(struct.pack(">I", 0))
                while not answer.endswith(b"\0") and (part := clamd.recv(4096)):
                    answer += part
        except OSError as error:
            log.warning("scanner_unavailable", error=type(error).__name__)
            raise ScannerUnavailable from None
        verdict = answer.rstrip(b"\0\n")
        if verdict.endswith(b" FOUND"):
            raise Refused("file_infected", "file")
        if verdict != b"stream: OK":
            # e.g. "INSTREAM size limit exceeded": its StreamMaxLength is less than what we admit.
            log.error("scanner_gave_no_verdict", answer=verdict[:100].decode("ascii", "replace"))
            raise ScannerUnavailable
        return now()


def safe_name(name: str, media_type: str) -> str:
    """The last part of a path as a sender wrote it, fit for any file system and with an extension that fits `media_type` (of `KINDS`).

    At most 150 characters. Raises `Refused` file_name_contradicts when the name ends as another type does.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    name = "".join(
        c for c in name if unicodedata.category(c)[0] != "C"
    )  # no control, no turning of the writing direction
    name = re.sub(r'[<>:"|?*]', "_", " ".join(name.split())).strip(". ")
    stem, extension = name, ""
    if found := re.fullmatch(r"(.*)\.(?=\d*[a-z])([a-z0-9]{1,10})", name, re.IGNORECASE):
        stem, extension = found[1], found[2].lower()
        if extension not in KINDS[media_type]:
            raise Refused("file_name_contradicts", "file", extension=extension, media_type=media_type)
    stem = stem[:140].strip(". ") or "file"
    if re.fullmatch(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?", stem, re.IGNORECASE):  # devices, on Windows
        stem = f"_{stem}"
    return f"{stem}.{extension or _EXTENSION[media_type]}"


def content_disposition(name: str) -> str:
    """The header that makes a browser save and never show (RFC 6266), with the name in full (RFC 8187) and one for old programs."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'[^ -~]|["\\%]', "_", plain)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(CHUNK):
        yield piece


def _sealed_chunks(stream: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Cuts what the store gives, in pieces of any size, into sealed chunks, each with whether nothing follows it."""
    buffer = bytearray()
    for part in stream:
        buffer += part
        while len(buffer) > _SEALED:
            yield bytes(buffer[:_SEALED]), False
            del buffer[:_SEALED]
    yield bytes(buffer), True


def _receive(stream: BinaryIO, file: IO[bytes], largest: int) -> None:
    size = 0
    while piece := stream.read(min(CHUNK, largest - size + 1)):
        size += len(piece)
        if size > largest:
            raise Refused("file_too_large", "file", megabytes=f"{largest / 1_000_000:.3g}")
        file.write(piece)
    if not size:
        raise Refused("file_empty", "file")


def _damaged() -> Refused:
    return Refused("file_damaged", "file")


def _recognize(file: IO[bytes], allowed: Mapping[str, frozenset[str]]) -> str:
    file.seek(0)
    head = file.read(8192)
    guess = filetype.guess(head)
    media_type: str | None = guess.mime if guess else None
    if head.startswith(b"PK\x03\x04"):
        media_type = _recognize_package(file)
    elif media_type not in KINDS and _is_text(file, head):
        media_type = "text/plain"
    if media_type is None or media_type not in allowed:
        extensions = ", ".join(sorted({_EXTENSION[kind] for kind in allowed}))
        raise Refused("file_type_not_allowed", "file", extensions=extensions)
    return media_type


def _is_text(file: IO[bytes], head: bytes) -> bool:
    """Whether all of it is UTF-8 to be read, and no markup or script that a program might run instead of showing."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"#!") or _MARKUP.search(head):
        return False
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for piece in _pieces(file):
            if _NOT_TEXT.search(decoder.decode(piece)):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _recognize_package(file: IO[bytes]) -> str | None:
    """The type of an office document, once all of it was unpacked within bounds; None for any other zip."""
    # zipfile reads the whole directory into memory, so its size is looked at first. Office programs write neither comments nor zip64.
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 42))
    tail = file.read().rjust(42, b"\0")
    if tail[20:24] != b"PK\x05\x06" or tail[:4] == b"PK\x06\x07":
        raise _damaged()
    if int.from_bytes(tail[32:36], "little") > _ZIP_DIRECTORY:
        raise Refused("file_unpacks_too_large", "file", megabytes=UNPACKED_MEGABYTES)
    try:
        with zipfile.ZipFile(file) as package:
            entries = package.infolist()
            if any(entry.flag_bits & 1 for entry in entries):
                raise Refused("file_encrypted", "file")
            if any(entry.compress_type not in _ZIP_METHODS for entry in entries):
                raise _damaged()
            if sum(entry.file_size for entry in entries) > UNPACKED_MEGABYTES * 1_000_000:
                raise Refused("file_unpacks_too_large", "file", megabytes=UNPACKED_MEGABYTES)
            for entry in entries:  # zipfile stops at the size that was declared, and then the checksum tells a lie
                with package.open(entry) as part:
                    while part.read(1 << 16):
                        pass
            names = {entry.filename for entry in entries}
            if any(name.endswith("vbaProject.bin") or name.startswith(("Basic/", "Scripts/")) for name in names):
                return None  # macros
            if "mimetype" in names:
                with package.open("mimetype") as part:
                    declared = part.read(100).decode("ascii").strip()
                return declared if declared in KINDS else None
            return next((kind for part_name, kind in _OFFICE.items() if part_name in names), None)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise _damaged() from None


def _write_anew(file: IO[bytes], photo: IO[bytes], image_format: str) -> None:
    """Decodes a photo and encodes it again, so that nothing is left of what was not its picture."""
    file.seek(0)
    with _one_photo:
        try:
            image = Image.open(file, formats=[image_format])
            if image.width * image.height > MEGAPIXELS * 1_000_000:
                raise Refused("photo_too_large", "file", megapixels=MEGAPIXELS)
            # A camera's JPEG may hold a second picture, for depth or a preview: that one is dropped. Elsewhere it is an animation.
            if image_format != "JPEG" and getattr(image, "is_animated", False):
                raise Refused("file_type_not_allowed", "file", extensions="jpg, mp4")
            image.load()
            orientation = image.getexif().get(_ORIENTATION)
        except Image.DecompressionBombError:
            raise Refused("photo_too_large", "file", megapixels=MEGAPIXELS) from None
        except (OSError, SyntaxError, ValueError, struct.error, EOFError, zlib.error):
            raise _damaged() from None
        options: dict[str, Any] = {
            name: image.info[name] for name in ("icc_profile", "transparency") if name in image.info
        }
        if orientation in range(2, 9):
            exif = Image.Exif()
            exif[_ORIENTATION] = orientation
            options["exif"] = exif
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            # Compressed as it was, so that next to nothing is lost.
            options |= {"qtables": image.quantization, "subsampling": JpegImagePlugin.get_sampling(image)}
        elif image_format == "WEBP":
            options["quality"] = 90
        image.info = {}
        image.save(photo, image_format, **options)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of ISO 14496-12 between two positions: type, where the content begins and ends."""
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            raise ValueError("box")
        yield kind, start + 8, start + size
        start += size


def _blank(file: IO[bytes], start: int, end: int) -> None:
    file.seek(start)
    while start < end:
        start += file.write(bytes(min(CHUNK, end - start)))


def _blank_heic(file: IO[bytes]) -> None:
    """Overwrites the Exif and XMP of a HEIC photo (ISO 23008-12) with zeros, and all that stands beside the picture.

    Its orientation is a property of the picture and not in the Exif, so it stays.
    """
    size = file.seek(0, os.SEEK_END)
    position, directory, boxes = 0, None, 0
    try:
        while position < size:
            boxes += 1
            if boxes > _HEIC_BOXES:
                raise ValueError("boxes")
            file.seek(position)
            header = file.read(16).ljust(16, b"\0")
            length, kind = struct.unpack_from(">I4s", header)
            content = position + 8
            if length == 1:
                length, content = int.from_bytes(header[8:], "big"), position + 16
            end = position + length if length else size
            if kind in (b"ftyp", b"meta", b"mdat"):
                if not content <= end <= size:
                    raise ValueError("box")
                if kind == b"meta":
                    if directory is not None or end - content > _HEIC_DIRECTORY:
                        raise ValueError("meta")
                    file.seek(content)
                    directory = (content, file.read(end - content))
            elif not content <= end <= size:  # what some telephones hang on is no box
                file.truncate(position)
                size = position
                break
            else:
                file.seek(position + 4)
                file.write(b"free")
                _blank(file, content, end)
            position = end
        if directory is None:
            raise ValueError("no meta")
        for start, end in _heic_metadata(*directory):
            if not 0 < start <= end <= size:
                raise ValueError("extent")
            _blank(file, start, end)
    except (struct.error, LookupError, ValueError):
        raise _damaged() from None


def _heic_metadata(offset: int, meta: bytes) -> Iterator[tuple[int, int]]:
    """Where Exif and XMP begin and end in the file; `meta` is the content of the box of that name, which begins at `offset`."""
    boxes = {kind: (start, end) for kind, start, end in _boxes(meta, 4, len(meta))}
    start, end = boxes[b"iinf"]
    hidden = set()
    for kind, at, _ in _boxes(meta, start + (6 if meta[start] == 0 else 8), end):
        version = meta[at]
        if kind != b"infe" or version not in (2, 3):
            raise ValueError("infe")
        item, _, item_type = struct.unpack_from(">HH4s" if version == 2 else ">IH4s", meta, at + 4)
        if item_type in (b"Exif", b"mime", b"uri "):
            hidden.add(item)

    at, end = boxes[b"iloc"]
    version = meta[at]

    def number(width: int) -> int:
        nonlocal at
        at += width
        if at > end:
            raise ValueError("iloc")
        return int.from_bytes(meta[at - width : at], "big")

    number(4)
    sizes = number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    if not offset_size + length_size:  # then a few bytes could announce extents without end
        raise ValueError("iloc")
    wide = 2 if version < 2 else 4
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        for _ in range(number(2)):
            number(index_size if version else 0)
            first = base + number(offset_size)
            length = number(length_size)
            if item not in hidden:
                continue
            if method == 1:  # within the box idat
                first += offset + boxes[b"idat"][0]
            elif method or not length:
                raise ValueError("iloc")
            yield first, first + length
