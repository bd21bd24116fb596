"""The billing details of an organisation: checked as a whole when they are entered, long before an invoice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing.facturx import Address, DeliverTo, Party, clean_identifier, faults, party_faults
from api.domain.billing.organisations.table import BillingProfile
from api.domain.billing.organisations.terms import check_term, lock_profile, longest_term, request_terms
from api.domain.billing.sellers import pack_address, unpack_address
from api.domain.core.changes import record
from api.domain.core.errors import N_, Invalid, NotAllowed, NotFound
from api.domain.core.locks import lock_name
from api.domain.core.slugs import free_slug
from api.domain.core.text import one_line
from api.domain.people.accounts import BuyingRight, Membership, Organisation, User
from api.domain.pricing.legal import CustomerType

# `/org/new` and `/org/join` are pages: no organisation may have these slugs.
PAGES = ("new", "join")
# What a profile holds under the name that it has in BillingDetails.
PROFILE_FIELDS = (
    "legal_form",
    "email",
    "phone",
    "electronic_address",
    "is_public",
    "service_code",
    "needs_service_code",
    "needs_engagement",
)
# In a profile too, but as the staff have granted it.
TERMS = ("terms_days", "monthly")


class BuyersOnly(NotAllowed):
    """Only a buyer of this organisation can do this."""


class NameWrong(Invalid):
    """Enter the name of the organisation, 200 characters at most."""

    field = "name"


class NotBillable(Invalid):
    """Complete the billing details of this organisation: {missing}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingDetails:
    """What stands on quotes and invoices to an organisation; `monthly` is one invoice a month."""

    name: str
    address: Address
    siren: str | None = None
    siret: str | None = None
    vat_number: str | None = None
    legal_form: str = ""
    deliver_to: DeliverTo | None = None
    email: str | None = None
    phone: str | None = None
    electronic_address: str | None = None
    is_public: bool = False
    service_code: str | None = None
    needs_service_code: bool = False
    needs_engagement: bool = False
    terms_days: int = 30
    monthly: bool = False

    def cleaned(self) -> BillingDetails:
        """With SIREN, SIRET and VAT number as they are checked and stored."""
        return replace(
            self,
            name=one_line(self.name),
            siren=_clean(self.siren),
            siret=_clean(self.siret),
            vat_number=_clean(self.vat_number),
        )

    @property
    def party(self) -> Party:
        return Party(
            name=self.name,
            address=self.address,
            siren=self.siren,
            siret=self.siret,
            vat_number=self.vat_number,
            legal_form=self.legal_form or None,
            electronic_address=self.electronic_address,
            email=self.email,
            phone=self.phone,
            is_public=self.is_public,
            service_code=self.service_code,
            needs_service_code=self.needs_service_code,
            needs_engagement=self.needs_engagement,
        )


def _clean(identifier: str | None) -> str | None:
    return clean_identifier(identifier or "") or None


def check_details(details: BillingDetails, *, now: datetime) -> None:
    """Raise the first fault, by its name and at its field: WrongSiren, SiretOfAnother, IncompleteAddress, .."""
    if not 1 <= len(details.name) <= 200:
        raise NameWrong()
    for fault in party_faults(details.party):
        raise fault
    if details.deliver_to is not None:
        elsewhere = Party(name=details.deliver_to.name or details.name, address=details.deliver_to.address)
        # The same faults, but beside the fields of the delivery address.
        for fault in party_faults(elsewhere):
            raise type(fault)(**fault.params, field="deliver_to")
    # What Chorus Pro wants of a public buyer (BR-FR-CPRO-10); no public schematron has these rules.
    if details.is_public:
        if not details.siret:
            raise faults.MissingIdentifier(party=details.name, what="SIRET", field="siret")
        if details.needs_service_code and not details.service_code:
            raise faults.MissingServiceCode()
    check_term(details.terms_days, customer=details.party.customer, now=now)


def create_organisation(session: Session, *, owner: User, details: BillingDetails, now: datetime) -> Organisation:
    """A new organisation with its billing details; `owner` is its first buyer. Raises as `check_details`.

    Its terms are the usual ones; others that the details name are requested of the staff.
    """
    details = details.cleaned()
    check_details(details, now=now)
    organisation = Organisation(name=details.name, slug=_free_slug(session, details.name), created_at=now)
    session.add(organisation)
    session.flush()
    session.add(Membership(organisation_id=organisation.id, user_id=owner.id, buying=BuyingRight.BUYER, since=now))
    session.flush()
    _save_details(session, organisation, details, owner, now)
    record(session, noun="organisation", noun_id=organisation.id, verb="founded", now=now, actor_id=owner.id)
    return organisation


