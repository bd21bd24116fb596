"""Sends letters over SMTP. Without an SMTP server they stay on the page /staff/mail, where staff can read them."""

from __future__ import annotations

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

import structlog

from api.addresses import address_of
from api.db import transaction
from api.domain.booking.feeds import ics_of_letter
from api.domain.core import restores
from api.domain.messages.notifications import Mail
from api.settings import settings

log = structlog.get_logger()

TIMEOUT_S = 15
# Beside a letter on the page of letters.
FROM_BACKUP = "Restored from a backup: it may have been sent already."


def send_mail(mail_id: int) -> None:
    """One background step: send one letter, and note when, or why not."""
    # At least once: SMTP knows no key for repeats, so a crash after the server took the letter sends it again.
    if not settings().smtp_url:
        return
    with transaction() as session:
        mail = session.get_one(Mail, mail_id)
        if mail.sent_at is not None:
            return
        if restores.may_have_been_sent(session, written_at=mail.created_at):
            mail.trouble = FROM_BACKUP
            return
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = settings().mail_from, mail.recipient, mail.subject
        message.set_content(mail.body + _link(mail) + _signature(mail))
        if calendar := ics_of_letter(session, kind=mail.kind, about=mail.about):
            _attach(message, *calendar)
    try:
        _deliver(message)
        sent_at, trouble = datetime.now(UTC), ""
    except (OSError, smtplib.SMTPException) as error:
        log.warning("mail not sent", mail=mail_id, error=str(error))
        sent_at, trouble = None, str(error)[:300]
    with transaction() as session:
        mail = session.get_one(Mail, mail_id)
        mail.sent_at, mail.trouble = sent_at, trouble


# Where a letter's subject has a page.
PAGES = {
    "booking": "/bookings/{}",
    "wait": "/waits/{}",
    "job": "/jobs/{}",
    "quote": "/quotes/{}",
    "order": "/orders/{}",
    "invoice": "/invoices/{}",
}


def _link(mail: Mail) -> str:
    """The page of what the letter is about, as its last line; empty where `base_url` is not set."""
    noun, number, *_ = [*mail.about.split(":"), ""]
    address = address_of(PAGES[noun].format(number)) if noun in PAGES and number.isdigit() else ""
    return f"\n{address}\n" if address else ""


def _signature(mail: Mail) -> str:
    """The place that writes, below the line that mail programs know as the beginning of a signature."""
    site = mail.site
    lines = [] if site is None else [site.name, *site.address.splitlines(), site.city]
    # The address may name the town already.
    lines = [line for n, line in enumerate(lines) if line.strip() and line not in " ".join(lines[:n])]
    return "\n-- \n" + "\n".join(lines) + "\n" if lines else ""


def _attach(message: EmailMessage, method: str, calendar: bytes) -> None:
    """`method` REQUEST puts the event into the reader's calendar, CANCEL takes it away."""
    message.add_attachment(
        calendar,
        maintype="text",
        subtype="calendar",
        filename="etabli.ics",
        params={"method": method, "charset": "utf-8"},
    )


def _deliver(message: EmailMessage) -> None:
    url = urlsplit(settings().smtp_url)
    with _connect(url) as server:
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)


def _connect(url: SplitResult) -> smtplib.SMTP:
    """TLS with a certificate of this very host: smtplib by itself accepts any, and would hand the password to it."""
    host, port, context = url.hostname or "localhost", url.port or 0, _tls_context()
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    if url.scheme == "smtp+starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _tls_context() -> ssl.SSLContext:
    """The system's authorities, or those in the file of `smtp_ca`."""
    return ssl.create_default_context(cafile=str(settings().smtp_ca) if settings().smtp_ca else None)
