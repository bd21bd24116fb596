"""Letters to people, in their language, one per kind and subject. A background step sends them (`adapters.mail`)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from babel.dates import format_date
from babel.numbers import format_currency
from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import enqueue
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Locale, User
from api.domain.places.calendar import calendar_of, next_attended
from api.domain.places.sites import Site
from api.domain.printing.jobs import Job
from api.domain.sales.quotes import Quote

RETRY_FOR = timedelta(days=1)
RETRY_BATCH = 10


class Mail(Base):
    """A letter, as it was or will be sent. `trouble` is why the last try failed."""

    __tablename__ = "mails"
    # Unique, so that a step that runs twice writes one letter.
    __table_args__ = (
        UniqueConstraint("kind", "about", "user_id"),
        Index("ix_mails_created_at", "created_at"),
        Index("ix_mails_site_id_id", "site_id", "id"),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    kind: Mapped[str] = mapped_column(String(40))
    about: Mapped[str] = mapped_column(String(80))
    # The address at that time; 254 characters are the longest that SMTP allows.
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Instant]
    sent_at: Mapped[Instant | None]
    trouble: Mapped[str] = mapped_column(String(300), default="")

    user: Mapped[User] = relationship()
    site: Mapped[Site | None] = relationship()


class Letter(NamedTuple):
    subject: str
    body: str


_L = Locale
_TAG = {Locale.FR: "fr_FR", Locale.EN: "en_GB"}


def date_text(on: date, locale: Locale, form: str = "d MMMM y") -> str:
    """ "1er décembre 2026", "1 December 2026"."""
    first = locale == Locale.FR and on.day == 1
    return str(format_date(on, form.replace("d", "d'er'") if first else form, locale=_TAG[locale]))


def local_time_text(when: datetime, *, site: Site, locale: Locale) -> str:
    """ "mardi 24 novembre 2026 à 10:00", local time of the site."""
    local = when.astimezone(site.zone)
    at = "à" if locale == Locale.FR else "at"
    return f"{date_text(local.date(), locale, 'EEEE d MMMM y')} {at} {local:%H:%M}"


def money_text(cents: int, locale: Locale) -> str:
    """ "12,40 €", "€12.40"."""
    return str(format_currency(Decimal(cents) / 100, "EUR", locale=_TAG[locale]))


HELLO = {_L.FR: "Bonjour {name},\n\n", _L.EN: "Hello {name},\n\n"}
LETTERS: dict[str, dict[Locale, Letter]] = {
    "job_printed": {
        _L.FR: Letter(
            "Votre pièce « {model} » est imprimée",
            "Bonjour {name},\n\nVotre pièce « {model} » ({copies} ×) est imprimée : elle vous attend à {site}. "
            "{collect}\n",
        ),
        _L.EN: Letter(
            "Your part “{model}” is printed",
            "Hello {name},\n\nYour part “{model}” ({copies} ×) is printed and waiting for you at {site}. {collect}\n",
        ),
    },
    "job_rejected": {
        _L.FR: Letter(
            "Votre pièce « {model} » ne peut pas être imprimée",
            "Bonjour {name},\n\nL’impression de « {model} » n’a pas pu être acceptée à {site}. "
            "La raison est indiquée sur sa page.\n",
        ),
        _L.EN: Letter(
            "Your part “{model}” cannot be printed",
            "Hello {name},\n\nThe print of “{model}” could not be accepted at {site}. Its page says why.\n",
        ),
    },
    "job_on_hold": {
        _L.FR: Letter(
            "Votre pièce « {model} » est en attente",
            "Bonjour {name},\n\nL’impression de « {model} » est en attente à {site}. "
            "L’équipe s’en occupe : vous n’avez rien à faire.\n",
        ),
        _L.EN: Letter(
            "Your part “{model}” is on hold",
            "Hello {name},\n\nThe print of “{model}” is on hold at {site}. "
            "The staff are looking into it: there is nothing for you to do.\n",
        ),
    },
    "quote_offered": {
        _L.FR: Letter(
            "Votre devis {number} est prêt",
            "Bonjour {name},\n\nL’équipe de {site} a examiné votre devis {number} : vous pouvez l’accepter sur "
            "sa page jusqu’au {until}.\n",
        ),
        _L.EN: Letter(
            "Your quote {number} is ready",
            "Hello {name},\n\nThe staff of {site} have reviewed your quote {number}: you can accept it on its "
            "page until {until}.\n",
        ),
    },
    "quote_declined": {
        _L.FR: Letter(
            "Votre devis {number} est refusé",
            "Bonjour {name},\n\nL’équipe de {site} ne peut pas réaliser le devis {number} :\n\n{reason}\n",
        ),
        _L.EN: Letter(
            "Your quote {number} is declined",
            "Hello {name},\n\nThe staff of {site} cannot make what quote {number} asks for:\n\n{reason}\n",
        ),
    },
}


# From when a part can be collected, or until when today.
FROM = {
    Locale.FR: "Vous pouvez la retirer à partir du {}.",
    Locale.EN: "You can collect it from {}.",
}
UNTIL = {
    Locale.FR: "Vous pouvez la retirer dès maintenant\u202f: l’équipe est là jusqu’à {}.",
    Locale.EN: "You can collect it now: the staff are there until {}.",
}


def write_letter(
    session: Session,
    *,
    user: User,
    kind: str,
    about: str,
    now: datetime,
    site: Site | None = None,
    recipient: str = "",
    **params: object,
) -> None:
    """Write a letter and enqueue its sending; a second one of this kind about the same subject is dropped.

    `recipient` is another address than the person's own, such as that of a legal entity.
    """
    letter = LETTERS[kind][user.locale]
    params = {"name": user.name, "site": site.name if site else "", **params}
    mail_id = session.scalar(
        insert(Mail)
        .values(
            user_id=user.id,
            site_id=site.id if site else None,
            kind=kind,
            about=about,
            recipient=recipient or user.email,
            subject=letter.subject.format(**params)[:200],
            body=letter.body.format(**params),
            created_at=now,
            trouble="",
        )
        .on_conflict_do_nothing()
        .returning(Mail.id)
    )
    # None: the unique index found the first one.
    if mail_id is not None:
        enqueue_mail(session, mail_id)


def notify_job(session: Session, *, job_id: int, verb: str, since: str = "", now: datetime) -> None:
    """Write to the owner that the job is printed, rejected or on hold (`verb`), `since` then (ISO 8601).

    Steps that an older release has enqueued come without `since`.
    """
    job = session.get_one(Job, job_id)
    write_letter(
        session,
        user=job.owner,
        kind=f"job_{verb}",
        about=f"job:{job.id}:{since}",
        now=now,
        site=job.site,
        model=job.model.name,
        copies=job.copies,
        collect=_collect_text(job, now),
    )


def _collect_text(job: Job, now: datetime) -> str:
    """When its person can have it: while staff are there, or from when they are back."""
    locale, attended = job.owner.locale, next_attended(calendar_of(job.site), now)
    if attended is None:
        return ""
    start, end = attended
    if start > now:
        return FROM[locale].format(local_time_text(start, site=job.site, locale=locale))
    return UNTIL[locale].format(f"{end.astimezone(job.site.zone):%H:%M}")


def notify_quote(session: Session, *, quote_id: int, verb: str, now: datetime) -> None:
    """Write to the person who requested a quote that it is offered or declined (`verb`)."""
    quote = session.get_one(Quote, quote_id)
    asker = session.get_one(User, quote.asked_by)
    write_letter(
        session,
        user=asker,
        kind=f"quote_{verb}",
        about=f"quote:{quote.id}",
        now=now,
        site=quote.site,
        number=quote.number,
        reason=quote.reason,
        until=date_text(quote.valid_until, asker.locale),
    )


def enqueue_unsent(session: Session, *, now: datetime) -> None:
    """Enqueue a few letters again whose sending failed within the last day."""
    failed = select(Mail.id).where(Mail.sent_at.is_(None), Mail.trouble != "", Mail.created_at > now - RETRY_FOR)
    # In random order: a few letters that always fail cannot keep the others from their turn.
    for mail_id in session.scalars(failed.order_by(func.random()).limit(RETRY_BATCH)):
        enqueue_mail(session, mail_id)


def enqueue_mail(session: Session, mail_id: int) -> None:
    enqueue(session, "send_mail", once=f"mail:{mail_id}", mail_id=mail_id)


def list_mails(session: Session, *, site_ids: list[int], window: PageWindow = FIRST_PAGE) -> Page[Mail]:
    """The letters of these sites, newest first."""
    query = select(Mail).where(Mail.site_id.in_(site_ids)).options(joinedload(Mail.user))
    return read_page(session, query, window=window, id=Mail.id)
