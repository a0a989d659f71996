"""The receipt and the report as PDF: what they must say, what they must not, and that no text can be more than text."""

import random
import re
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp

from tejido_requests.documents import (
    Acts,
    AgeBand,
    Column,
    Counts,
    Figure,
    InformationRequests,
    LegalTerm,
    OnTime,
    Petitioner,
    Receipt,
    Report,
    Section,
    Table,
    Words,
    acts_section,
    backlog_section,
    counts_section,
    information_section,
    receipt,
    report,
)
from tejido_shared.contracts import CountedDay
from tejido_shared.jurisdiction.models import Entity

BOGOTA = ZoneInfo("America/Bogota")
ENTITY = Entity(
    name="Instituto de la Participación y la Acción Comunal de Ñuble",
    short_name="IPAC",
    email="atencion@ipac.example.org",
    phone="+57 601 555 0100",
    address="Calle 0 n.º 0-00, Bogotá D. C.",
    website="https://ipac.example.org",
    opening_hours="Lunes a viernes, de 7:00 a 16:30",
)
URL = "https://tramites.ipac.example.org/seguimiento?radicado=BOG-2026-000123-97"


def counted(received: date, n: int, closed: dict[date, str]) -> tuple[CountedDay, ...]:
    days: list[CountedDay] = []
    day, ordinal = received, 0
    while ordinal < n:
        day += timedelta(days=1)
        why = closed.get(day) or ("fin de semana" if day.weekday() > 4 else None)
        ordinal += why is None
        days.append(CountedDay(day=day, ordinal=None if why else ordinal, why_not=why))
    return tuple(days)


