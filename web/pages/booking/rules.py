"""`/staff/rules`: the booking rules of a site, by kind and by resource. Staff see them, managers change them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.bounds import id_of
from api.deps import CurrentUser, DbSession
from api.domain.booking.kits import get_kit, list_broken_kits, put_in_service
from api.domain.booking.rules import DEFAULT, Policy, Rule, list_rules, set_rule
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import may_manage, require_manager
from api.domain.places.sites import Resource, ResourceKind, Site, list_resources
from api.domain.places.skills import list_skills
from api.domain.pricing.tariffs import get_vat_rate
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import StaffReader, site_ids
from web.render import PageReader, local_path
from web.rule_form import LIMITS, NUMBERS, ROLES, SWITCHES, as_typed, read_policy, tiers
from web.states import RESOURCE_KINDS

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class RuleSubject:
    """What a rule is about: a kind at a site, or one resource of it."""

    site: Site
    kind: ResourceKind
    resource: Resource | None = None

    @property
    def path(self) -> str:
        place = f"/staff/rules/{self.site.slug}"
        return f"{place}/resource/{self.resource.id}" if self.resource else f"{place}/kind/{self.kind.value}"


@dataclass(frozen=True)
class RuleLine:
    """The policy of one subject; `is_own` is false where it is that of its kind, or the default."""

    about: RuleSubject
    policy: Policy
    is_own: bool


def staffed_site(reader: PageReader) -> Site:
    """The site that is chosen in this browser, if its reader staffs it; else the first of theirs."""
    return reader.site if reader.site in reader.staffs and reader.site else reader.staffs[0]


@router.get("/staff/rules")
def rules_page(reader: StaffReader, session: DbSession, user: CurrentUser) -> Response:
    site = staffed_site(reader)
    rules = list_rules(session, site_id=site.id)
    resources = list_resources(session, site_id=site.id)
    # A kind of which the site has nothing needs no rule yet.
    kinds = [kind for kind in ResourceKind if any(each.kind == kind for each in resources)]
    return reader.page(
        "booking/rules.html",
        place=site,
        kinds=RESOURCE_KINDS,
        lines=[_of_kind(site, kind, rules) for kind in kinds],
        own=[line for each in resources if (line := _of_resource(site, each, rules)).is_own],
        others=[each for each in resources if not _of_resource(site, each, rules).is_own],
        out=list_broken_kits(session, site_ids=[site.id]),
        is_manager=may_manage(session, user=user, site_id=site.id),
    )


def _of_kind(site: Site, kind: ResourceKind, rules: list[Rule]) -> RuleLine:
    rule = next((rule for rule in rules if rule.kind == kind and rule.resource_id is None), None)
    return RuleLine(RuleSubject(site, kind), rule.policy if rule else DEFAULT, rule is not None)


def _of_resource(site: Site, resource: Resource, rules: list[Rule]) -> RuleLine:
    rule = next((rule for rule in rules if rule.resource_id == resource.id), None)
    policy = rule.policy if rule else _of_kind(site, resource.kind, rules).policy
    return RuleLine(RuleSubject(site, resource.kind, resource), policy, rule is not None)


@router.get("/staff/rules/{slug}/{what}/{which}")
def rule_page(reader: StaffReader, session: DbSession, user: CurrentUser, slug: str, what: str, which: str) -> Response:
    line = _line(reader, session, slug, what, which)
    require_manager(session, user=user, site_id=line.about.site.id)
    return _show(reader, session, line, Form(reader.request, as_typed(line.policy)))


def _line(reader: PageReader, session: Session, slug: str, what: str, which: str) -> RuleLine:
    """The rule that counts for it now; NotFound at a site that the reader does not staff."""
    site = next((each for each in reader.staffs if each.slug == slug), None)
    if site is None:
        raise NotFound()
    rules = list_rules(session, site_id=site.id)
    if what == "kind" and which in set(ResourceKind):
        return _of_kind(site, ResourceKind(which), rules)
    resource_id = id_of(which) if what == "resource" else None
    resource = session.get(Resource, resource_id) if resource_id is not None else None
    if resource is None or resource.site_id != site.id:
        raise NotFound()
    return _of_resource(site, resource, rules)


def _show(reader: PageReader, session: Session, line: RuleLine, form: Form) -> Response:
    return reader.page(
        "booking/rule.html",
        status=form.status,
        form=form,
        line=line,
        about=line.about,
        word=RESOURCE_KINDS[line.about.kind],
        numbers=NUMBERS,
        limits=LIMITS,
        switches=SWITCHES,
        roles=ROLES,
        tiers=tiers(),
        skills=list_skills(session),
        fee_rate=get_vat_rate(session, site_id=line.about.site.id, at=reader.now),
    )


@router.post("/staff/rules/{slug}/{what}/{which}")
def change_rule(
    reader: StaffReader, session: DbSession, user: CurrentUser, slug: str, what: str, which: str, form: Sent
) -> Response:
    """Set the rule. It counts for what is booked from now on."""
    line = _line(reader, session, slug, what, which)
    about = line.about
    with trying(session, form):
        _set(session, reader, user, about, form)
    if form.errors:
        return _show(reader, session, line, form)
    return reader.to("/staff/rules", N_("Rules saved; they apply from now on."))


def _set(session: Session, reader: PageReader, user: User, about: RuleSubject, form: Form) -> None:
    policy = read_policy(form)
    kind = None if about.resource else about.kind
    set_rule(session, site=about.site, policy=policy, now=reader.now, actor=user, kind=kind, resource=about.resource)


@router.post("/staff/kits/{kit_id}/in-service")
def repaired(reader: StaffReader, session: DbSession, user: CurrentUser, kit_id: int, form: Sent) -> Response:
    """The kit is repaired and can be booked again."""
    kit = get_kit(session, kit_id)
    # The verb checks the right too, but would answer strangers that there is such a kit.
    if kit.resource.site_id not in site_ids(reader):
        raise NotFound()
    put_in_service(session, kit=kit, actor=user, now=reader.now)
    back = local_path(form["next"], "/staff/rules")
    return reader.to(back, N_("{name} can be booked again."), name=kit.resource.name)
