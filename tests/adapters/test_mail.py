"""Letters over a real SMTP conversation: sent once, in the writer's words, and a refusal is kept to be read."""

import datetime as dt
import socketserver
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.adapters import mail
from api.db import transaction
from api.domain.core import restores
from api.domain.messages.notifications import Mail
from api.settings import settings
from tests.world import NOW, make_site, make_user
from tests.world.booking import at, make_booking_world

BODY = "Bonjour,\n\nvotre pièce « crochet » est imprimée.\n"


class Postman(socketserver.ThreadingTCPServer):
    """Takes every letter, but for recipients that it `refuses`; keeps what it was told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.letters: list[EmailMessage] = []
        self.logins: list[str] = []
        self.refuses = False
        self.tls: ssl.SSLContext | None = None
        self.tls_at_once = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust our certificate breaks off: it is meant to."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Conversation(socketserver.StreamRequestHandler):
    server: Postman

    def setup(self) -> None:
        if self.server.tls and self.server.tls_at_once:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def handle(self) -> None:
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                return self.say("221 bye")
            self.answer(verb.upper(), rest)
        return None

    def answer(self, verb: str, rest: str) -> None:
        if verb == "EHLO":
            self.say("250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN")
        elif verb == "STARTTLS":
            assert self.server.tls
            self.say("220 go on")
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            super().setup()
        elif verb == "AUTH":
            self.server.logins.append(b64decode(rest.split()[1]).decode())
            self.say("235 welcome")
        elif verb == "RCPT" and self.server.refuses:
            self.say("550 no such person")
        elif verb == "DATA":
            self.say("354 go on")
            self.take()
        else:
            self.say("250 fine")

    def take(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        letter = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.server.letters.append(letter)
        self.say("250 taken")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def postman() -> Iterator[Postman]:
    with Postman() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def letter_id(installation: Path, postman: Postman, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(settings(), "smtp_url", f"smtp://127.0.0.1:{postman.port}")
    with transaction() as session:
        user = make_user(session, "Alice", email="alice@example.org")
        letter = Mail(
            user_id=user.id, kind="x", about="y", recipient=user.email, subject="Imprimée !", body=BODY, created_at=NOW
        )
        session.add(letter)
        session.flush()
        return letter.id


def look(letter_id: int) -> Mail:
    with transaction() as session:
        return session.get_one(Mail, letter_id)


def test_a_letter_arrives_in_the_writers_words(letter_id: int, postman: Postman) -> None:
    mail.send_mail(letter_id)
    (arrived,) = postman.letters
    assert (arrived["To"], arrived["From"]) == ("alice@example.org", settings().mail_from)
    assert (arrived["Subject"], arrived.get_content().replace("\r\n", "\n")) == ("Imprimée !", BODY)
    assert (look(letter_id).sent_at is None, look(letter_id).trouble) == (False, "")


def test_a_letter_that_was_sent_is_not_sent_again(letter_id: int, postman: Postman) -> None:
    mail.send_mail(letter_id)
    mail.send_mail(letter_id)
    assert len(postman.letters) == 1


def test_a_refusal_is_kept_and_a_later_try_forgets_it(letter_id: int, postman: Postman) -> None:
    postman.refuses = True
    mail.send_mail(letter_id)
    assert (look(letter_id).sent_at, "no such person" in look(letter_id).trouble) == (None, True)
    postman.refuses = False
    mail.send_mail(letter_id)
    assert (look(letter_id).sent_at is None, look(letter_id).trouble) == (False, "")


def test_without_a_mail_server_a_letter_waits_for_staff_to_read_it(
    letter_id: int, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "smtp_url", "")
    mail.send_mail(letter_id)
    assert (postman.letters, look(letter_id).sent_at, look(letter_id).trouble) == ([], None, "")


def test_a_name_and_password_are_said_as_they_were_before_the_url_hid_them(
    letter_id: int, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "smtp_url", f"smtp://al%40home:p%2Fw@127.0.0.1:{postman.port}")
    mail.send_mail(letter_id)
    assert postman.logins == ["\0al@home\0p/w"]


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_letter_that_must_go_encrypted_never_goes_plain(
    letter_id: int, postman: Postman, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(settings(), "smtp_url", f"{scheme}://127.0.0.1:{postman.port}")
    mail.send_mail(letter_id)
    assert postman.letters == []
    assert look(letter_id).trouble


@pytest.mark.parametrize(
    "base", ["https://etabli.example", "https://etabli.example/", "https://etabli.example/atelier"]
)
def test_a_letter_about_a_booking_carries_its_page_and_its_calendar(
    letter_id: int, postman: Postman, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setattr(settings(), "base_url", base)
    with transaction() as session:
        letter = session.get_one(Mail, letter_id)
        letter.user.email = "elsewhere@example.org"
        session.flush()
        booking = make_booking_world(session).book(at(3, 10), at(3, 11))
        letter.kind, letter.about = "booking_confirmed", f"booking:{booking.id}:x"

    mail.send_mail(letter_id)

    (arrived,) = postman.letters
    words, calendar = arrived.iter_parts()
    assert words.get_content().rstrip().endswith(f"{base.rstrip('/')}/bookings/{booking.id}")
    assert (calendar.get_content_type(), calendar.get_param("method")) == ("text/calendar", "PUBLISH")
    assert f"UID:booking-{booking.id}@" in calendar.get_content()


@pytest.mark.parametrize(
    ("address", "city", "lines"),
    [
        ("2 rue Basse\n48000 Mende", "Mende", ["L’Atelier", "2 rue Basse", "48000 Mende"]),
        ("", "Mende", ["L’Atelier", "Mende"]),
        ("", "", ["L’Atelier"]),
    ],
)
def test_a_letter_of_a_place_ends_with_its_name_and_address(
    letter_id: int, postman: Postman, address: str, city: str, lines: list[str]
) -> None:
    with transaction() as session:
        site = make_site(session, "L’Atelier")
        site.address, site.city = address, city
        session.get_one(Mail, letter_id).site = site
    mail.send_mail(letter_id)

    (arrived,) = postman.letters
    assert arrived.get_content().split("\r\n-- \r\n")[1].splitlines() == lines


def certificate_for(host: str, folder: Path) -> Path:
    """Key and self-signed certificate of a host, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    today = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(today - dt.timedelta(days=1)).not_valid_after(today + dt.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{host}.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
@pytest.mark.parametrize(
    ("host", "is_trusted", "arrives"),
    [("localhost", True, True), ("localhost", False, False), ("elsewhere.example", True, False)],
)
def test_a_letter_and_its_password_go_only_to_the_server_that_was_named(
    letter_id: int, postman: Postman, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str, host: str,
    is_trusted: bool, arrives: bool,
) -> None:  # fmt: skip
    certificate = certificate_for(host, tmp_path)
    postman.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    postman.tls.load_cert_chain(certificate)
    postman.tls_at_once = scheme == "smtps"
    monkeypatch.setattr(settings(), "smtp_url", f"{scheme}://user:secret@localhost:{postman.port}")
    monkeypatch.setattr(settings(), "smtp_ca", certificate if is_trusted else None)
    mail.send_mail(letter_id)
    assert (len(postman.letters), len(postman.logins)) == (arrives, arrives)
    assert (look(letter_id).sent_at is not None) is arrives
    assert arrives or "certificate" in look(letter_id).trouble.lower()


def test_a_restored_copy_sends_only_what_it_writes_after_it_goes_on(letter_id: int, postman: Postman) -> None:
    """The letter of before may have gone out from the first installation."""
    with transaction() as session:
        restores.record_restore(session, now=NOW)
    mail.send_mail(letter_id)
    with transaction() as session:
        assert restores.resume(session, now=NOW + dt.timedelta(minutes=1))
        assert not restores.resume(session, now=NOW + dt.timedelta(minutes=2))
    mail.send_mail(letter_id)
    assert (postman.letters, look(letter_id).sent_at, look(letter_id).trouble) == ([], None, mail.FROM_BACKUP)
    with transaction() as session:
        session.get_one(Mail, letter_id).created_at = NOW + dt.timedelta(minutes=1)
    mail.send_mail(letter_id)
    assert (len(postman.letters), look(letter_id).trouble) == (1, "")