HOLIDAY = "Inmaculada Concepción (Ley 51 de 1983, art. 1)"
DAYS = counted(date(2026, 11, 23), 15, {date(2026, 12, 8): HOLIDAY})
NEXT_HOLIDAYS = {
    date(2026, 12, 25): "Navidad (Ley 51 de 1983, art. 1)",
    date(2027, 1, 1): "Año Nuevo (Ley 51 de 1983, art. 1)",
}
THIRTY = counted(date(2026, 11, 23), 30, {date(2026, 12, 8): HOLIDAY} | NEXT_HOLIDAYS)
LEGAL = LegalTerm(
    words="15 días hábiles",
    kind="legal",
    article="Ley 1755 de 2015, art. 14 inc. 1",
    effective_receipt_date=date(2026, 11, 23),
    due_date=DAYS[-1].day,
    days=DAYS,
)
MARIA = Petitioner(
    name="María Peña Güiza",
    identification="C. C. 1.000.000.001",
    address="Carrera 0 n.º 1-23, barrio La Esperanza",
    email="maria.pena@example.org",
    phone="+57 300 555 0101",
    representative="Íñigo Muñoz Ávila",
)
SHORT = Receipt(
    entity=ENTITY,
    country="CO",
    zone=BOGOTA,
    number="BOG-2026-000123-97",
    tracking_code="K7RM2Q9XTA",
    tracking_url=URL,
    received_at=datetime(2026, 11, 23, 15, 4, tzinfo=UTC),
    issued_at=datetime(2026, 11, 23, 15, 5, tzinfo=UTC),
    type_name="Derecho de petición de interés general",
    channel="Página web",
    office="Atención a la Ciudadanía",
    subject="¿Cuándo se repara la luz del salón comunal? ¡Ojalá pronto!",
    term=LEGAL,
    petitioner=MARIA,
)
VERBAL = replace(
    SHORT,
    verbal=True,
    channel="Ventanilla",
    reasons="El salón está a oscuras desde agosto y allí se reúne la junta.",
    organization="Junta de Acción Comunal La Esperanza",
    addressees=("Secretaría General", "Alcaldía Local de Ñuble"),
    place="Salón comunal, calle 1 n.º 2-34, barrio La Esperanza",
    priority="la pide una persona mayor y hay riesgo de caídas",
    attachments=("Fotografía del salón.jpg", "Acta 12 de la junta.pdf"),
    missing=("Dirección para recibir la respuesta", "Firma del representante"),
    received_by="Ana Lucía Rincón, auxiliar administrativa",
    data_protection="Sus datos personales se tratan según la Ley 1581 de 2012, solo para atender su petición.",
)
CONFIDENTIAL = replace(VERBAL, identity="confidential")
ANONYMOUS = replace(SHORT, identity="anonymous", petitioner=None, reasons="Es un asunto de todos.")
LONG = replace(
    VERBAL,
    verbal=False,
    subject="\n\n".join(
        f"{n}. Pedimos a la entidad que informe qué obras se han hecho en el salón comunal, con qué recursos, quién las "
        "contrató y quién las vigila, y que entregue copia de los contratos, las actas y los informes de interventoría. "
        * 2
        for n in range(1, 10)
    ),
    reasons="La comunidad ha preguntado tres veces sin respuesta. " * 20,
    attachments=tuple(f"Anexo {n}: oficio radicado antes.pdf" for n in range(1, 15)),
    term=replace(
        LEGAL, words="30 días hábiles", article="Ley 1755 de 2015, art. 14 num. 2", due_date=THIRTY[-1].day, days=THIRTY
    ),
)
ENGLISH = replace(
    VERBAL,
    language="en",
    subject="When will the light of the community hall be repaired?",
    reasons="The hall has been dark since August.",
    channel="Counter",
    term=replace(LEGAL, words="15 business days"),
)
COMMITMENT = replace(
    SHORT,
    country="AR",
    term=replace(LEGAL, kind="service_commitment", article="Compromiso de servicio del municipio"),
)
WORDS = Words("es", "CO")
TYPES = (
    Counts("Derecho de petición de interés general", 84, 6, 21, 3, 4.2, 9.8),
    Counts("Derecho de petición de interés particular", 61, 4, 15, 2, 3.9, 10.4),
    Counts("Queja", 22, 3, 6, 1, 5.0, 11.2),
    Counts("Reclamo", 18, 0, 4, 0, 2.5, 8.1),
    Counts("Solicitud de acceso a documentos o información", 40, 2, 7, 0, 2.0, 6.3),
    Counts("Consulta", 5, 1, 8, 1, 9.0, 22.5),
    Counts("Denuncia por posibles actos de corrupción", 0, 0, 2, 0),
)
ALL = Counts("Total", 230, 16, 63, 7, 3.9, 9.6)
AREAS = (Counts("Usaquén", 120, 6, 30, 3, 3.8, 9.0), Counts("Ciudad Bolívar", 110, 10, 33, 4, 4.0, 10.2))
REPORT = Report(
    entity=ENTITY,
    country="CO",
    zone=BOGOTA,
    start=date(2026, 7, 1),
    end=date(2026, 9, 30),
    issued_at=datetime(2026, 10, 5, 14, tzinfo=UTC),
    on_time=OnTime(on_time=230, answered=246, open_overdue=7),
    figures=(
        Figure("recibidas", 316, "12 más que en el trimestre anterior"),
        Figure("respondidas", 246),
        Figure("pendientes", 70, "7 vencidas"),
    ),
    sections=(
        counts_section("type", TYPES, ALL, WORDS),
        counts_section(
            "office",
            (
                Counts("Atención a la Ciudadanía", 150, 10, 40, 5, 3.5, 9.0),
                Counts("Secretaría General", 80, 6, 23, 2, 4.6, 10.7),
            ),
            ALL,
            WORDS,
        ),
        counts_section(
            "channel",
            (Counts("Página web", 200, 10, 40, 5, 3.5, 9.1), Counts("Ventanilla", 30, 6, 23, 2, 4.9, 11.0)),
            ALL,
            WORDS,
        ),
        counts_section("area", AREAS, ALL, WORDS, chart=False),
        backlog_section(
            54,
            316,
            300,
            70,
            (AgeBand(0, 5, 31, 0), AgeBand(6, 15, 30, 1), AgeBand(16, 30, 2, 4), AgeBand(31, None, 0, 2)),
            WORDS,
        ),
        acts_section(Acts(14, 9.5, 23, 22, 1), WORDS),
        information_section(InformationRequests(49, 5, 2, 6.3), WORDS),
        Section(
            "Satisfacción",
            (
                "Respondieron la encuesta 80 personas.",
                Table((Column("Nota", "text"), Column("Parte", "percent")), (("5", 0.625),)),
            ),
        ),
    ),
    method=("Los datos son ficticios.",),
)