def change_details(
    session: Session, *, organisation: Organisation, actor: User, details: BillingDetails, now: datetime
) -> BillingProfile:
    """By a buyer; issued invoices keep what they printed. Raises as `require_buyer` and `check_details`.

    The terms are only requested: what the staff have granted stays in force.
    """
    require_buyer(session, user=actor, organisation=organisation)
    details = details.cleaned()
    check_details(details, now=now)
    profile = _save_details(session, organisation, details, actor, now)
    record(session, noun="organisation", noun_id=organisation.id, verb="details_changed", now=now, actor_id=actor.id)
    return profile


def _save_details(
    session: Session, organisation: Organisation, details: BillingDetails, actor: User, now: datetime
) -> BillingProfile:
    profile = lock_profile(session, organisation) or BillingProfile(organisation_id=organisation.id)
    organisation.name, organisation.siren = details.name, details.siren
    organisation.siret, organisation.vat_number = details.siret, details.vat_number
    profile.address, profile.updated_at = pack_address(details.address), now
    place = details.deliver_to
    profile.deliver_to = {"name": place.name, "address": pack_address(place.address)} if place else None
    for name in PROFILE_FIELDS:
        setattr(profile, name, getattr(details, name))
    session.add(profile)
    session.flush()
    # Who becomes a public body has a shorter term by law, whatever was granted before.
    profile.terms_days = min(profile.terms_days, longest_term(details.party.customer, now=now))
    request_terms(
        session, profile=profile, terms_days=details.terms_days, monthly=details.monthly, actor=actor, now=now
    )
    return profile


def _free_slug(session: Session, name: str) -> str:
    lock_name(session, "slug:organisation")

    def is_taken(slug: str) -> bool:
        query = select(Organisation.id).where(Organisation.slug == slug)
        return slug in PAGES or session.scalar(query) is not None

    return free_slug(name, default="organisation", is_taken=is_taken)


def find_details(session: Session, *, organisation: Organisation) -> BillingDetails | None:
    """What was entered; None while nobody has."""
    profile = session.get(BillingProfile, organisation.id)
    return _details(organisation, profile) if profile else None


def map_details(session: Session, *, rows: Sequence[Organisation]) -> dict[int, BillingDetails]:
    """The same of many, by the id of the organisation; those without any are left out."""
    query = select(BillingProfile).where(BillingProfile.organisation_id.in_([row.id for row in rows]))
    profiles = {profile.organisation_id: profile for profile in session.scalars(query)}
    return {row.id: _details(row, profiles[row.id]) for row in rows if row.id in profiles}


def _details(organisation: Organisation, profile: BillingProfile) -> BillingDetails:
    place = profile.deliver_to
    return BillingDetails(
        name=organisation.name,
        siren=organisation.siren,
        siret=organisation.siret,
        vat_number=organisation.vat_number,
        address=unpack_address(profile.address),
        deliver_to=DeliverTo(name=place["name"], address=unpack_address(place["address"])) if place else None,
        **{name: getattr(profile, name) for name in (*PROFILE_FIELDS, *TERMS)},
    )


def get_billable(session: Session, *, organisation_id: int) -> BillingDetails:
    """The details that a quote or an invoice needs; NotBillable while they are not complete."""
    organisation = session.get_one(Organisation, organisation_id)
    details = find_details(session, organisation=organisation)
    if details is None:
        raise NotBillable(missing=N_("address"))
    # Without a SIREN its invoices would be those of a consumer, with the notes and the treatment (BAR) of one.
    if details.party.customer is CustomerType.CONSUMER:
        raise NotBillable(missing="SIREN")
    return details


def get_organisation(session: Session, slug: str, *, user: User) -> Organisation:
    """For its members and for administrators; NotFound to everybody else, staff included."""
    organisation = session.scalar(select(Organisation).where(Organisation.slug == slug))
    if organisation is None or not may_see(session, user=user, organisation_id=organisation.id):
        raise NotFound()
    return organisation


def may_see(session: Session, *, user: User, organisation_id: int) -> bool:
    return user.is_admin or find_membership(session, user=user, organisation_id=organisation_id) is not None


def find_membership(session: Session, *, user: User, organisation_id: int) -> Membership | None:
    return session.scalar(
        select(Membership).where(Membership.user_id == user.id, Membership.organisation_id == organisation_id)
    )


def require_buyer(session: Session, *, user: User, organisation: Organisation) -> Membership:
    """NotFound to a stranger, BuyersOnly to a viewer."""
    membership = find_membership(session, user=user, organisation_id=organisation.id)
    if membership is None:
        raise NotFound()
    if membership.buying is not BuyingRight.BUYER:
        raise BuyersOnly()
    return membership
