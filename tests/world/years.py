"""Years of a busy place, written by the database itself: rows of other people, over and done, in every large table."""

from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from api.domain.billing.ledger import Entry, Posting
from api.domain.billing.payments import Payment
from api.domain.core.changes import Change
from api.domain.places.timeline import Hold
from api.domain.printing.jobs import JobSlice
from api.domain.printing.runs import Charge
from tests.world.growth import Seeds
from tests.world.multiply import multiply

USER, COMPANY = "1000000 + n % 5000", "1000000 + n % 2000"
HOUR_N = "lower(t.during) - n * interval '1 hour'"
AGO = "interval '30 days' - n * interval '20 minutes'"
LARGE = frozenset(
    {
        *("bank_lines", "bookings", "changes", "charges", "door_uses", "entries", "gatherings", "holds", "invoices"),
        *("job_slices", "jobs", "mails", "models", "order_parts", "order_prints", "orders", "payments", "postings"),
        *("quote_lines", "quotes", "runs", "waits"),
    }
)
# Wide columns that no list filters by.
THIN = {"snapshot": "'{}'", "body": "'{}'", "price_trace": "'[]'", "trace": "'[]'"}


def add_years(session: Session, seeds: Seeds, n: int) -> None:
    """`n` rows more in each; they belong to people and companies of whom only the ids are there."""
    # Without foreign keys and guards, which would be most of the time; gone with the transaction of the test.
    session.execute(text("SET LOCAL session_replication_role = replica"))
    for row, values in _rows(session, seeds):
        thin = {name: value for name, value in THIN.items() if name in row.__table__.columns}
        multiply(session, row, n, **{**thin, **values})
        session.execute(text(f"ANALYZE {row.__table__.name}"))
    session.execute(text("SET LOCAL session_replication_role = origin"))


def _rows(session: Session, seeds: Seeds) -> list[tuple[Any, dict[str, str]]]:
    order, part = seeds.order, seeds.order.parts[0]
    past = {"start_at": f"t.start_at - {AGO}", "end_at": f"t.end_at - {AGO}"}
    first = {table: session.scalars(select(table).limit(1)).one() for table in (Posting, Entry, Hold, JobSlice, Charge)}
    payment = session.scalars(select(Payment).limit(1)).one()
    return [
        (
            seeds.past,
            {"user_id": USER, "organisation_id": COMPANY, "status": "'checked_out'", **past},
        ),
        (
            first[Hold],
            {
                "resource_id": "1000000 + n % 200",
                "during": f"tstzrange({HOUR_N}, {HOUR_N} + interval '30 minutes')",
                "about_id": "(1000000 + n)::text",
                "reason": "'booking'",
            },
        ),
        (seeds.job, {"owner_id": USER, "organisation_id": COMPANY, "model_id": "1000000 + n", "status": "'collected'"}),
        (first[JobSlice], {"job_id": "1000000 + n", "slice_id": "1000000 + n"}),
        (
            seeds.run,
            {
                "id": "gen_random_uuid()",
                "job_id": "1000000 + n",
                "printer_id": "1000000 + n % 20",
                "hold_id": "1000000 + n",
                "status": "'done'",
                "filed_at": "now()",
                "claimed_at": f"t.claimed_at - {AGO}",
            },
        ),
        (first[Charge], {"run_id": "gen_random_uuid()", "job_id": "1000000 + n"}),
        (session.scalars(select(Change).limit(1)).one(), {"noun_id": "(1000000 + n)::text", "actor_id": USER}),
        (
            seeds.invoice,
            {
                "number": "'Y' || n",
                "no": "1000000 + n",
                "organisation_id": COMPANY,
                "sha256": "md5('y' || n)",
                "due_cents": "0",
                "pdf_key": "'y' || n",
                "pdf_sha256": "md5('y' || n)",
                "released_at": f"now() - {AGO}",
            },
        ),
        (payment, {"invoice_id": "1000000 + n", "key": "'y' || n", "reverses_id": "NULL"}),
        (first[Posting], {"no": "1000000 + n", "key": "'y' || n", "on": 't."on" - (400 + n % 1000)'}),
        (first[Entry], {"posting_id": "1000000 + n", "party": "'org:' || (1000000 + n % 2000)"}),
        (seeds.quote, {"number": "'Y' || n", "organisation_id": COMPANY, "status": "'accepted'"}),
        (seeds.quote.lines[0], {"quote_id": "1000000 + n"}),
        (
            order,
            {"number": "'Y' || n", "organisation_id": COMPANY, "quote_id": "1000000 + n", "status": "'invoiced'"},
        ),
        (part, {"order_id": "1000000 + n", "quote_line_id": "1000000 + n"}),
        (part.prints[0], {"part_id": "1000000 + n", "job_id": "1000000 + n"}),
        (seeds.job.model, {"owner_id": USER}),
        (seeds.wait, {"user_id": USER, "status": "'expired'", "resource_id": "1000000 + n % 200", **past}),
        (seeds.mail, {"about": "'y' || n", "user_id": USER}),
        (seeds.use, {"door_id": "1000000 + n % 9", "at": f"t.at - {AGO}", "booking_id": "1000000 + n"}),
        (seeds.line, {"fingerprint": "md5('y' || n)", "status": "'confirmed'"}),
        (seeds.gathering, {"slug": "'y' || n", **past}),
    ]