def text_of(document: bytes) -> str:
    """Its words, with every run of white space as one blank."""
    pdf = pypdfium2.PdfDocument(document)
    pages = [page.get_textpage().get_text_range() for page in pdf]
    text = re.sub(r"[\s\ufffe]+", " ", " ".join(pages))
    return re.sub(r" IPAC · \S+ (Página|Page) \d+ (de|of) \d+", "", text)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def says(document: bytes, *expected: str) -> None:
    """However its lines are broken."""
    found = squeezed(text_of(document))
    assert [words for words in expected if squeezed(words) not in found] == []


def test_a_verbal_receipt_says_all_that_the_law_asks() -> None:
    says(
        receipt(VERBAL),
        *(ENTITY.name, ENTITY.address, ENTITY.phone, ENTITY.email, ENTITY.website),
        *("BOG-2026-000123-97", "K7RM2Q9XTA", "lunes, 23 de noviembre de 2026, 10:04", "UTC−05:00"),
        *(VERBAL.type_name, VERBAL.channel, VERBAL.office, VERBAL.subject, VERBAL.reasons or "", VERBAL.place or ""),
        *(MARIA.name, MARIA.identification or "", MARIA.address or "", MARIA.email or "", MARIA.phone or ""),
        *(MARIA.representative or "", VERBAL.organization or "", *VERBAL.addressees, VERBAL.priority or ""),
        *("Se recibieron 2 documentos anexos", *VERBAL.attachments, *VERBAL.missing, "insistió", "art. 15"),
        *("se presentó de manera verbal", "Decreto 1166 de 2016", "2.2.3.12.3", VERBAL.received_by or ""),
        *("15 días hábiles", "Ley 1755 de 2015, art. 14 inc. 1", "lunes, 23 de noviembre de 2026", "Solicite copia"),
        *(HOLIDAY, "fin de semana", VERBAL.data_protection or "", URL),
    )


def test_the_count_is_printed_day_by_day_and_ends_on_the_due_date() -> None:
    document = receipt(SHORT)
    says(document, "martes, 15 de diciembre de 2026")
    text = text_of(document)
    for day in DAYS:
        shown = f"{day.day.day} {'nov' if day.day.month == 11 else 'dic'} 2026 {day.ordinal or day.why_not}"
        assert shown in text


def test_a_written_receipt_does_not_say_it_was_verbal() -> None:
    text = text_of(receipt(SHORT))
    assert "verbal" not in text
    assert "Solicitud escrita" in text
    assert "¿Cuándo se repara la luz del salón comunal? ¡Ojalá pronto!" in text
    assert "No se expresaron." in text
    assert "n.º" in text


def test_english() -> None:
    document = receipt(ENGLISH)
    says(
        document,
        "Proof of receipt",
        "made verbally",
        "Monday, November 23, 2026",
        "15 business days",
        "Received with 2 attached",
    )
    assert pypdfium2.PdfDocument(document).get_metadata_value("Title") == "Proof of receipt"
    assert b"/Lang (en" in document or b"/Lang(en" in document


def test_a_commitment_is_never_called_the_law() -> None:
    text = text_of(receipt(COMMITMENT))
    assert "compromiso de la entidad, no un término fijado por la ley" in text
    assert "término legal" not in text
    assert "Ley 1755" not in text, "the law of another country"


def test_terms_that_are_not_counted_by_days() -> None:
    months = replace(SHORT, term=replace(LEGAL, words="2 meses", days=()))
    says(receipt(months), "no se cuentan día por día")
    typed = replace(SHORT, term=replace(LEGAL, kind="typed", article=None, days=()))
    says(receipt(typed), "fecha que fijó la autoridad que la pide")


@pytest.mark.parametrize("of", [CONFIDENTIAL, replace(CONFIDENTIAL, verbal=False, language="en")])
def test_a_confidential_identity_leaves_no_trace(of: Receipt) -> None:
    document = receipt(of)
    text = text_of(document)
    personal = [MARIA.name, MARIA.identification, MARIA.address, MARIA.email, MARIA.phone, MARIA.representative]
    for secret in [*personal, of.organization, *of.attachments]:
        assert secret is not None
        assert squeezed(secret) not in squeezed(text)
        for encoded in (secret.encode(), secret.encode("utf-16-be"), secret.encode("latin-1")):
            assert encoded not in document
    assert "confidential" in text or "Identidad reservada" in text
    assert "2 " in text


