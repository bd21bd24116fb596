"""Letters to people, in their language, one per kind and subject. A background step sends them (`adapters.mail`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import enqueue
from api.domain.people.accounts import Locale, User
from api.domain.places.sites import Site
from api.domain.printing.jobs import Job
from api.domain.sales.quotes import Quote

RETRY_FOR = timedelta(days=1)
RETRY_BATCH = 10


class Mail(Base):
    """A letter, as it was or will be sent. `trouble` is why the last try failed."""

    __tablename__ = "mails"
    # Unique, so that a step that runs twice writes one letter.
    __table_args__ = (UniqueConstraint("kind", "about", "user_id"), Index("ix_mails_created_at", "created_at"))

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
LETTERS: dict[str, dict[Locale, Letter]] = {
    "job_printed": {
        _L.FR: Letter(
            "Votre pièce « {model} » est imprimée",
            "Bonjour {name},\n\nvotre pièce « {model} » ({copies} ×) est imprimée.\nElle vous attend à {site}.\n",
        ),
        _L.EN: Letter(
            "Your part “{model}” is printed",
            "Hello {name},\n\nyour part “{model}” ({copies} ×) is printed. It is waiting for you at {site}.\n",
        ),
    },
    "job_rejected": {
        _L.FR: Letter(
            "Votre pièce « {model} » ne peut pas être imprimée",
            "Bonjour {name},\n\nvotre demande « {model} » n'a pas pu être acceptée à {site}. "
            "La raison est affichée sur la page de la demande.\n",
        ),
        _L.EN: Letter(
            "Your part “{model}” cannot be printed",
            "Hello {name},\n\nyour request “{model}” could not be accepted at {site}. "
            "The reason is shown on its page.\n",
        ),
    },
    "job_on_hold": {
        _L.FR: Letter(
            "Votre pièce « {model} » attend l'équipe",
            "Bonjour {name},\n\nl'impression de « {model} » s'est arrêtée à {site}. "
            "L'équipe regarde ; vous n'avez rien à faire.\n",
        ),
        _L.EN: Letter(
            "Your part “{model}” is waiting for the team",
            "Hello {name},\n\nthe print of “{model}” stopped at {site}. The team is looking into it.\n",
        ),
    },
    "quote_offered": {
        _L.FR: Letter(
            "Votre devis {number} est prêt",
            "Bonjour {name},\n\nl'équipe de {site} a relu votre devis {number} : vous pouvez l'accepter "
            "jusqu'au {until}, sur sa page.\n",
        ),
        _L.EN: Letter(
            "Your quote {number} is ready",
            "Hello {name},\n\nthe team of {site} has looked at your quote {number}: you can accept it "
            "until {until}, on its page.\n",
        ),
    },
    "quote_declined": {
        _L.FR: Letter(
            "Votre devis {number} n'a pas pu être proposé",
            "Bonjour {name},\n\nl'équipe de {site} ne peut pas réaliser le devis {number} :\n\n{reason}\n",
        ),
        _L.EN: Letter(
            "Your quote {number} could not be offered",
            "Hello {name},\n\nthe team of {site} cannot make what quote {number} asks for:\n\n{reason}\n",
        ),
    },
}


def write_letter(
    session: Session, *, user: User, kind: str, about: str, now: datetime, site: Site | None = None, **params: object
) -> None:
    """Write a letter and enqueue its sending; a second one of this kind about the same subject is dropped."""
    letter = LETTERS[kind][user.locale]
    params = {"name": user.name, "site": site.name if site else "", **params}
    mail_id = session.scalar(
        insert(Mail)
        .values(
            user_id=user.id,
            site_id=site.id if site else None,
            kind=kind,
            about=about,
            recipient=user.email,
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


def notify_job(session: Session, *, job_id: int, verb: str, now: datetime) -> None:
    """Write to the owner that the job is printed, rejected or on hold (`verb`)."""
    job = session.get_one(Job, job_id)
    write_letter(
        session,
        user=job.owner,
        kind=f"job_{verb}",
        about=f"job:{job.id}",
        now=now,
        site=job.site,
        model=job.model.name,
        copies=job.copies,
    )


def notify_quote(session: Session, *, quote_id: int, verb: str, now: datetime) -> None:
    """Write to the person who requested a quote that it is offered or declined (`verb`)."""
    quote = session.get_one(Quote, quote_id)
    write_letter(
        session,
        user=session.get_one(User, quote.asked_by),
        kind=f"quote_{verb}",
        about=f"quote:{quote.id}",
        now=now,
        site=quote.site,
        number=quote.number,
        reason=quote.reason,
        until=quote.valid_until.strftime("%d/%m/%Y"),
    )


def enqueue_unsent(session: Session, *, now: datetime) -> None:
    """Enqueue a few letters again whose sending failed within the last day."""
    failed = select(Mail.id).where(Mail.sent_at.is_(None), Mail.trouble != "", Mail.created_at > now - RETRY_FOR)
    # In random order: a few letters that always fail cannot keep the others from their turn.
    for mail_id in session.scalars(failed.order_by(func.random()).limit(RETRY_BATCH)):
        enqueue_mail(session, mail_id)


def enqueue_mail(session: Session, mail_id: int) -> None:
    enqueue(session, "send_mail", once=f"mail:{mail_id}", mail_id=mail_id)


def list_mails(session: Session, *, site_ids: list[int], limit: int = 100) -> list[Mail]:
    """The latest letters of these sites, newest first."""
    query = select(Mail).where(Mail.site_id.in_(site_ids)).order_by(Mail.id.desc()).limit(limit)
    return list(session.scalars(query))
