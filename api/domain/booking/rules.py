"""Booking rules: lengths, notice, buffers, quotas, skill, fee and price of a resource, or of a kind at a site.

`Rule` is the row; `Policy` is its numbers as a value, which cannot contradict each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ForeignKey, Index, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import N_, Invalid
from api.domain.core.locks import lock_name
from api.domain.people.accounts import User
from api.domain.people.roles import require_manager
from api.domain.places.calendar import Calendar, ClosedDays, WeeklyHours
from api.domain.places.sites import Resource, ResourceKind, Site
from api.domain.places.skills import Skill
from api.domain.pricing.prices import BookingRates
from api.domain.pricing.prices.parts import BadTariff

MINUTES_A_DAY = 24 * 60


class RuleContradicts(Invalid):
    """Check these values: {what}."""


@dataclass(frozen=True)
class Policy:
    """The numbers of a rule; None means without limit. The defaults count where no rule is set.

    Raises RuleContradicts.
    """

    min_minutes: int = 15
    max_minutes: int = 480
    step_minutes: int = 15
    notice_minutes: int = 0
    horizon_days: int = 90
    before_minutes: int = 0
    after_minutes: int = 0
    quota_day_minutes: int | None = None
    quota_week_minutes: int | None = None
    quota_month_minutes: int | None = None
    # How many bookings that are not over one person may have under this rule.
    at_once: int | None = None
    skill_id: int | None = None
    needs_approval: bool = False
    # Only people with a role at the site may see and book it.
    members_only: bool = False
    # Cancelling later than this before the start costs `late_fee_cents`.
    cancel_minutes: int = 0
    late_fee_cents: int = 0
    # When nobody has checked in so long after the start, the slot is freed; None means never.
    no_show_minutes: int | None = None
    rates: BookingRates = field(default_factory=BookingRates)

    def __post_init__(self) -> None:
        for is_wrong, where, what in self._contradictions():
            if is_wrong:
                raise RuleContradicts(what=what, field=where)

    def _contradictions(self) -> Iterable[tuple[bool, str, str]]:
        """(is it so, field, message) of all that may not be."""
        step = self.step_minutes
        yield (
            # A grid of 0 is refused in this line, and must not divide in it.
            step < 1 or 60 % max(step, 1) != 0,
            "step_minutes",
            N_("start times must divide an hour (5, 10, 15, 20, 30 or 60 minutes)"),
        )
        yield self.min_minutes < 1, "min_minutes", N_("the shortest booking must be above zero")
        yield self.max_minutes < self.min_minutes, "max_minutes", N_("the longest booking is shorter than the shortest")
        yield self.max_minutes > 31 * MINUTES_A_DAY, "max_minutes", N_("a booking cannot last longer than a month")
        yield self.min_minutes % step != 0, "min_minutes", N_("the shortest booking does not match the start times")
        yield self.max_minutes % step != 0, "max_minutes", N_("the longest booking does not match the start times")
        yield not 1 <= self.horizon_days <= 730, "horizon_days", N_("bookings open between 1 and 730 days in advance")
        yield self.notice_minutes < 0, "notice_minutes", N_("the time in advance cannot be negative")
        late = self.notice_minutes >= self.horizon_days * MINUTES_A_DAY
        yield late, "notice_minutes", N_("the time in advance is longer than bookings are open")
        buffers = (self.before_minutes, self.after_minutes)
        yield (
            min(buffers) < 0 or max(buffers) > MINUTES_A_DAY,
            "after_minutes",
            N_("a buffer lasts between 0 and 24 hours"),
        )
        yield from self._quota_contradictions()
        yield (
            self.cancel_minutes < 0 or self.late_fee_cents < 0,
            "cancel_minutes",
            N_("a time limit or a fee cannot be negative"),
        )
        no_show = self.no_show_minutes
        yield no_show is not None and no_show < 1, "no_show_minutes", N_("the time before a release must be above zero")

    def _quota_contradictions(self) -> Iterable[tuple[bool, str, str]]:
        least = self.min_minutes
        for name in ("quota_day_minutes", "quota_week_minutes", "quota_month_minutes"):
            quota = getattr(self, name)
            if quota is not None:
                yield (
                    quota < least,
                    name,
                    N_("a limit is below the shortest booking, or below the limit of a shorter period"),
                )
                least = quota
        yield self.at_once is not None and self.at_once < 1, "at_once", N_("nobody would be able to book")

    @property
    def has_quota(self) -> bool:
        """Whether other bookings of the person must be counted."""
        limits = (self.quota_day_minutes, self.quota_week_minutes, self.quota_month_minutes, self.at_once)
        return any(limit is not None for limit in limits)


DEFAULT = Policy()
_NUMBERS = [each.name for each in fields(Policy) if each.name != "rates"]


class Rule(Base):
    """The rule of one resource, or of all of a kind at a site; that of the resource comes before that of its kind."""

    __tablename__ = "rules"
    __table_args__ = (
        Index("uq_rules_resource_id", "resource_id", unique=True, postgresql_where=text("resource_id IS NOT NULL")),
        Index("uq_rules_site_id_kind", "site_id", "kind", unique=True, postgresql_where=text("resource_id IS NULL")),
        CheckConstraint("resource_id IS NOT NULL OR kind IS NOT NULL", name="about"),
        CheckConstraint("min_minutes BETWEEN 1 AND max_minutes", name="lengths"),
    )

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    kind: Mapped[ResourceKind | None] = mapped_column(EnumText(ResourceKind))
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resources.id"))
    min_minutes: Mapped[int]
    max_minutes: Mapped[int]
    step_minutes: Mapped[int]
    notice_minutes: Mapped[int]
    horizon_days: Mapped[int]
    before_minutes: Mapped[int]
    after_minutes: Mapped[int]
    quota_day_minutes: Mapped[int | None]
    quota_week_minutes: Mapped[int | None]
    quota_month_minutes: Mapped[int | None]
    at_once: Mapped[int | None]
    skill_id: Mapped[int | None] = mapped_column(ForeignKey("skills.id"))
    needs_approval: Mapped[bool]
    members_only: Mapped[bool]
    cancel_minutes: Mapped[int]
    late_fee_cents: Mapped[int]
    no_show_minutes: Mapped[int | None]
    rates: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    changed_at: Mapped[Instant]

    @property
    def policy(self) -> Policy:
        return Policy(rates=unpack_rates(self.rates), **{name: getattr(self, name) for name in _NUMBERS})


def pack_rates(rates: BookingRates) -> dict[str, Any]:
    """As JSON. Decimals are text: as numbers they would come back as floats."""
    return {
        "per_slot": str(rates.per_slot),
        "tiers": [[start, str(per_hour)] for start, per_hour in rates.tiers],
        "role_factors": {role: str(factor) for role, factor in rates.role_factors.items()},
    }


def unpack_rates(body: dict[str, Any]) -> BookingRates:
    """The inverse of `pack_rates`; raises RuleContradicts for what are no prices."""
    try:
        return BookingRates(
            per_slot=Decimal(body.get("per_slot", "0")),
            tiers=tuple((int(start), Decimal(per_hour)) for start, per_hour in body.get("tiers", [])),
            role_factors={role: Decimal(factor) for role, factor in body.get("role_factors", {}).items()},
        )
    except (BadTariff, InvalidOperation, TypeError, ValueError) as error:
        raise RuleContradicts(what=N_("a price is not valid"), field="rates") from error


def set_rule(
    session: Session,
    *,
    site: Site,
    policy: Policy,
    now: datetime,
    actor: User | None = None,
    kind: ResourceKind | None = None,
    resource: Resource | None = None,
) -> Rule:
    """Set the rule of one resource, or of a kind at the site; managers only. It counts for what is booked from now on.

    Raises RuleContradicts. Without an actor nobody's right is checked.
    """
    if actor is not None:
        require_manager(session, user=actor, site_id=site.id)
    if resource is not None and resource.site_id != site.id:
        raise RuleContradicts(what=N_("the equipment belongs to another place"), field="resource_id")
    if policy.skill_id is not None and session.get(Skill, policy.skill_id) is None:
        raise RuleContradicts(what=N_("this training does not exist"), field="skill_id")
    # Two who set a first rule at once would each add one.
    lock_name(session, f"rules:{site.id}")
    # The row is kept: bookings name the rule under which they were made.
    rule = _find_rule_of(session, site, kind, resource) or Rule(site_id=site.id)
    rule.kind = None if resource else kind
    rule.resource_id = resource.id if resource else None
    for name in _NUMBERS:
        setattr(rule, name, getattr(policy, name))
    rule.rates, rule.changed_at = pack_rates(policy.rates), now
    session.add(rule)
    session.flush()
    facts = {**asdict(policy), "rates": rule.rates}
    actor_id = actor.id if actor else None
    record(session, noun="rule", noun_id=rule.id, verb="set", now=now, actor_id=actor_id, site_id=site.id, **facts)
    return rule


def _find_rule_of(session: Session, site: Site, kind: ResourceKind | None, resource: Resource | None) -> Rule | None:
    # As it stands now: a number that is set to what this session read before would else not be written.
    query = select(Rule).execution_options(populate_existing=True)
    if resource is not None:
        return session.scalar(query.where(Rule.resource_id == resource.id))
    return session.scalar(query.where(Rule.site_id == site.id, Rule.kind == kind, Rule.resource_id.is_(None)))


def list_rules(session: Session, *, site_id: int) -> list[Rule]:
    return list(session.scalars(select(Rule).where(Rule.site_id == site_id).order_by(Rule.id)))


# Each booking and each search reads the rule and the hours. The key of the cache is the text itself, which changes with
# the rows: no entry is ever stale.
@lru_cache(maxsize=2000)
def read_policy(row_json: str) -> tuple[int | None, Policy]:
    """(rule id, policy) of a row of `rules` as PostgreSQL writes it in JSON; "" means no rule."""
    if not row_json:
        return None, DEFAULT
    row = json.loads(row_json)
    policy = Policy(rates=unpack_rates(row["rates"]), **{name: row[name] for name in _NUMBERS})
    return int(row["id"]), policy


@lru_cache(maxsize=2000)
def read_calendar(
    timezone: str, closed_on_holidays: bool, holiday_region: str, hours_json: str, closures_json: str
) -> Calendar:
    """From JSON as PostgreSQL writes it: hours `[[weekday, opens, closes], ..]`, closures `[[first, last], ..]`."""
    return Calendar(
        zone=ZoneInfo(timezone),
        hours=tuple(
            WeeklyHours(weekday, time.fromisoformat(opens), time.fromisoformat(closes))
            for weekday, opens, closes in json.loads(hours_json or "[]")
        ),
        closures=tuple(
            ClosedDays(date.fromisoformat(first), date.fromisoformat(last))
            for first, last in json.loads(closures_json or "[]")
        ),
        closed_on_holidays=closed_on_holidays,
        holiday_region=holiday_region,
    )