def test_an_anonymous_receipt_names_nobody() -> None:
    says(receipt(ANONYMOUS), "Solicitud anónima")
    assert MARIA.name not in text_of(receipt(replace(ANONYMOUS, petitioner=MARIA)))


def test_a_named_receipt_needs_a_name_and_the_qr_no_code() -> None:
    with pytest.raises(ValueError, match="petitioner"):
        receipt(replace(SHORT, petitioner=None))
    with pytest.raises(ValueError, match="tracking code"):
        receipt(replace(SHORT, tracking_url=f"{URL}&code={SHORT.tracking_code}"))


@pytest.mark.parametrize("of", [SHORT, LONG, ENGLISH])
def test_the_qr_leads_to_the_tracking_address(of: Receipt) -> None:
    page = pypdfium2.PdfDocument(receipt(of))[0].render(scale=2).to_pil()
    assert [code.text for code in zxingcpp.read_barcodes(page)] == [URL]


def test_long_texts_flow() -> None:
    document = receipt(LONG)
    says(document, LONG.subject, LONG.reasons or "", *LONG.attachments)
    assert len(pypdfium2.PdfDocument(receipt(SHORT))) <= 2
    assert len(pypdfium2.PdfDocument(receipt(VERBAL))) <= 2


HOSTILE = [
    '#import "@preview/x:1.0.0": *',
    '#read("/etc/passwd") #panic() #sys.inputs #set page(paper: "a10")',
    "#{while true {}}",
    "[ ] { } $ x^2 $ * _ ` @ref <label> \\ \\u{41} // c /* c */ --- ~ = H - i + e / t: d",
    '"; } ] ) #eval("1") \\"',
    "{n} {of} {0} {x!r} %s ${jndi}",
    "https://example.org/" + "x" * 300,
    "w" * 4000,
    "palabra " * 500,
    "uno\n\n\n\ndos\ntres\r\ncuatro",
    "שלום עולם, مرحبا بالعالم, ok",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_only_text(text: str) -> None:
    document = receipt(
        replace(
            VERBAL,
            subject=text,
            reasons=text,
            petitioner=Petitioner(name=text[:200], address=text[:200], representative=text[:200]),
            attachments=(text[:200],),
            missing=(text[:200],),
            addressees=(text[:200], text[:200]),
            place=text[:200],
            organization=text[:200],
        )
    )
    found = squeezed(text_of(document)).replace("\u00ad", "")
    if "ש" in text:  # an extractor turns right-to-left runs round
        assert "שלום" in found or "םולש" in found
    else:
        assert squeezed(text) in found


def test_no_word_runs_off_the_page() -> None:
    document = pypdfium2.PdfDocument(
        receipt(replace(SHORT, subject="w" * 4000, petitioner=Petitioner("ñ" * 200, email="m" * 200)))
    )
    for page in document:
        width = page.get_width()
        words = page.get_textpage()
        boxes = [words.get_charbox(i) for i in range(words.count_chars())]
        assert all(left >= 0 and right <= width for left, _, right, _ in boxes)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Gracias 👍🏽 👨‍👩‍👧", "Gracias [U+1F44D U+1F3FD] [U+1F468 U+1F469 U+1F467]"),
        ("中文请求", "[U+4E2D U+6587 U+8BF7 U+6C42]"),
        ("a\u202eb \x07 \ue000 \ufffe \ufeffc", "a[U+202E]b [U+0007] [U+E000] [U+FFFE] c"),
        ("🎉🎉🎉 ¡Listo!", "[U+1F389 ×3] ¡Listo!"),
        ("é\u20e3 1\u20e3 \ud800", "é[U+20E3] 1[U+20E3] ?"),
    ],
)
def test_what_no_font_draws_is_printed_by_number(text: str, shown: str) -> None:
    says(receipt(replace(SHORT, subject=text)), shown, "número Unicode", SHORT.number)


