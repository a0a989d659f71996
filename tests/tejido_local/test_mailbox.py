"""The mailbox as a process: what comes in by SMTP is seen on its page, and nothing else is."""

import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import httpx2 as httpx
import pytest

from tejido_local.mailbox import Store
from tejido_local.processes import free_port, wait_until

HOST = "127.0.0.1"


class Mailbox:
    def __init__(self, smtp: int, web: int) -> None:
        self.smtp, self.web = smtp, web
        self.url = f"http://{HOST}:{web}"

    def answers(self) -> bool:
        try:
            return httpx.get(self.url).status_code == 200
        except httpx.TransportError:
            return False

    def send(self, to: str, subject: str, text: str, html: str = "") -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "Alcaldía <avisos@tejido.example>", to, subject
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        with smtplib.SMTP(HOST, self.smtp) as smtp:
            smtp.send_message(message)


@contextmanager
def running(directory: Path) -> Iterator[Mailbox]:
    mailbox = Mailbox(free_port(), free_port())
    arguments = ["--smtp-port", str(mailbox.smtp), "--web-port", str(mailbox.web), "--directory", str(directory)]
    process = subprocess.Popen([sys.executable, "-m", "tejido_local.mailbox", *arguments])
    try:
        assert wait_until(mailbox.answers, 15)
        yield mailbox
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with running(tmp_path_factory.mktemp("mailbox")) as mailbox:
        yield mailbox


def test_a_message_with_accents_is_shown_to_whoever_looks_for_its_recipient(mailbox: Mailbox) -> None:
    mailbox.send("ana@tejido.example", "Respuesta a su petición n.º 12", "Señora Muñoz:\nrecibimos su petición.")
    mailbox.send("otra@tejido.example", "Otro", "Otro")

    [found] = httpx.get(f"{mailbox.url}/messages", params={"to": "ANA@"}).json()["messages"]
    assert found["subject"] == "Respuesta a su petición n.º 12"
    assert found["from"] == "Alcaldía <avisos@tejido.example>"
    whole = httpx.get(f"{mailbox.url}/messages/{found['number']}").json()
    assert whole["text"].splitlines() == ["Señora Muñoz:", "recibimos su petición."]
    assert whole["to"] == "ana@tejido.example"

    page = httpx.get(mailbox.url, params={"to": "ana"}).text
    assert "Buzón local" in page
    assert "Respuesta a su petición n.º 12" in page
    assert "Otro" not in page
    assert "Local mailbox" in httpx.get(mailbox.url, headers={"Accept-Language": "en"}).text
    assert "Señora Muñoz:" in httpx.get(f"{mailbox.url}/{found['number']}").text
    assert b"X-Mailbox-To: ana@" in httpx.get(f"{mailbox.url}/messages/{found['number']}/source").content


def test_nothing_of_a_message_runs_in_the_page(mailbox: Mailbox) -> None:
    attack = '"><script>alert(1)</script>'
    mailbox.send("mala@tejido.example", attack, attack, f"<p>Hola</p>{attack}")
    [found] = httpx.get(f"{mailbox.url}/messages", params={"to": "mala@"}).json()["messages"]
    for path in (f"/{found['number']}", "/?to=mala%22%3E%3Cscript%3E", "/"):
        answer = httpx.get(mailbox.url + path)
        assert "<script" not in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert 'sandbox=""' in httpx.get(f"{mailbox.url}/{found['number']}").text


@pytest.mark.parametrize(
    "path",
    ["/messages/../../etc/passwd", "/messages/%2e%2e%2f1", "/messages/-1", "/messages/1.eml", "/messages/" + "9" * 400],
)
def test_only_numbers_of_kept_messages_have_an_address(mailbox: Mailbox, path: str) -> None:
    with socket.create_connection((HOST, mailbox.web)) as connection:  # clients tidy such paths up
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        assert connection.makefile("rb").readline().split()[1] == b"404"


def test_a_page_elsewhere_cannot_read_the_mail_under_its_own_name(mailbox: Mailbox) -> None:
    assert httpx.get(mailbox.url, headers={"Host": "elsewhere.example"}).status_code == 400
    assert httpx.get(f"{mailbox.url}/messages?before=x").status_code == 422


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as mailbox:
        mailbox.send("ana@tejido.example", "Uno", "Uno")
    with running(tmp_path) as mailbox:
        mailbox.send("ana@tejido.example", "Dos", "Dos")
        subjects = [message["subject"] for message in httpx.get(f"{mailbox.url}/messages").json()["messages"]]
    assert subjects == ["Dos", "Uno"]


def test_the_oldest_messages_go(tmp_path: Path) -> None:
    store = Store(tmp_path, kept=3)
    for number in range(1, 6):
        assert store.add("a@x.example", ["b@x.example"], b"Subject: %d\r\n\r\n" % number) == number
    assert [message["subject"] for message in store.newest()] == ["5", "4", "3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number:09}.eml" for number in (3, 4, 5)]
    assert [message["number"] for message in Store(tmp_path).newest(before=5)] == [4, 3]
    with pytest.raises(KeyError):
        store.message(1)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Type: text/plain; charset=x-nobody-knows\r\n\r\n\xf1",
        b"Content-Type: multipart/alternative; boundary=x\r\n\r\nno parts",
        b"Subject: =?utf-8?q?=ff?=\r\nTo: <<>\r\n\r\n",
        b"",
    ],
)
def test_broken_messages_are_kept_and_shown(tmp_path: Path, body: bytes) -> None:
    store = Store(tmp_path)
    number = store.add("a@x.example", ["b@x.example"], body)
    assert store.message(number)["to"] == "b@x.example"