@pytest.mark.parametrize(
    "subject",
    [
        "2026-01-02 " * 1800,
        f"{'w' * 24} " * 800,
        "1" * 20_000,
        "x\n\n" * 6600,
        "😀" * 20_000,
        "".join(chr(0x4E00 + n) for n in range(20_000)),
        "a" + "".join(chr(0x300 + n % 0x6F) for n in range(20_000)),
    ],
    ids=["dates", "long words", "one word", "paragraphs", "one emoji", "another script", "marks on a letter"],
)
def test_the_longest_texts_are_printed_and_soon(subject: str) -> None:
    """20,000 characters are let in, and anybody may print their own receipt."""
    started = time.monotonic()
    says(receipt(replace(SHORT, subject=subject)), SHORT.number)
    assert time.monotonic() - started < 8  # it was 80 s, or no receipt at all


def test_every_character_there_is_can_be_filed() -> None:
    for start in range(0, 0x30000, 0x6000):
        receipt(replace(SHORT, subject=" ".join(chr(c) for c in range(start, start + 0x6000, 37))))


@pytest.mark.parametrize("seed", range(12))
def test_any_mixture_of_scripts_can_be_filed(seed: int) -> None:
    """Right-to-left letters with marks make typst panic, which no `except Exception` catches."""
    chance = random.Random(seed)
    pool = [
        *map(chr, range(0x20, 0x3100)),
        *map(chr, range(0x590, 0x700)),
        *"abc 1-áñ" * 100,
        *"שלوم مرح" * 60,
        *"\u064e\u0301\u20e3" * 40,
    ]
    receipt(replace(SHORT, subject="".join(chance.choices(pool, k=1500)), petitioner=Petitioner("أَمۡ ש\u0301ל")))


def test_the_same_receipt_gives_the_same_bytes_in_any_thread() -> None:
    once = receipt(LONG)
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(receipt(LONG))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [once] * 4
    assert receipt(replace(LONG, issued_at=LONG.issued_at + timedelta(days=1))) != once
    assert report(REPORT) == report(REPORT)


def test_it_claims_the_standards_it_was_checked_against() -> None:
    for document in (receipt(SHORT), report(REPORT)):
        assert b"pdfaid:part" in document
        assert b"pdfuaid:part" in document
        assert b"/Lang (es" in document or b"/Lang(es" in document


def test_the_report_says_what_it_is_asked_to() -> None:
    document = report(REPORT)
    says(
        document,
        *(
            "Del 1 de julio de 2026 al 30 de septiembre de 2026",
            "90,9 %",
            "230 a tiempo de 246 respondidas y 7 vencidas",
        ),
        *(
            "recibidas",
            "316",
            "Por tipo de solicitud",
            "Por dependencia",
            "Por canal",
            "Por zona",
            "Días a la primera respuesta",
        ),
        *(
            "Denuncia por posibles actos de corrupción",
            "Pendientes al comienzo",
            "31 o más",
            "Prórrogas",
            "cinco días",
            "silencio",
        ),
        *("Ley 1712 de 2014", "se negó el acceso", "62,5 %", "Los datos son ficticios.", "ordenar ni comparar barrios"),
        *("generado el 5 de octubre de 2026", ENTITY.name),
    )
    assert pypdfium2.PdfDocument(document).get_metadata_value("Title").startswith("Informe de peticiones")


def test_an_empty_report_and_one_in_english() -> None:
    words = Words("en", "AR")
    empty = replace(
        REPORT,
        language="en",
        country="AR",
        on_time=OnTime(0, 0, 0),
        figures=(),
        sections=(
            counts_section("type", (), None, words),
            information_section(InformationRequests(0, 0, 0, None), words),
        ),
        method=(),
    )
    text = text_of(report(empty))
    assert "Report on citizens' requests" in text
    assert "must not be used to rank" in text
    assert "Ley" not in text


def test_tables_and_charts_of_uneven_rows_are_refused() -> None:
    from tejido_requests.documents import Chart

    for part in (
        Table((Column("a", "text"), Column("b")), (("x",),)),
        Chart("c", ("a",), (("x", (1, 2)),)),
        Chart("c", ("a",), (("x", (-1,)),)),
    ):
        with pytest.raises(ValueError):
            report(replace(REPORT, sections=(Section("s", (part,)),)))


def test_the_rate_counts_what_is_overdue_and_open() -> None:
    assert OnTime(on_time=8, answered=9, open_overdue=1).rate == 0.8
    assert OnTime(0, 0, 0).rate is None
