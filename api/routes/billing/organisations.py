"""`/api/v1/organisations`: billing details, members, limits, cost centres, statement. Strangers get 404."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import APIRouter, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.bodies import Body
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of
from api.domain.billing import ledger, organisations
from api.domain.billing.facturx import Address, DeliverTo
from api.domain.billing.invoices import party_code
from api.domain.billing.organisations import BillingDetails, CostCentre, TermsRequest
from api.domain.billing.sellers import Seller, list_sellers
from api.domain.core.paging import PageWindow
from api.domain.people import accounts
from api.domain.people.accounts import BuyingRight, Organisation

router = APIRouter(prefix="/api/v1/organisations", tags=["organisations"])


class AddressIn(Body):
    lines: list[str] = Field(min_length=1, max_length=3)
    postcode: str = Field(max_length=12)
    city: str = Field(max_length=100)
    country: str = Field(default="FR", min_length=2, max_length=2)

    def to_address(self) -> Address:
        lines = tuple(line.strip()[:120] for line in self.lines)
        return Address(
            lines=lines, postcode=self.postcode.strip(), city=self.city.strip(), country=self.country.upper()
        )

    @classmethod
    def of(cls, address: Address) -> AddressIn:
        return cls(lines=list(address.lines), postcode=address.postcode, city=address.city, country=address.country)


class DeliverToIn(Body):
    name: str = Field(max_length=200)
    address: AddressIn

    @classmethod
    def of(cls, place: DeliverTo) -> DeliverToIn:
        return cls(name=place.name, address=AddressIn.of(place.address))


class OrganisationIn(Body):
    """What stands on quotes and invoices; each key is checked, and a wrong one is named at its field."""

    name: str = Field(max_length=200)
    address: AddressIn
    siren: str | None = Field(default=None, max_length=20)
    siret: str | None = Field(default=None, max_length=25)
    vat_number: str | None = Field(default=None, max_length=25)
    legal_form: str = Field(default="", max_length=200)
    deliver_to: DeliverToIn | None = None
    email: str | None = Field(default=None, max_length=254)
    phone: str | None = Field(default=None, max_length=30)
    electronic_address: str | None = Field(default=None, max_length=120)
    is_public: bool = Field(default=False, description="A public buyer: Chorus Pro.")
    service_code: str | None = Field(default=None, max_length=100)
    needs_service_code: bool = False
    needs_engagement: bool = False
    terms_days: int = Field(default=30, description="Sent: a request, which staff grant. Read: what is in force.")
    monthly: bool = Field(default=False, description="One invoice a month for all orders; requested as `terms_days`.")

    def to_details(self) -> BillingDetails:
        columns = self.model_dump(exclude={"address", "deliver_to"})
        place = self.deliver_to
        deliver_to = DeliverTo(name=place.name, address=place.address.to_address()) if place else None
        return BillingDetails(address=self.address.to_address(), deliver_to=deliver_to, **columns)

    @classmethod
    def of(cls, details: BillingDetails) -> OrganisationIn:
        """The details as they can be sent back, for whoever changes one field of them."""
        columns = {name: getattr(details, name) for name in cls.model_fields if name not in {"address", "deliver_to"}}
        deliver_to = DeliverToIn.of(details.deliver_to) if details.deliver_to else None
        return cls(address=AddressIn.of(details.address), deliver_to=deliver_to, **columns)


class TermsIn(Body):
    terms_days: int = Field(examples=[30])
    monthly: bool


class OrganisationOut(BaseModel):
    id: int
    slug: str
    name: str
    siren: str | None
    siret: str | None
    vat_number: str | None
    billing: OrganisationIn | None = Field(description="Empty until somebody has entered it.")
    requested_terms: TermsIn | None = Field(description="What a buyer asked for and nobody has decided about.")

    @classmethod
    def of(cls, session: Session, row: Organisation) -> OrganisationOut:
        details = organisations.find_details(session, organisation=row)
        return cls.with_details(row, details, organisations.find_terms_request(session, organisation_id=row.id))

    @classmethod
    def with_details(
        cls, row: Organisation, details: BillingDetails | None, request: TermsRequest | None
    ) -> OrganisationOut:
        return cls(
            id=row.id,
            slug=row.slug,
            name=row.name,
            siren=row.siren,
            siret=row.siret,
            vat_number=row.vat_number,
            billing=OrganisationIn.of(details) if details else None,
            requested_terms=TermsIn(terms_days=request.terms_days, monthly=request.monthly) if request else None,
        )


class MemberOut(BaseModel):
    user_id: int
    name: str
    email: str
    buying: BuyingRight
    since: datetime
    monthly_cents: int | None


class InvitationIn(Body):
    email: str = Field(max_length=254)
    buying: BuyingRight = BuyingRight.BUYER
    monthly_cents: int | None = None


class InvitationOut(BaseModel):
    token: str = Field(description="Shown only now; it goes to the person.")


class TokenIn(Body):
    token: str = Field(max_length=100)


class LimitIn(Body):
    monthly_cents: int | None = Field(description="Null takes the limit away.")


class CostCentreIn(Body):
    code: str = Field(max_length=30)
    name: str = Field(max_length=120)


class CostCentreOut(CostCentreIn):
    id: int

    @classmethod
    def of(cls, centre: CostCentre) -> CostCentreOut:
        return cls(id=centre.id, code=centre.code, name=centre.name)


class StatementLineOut(BaseModel):
    on: date
    piece: str
    text: str
    cents: int = Field(description="Above zero: invoiced. Below: paid or credited.")
    balance_cents: int


class StatementOut(BaseModel):
    seller_id: int
    seller: str
    lines: list[StatementLineOut]
    next: str | None = Field(description="Cursor of the lines before these; null where there are none.")


@router.post("", status_code=status.HTTP_201_CREATED)
def create(
    body: OrganisationIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> OrganisationOut:
    """Enter an organisation; whoever does is its first buyer."""

    def make() -> OrganisationOut:
        row = organisations.create_organisation(session, owner=user, details=body.to_details(), now=now)
        return OrganisationOut.of(session, row)

    return idempotent(OrganisationOut, make, content=body)


@router.get("")
def list_mine(session: DbSession, user: CurrentUser) -> list[OrganisationOut]:
    rows = accounts.list_organisations(session, user=user)
    details = organisations.map_details(session, rows=rows)
    requests = organisations.map_terms_requests(session, organisation_ids=[row.id for row in rows])
    return [OrganisationOut.with_details(row, details.get(row.id), requests.get(row.id)) for row in rows]


@router.post("/join")
def join(body: TokenIn, session: DbSession, user: CurrentUser, now: Now) -> OrganisationOut:
    """Accept an invitation."""
    membership = organisations.accept_invitation(session, user=user, token=body.token, now=now)
    return OrganisationOut.of(session, session.get_one(Organisation, membership.organisation_id))


@router.get("/{slug}")
def read(slug: str, session: DbSession, user: CurrentUser) -> OrganisationOut:
    return OrganisationOut.of(session, organisations.get_organisation(session, slug, user=user))


@router.put("/{slug}")
def change(slug: str, body: OrganisationIn, session: DbSession, user: CurrentUser, now: Now) -> OrganisationOut:
    """By a buyer; issued invoices keep what they printed."""
    row = organisations.get_organisation(session, slug, user=user)
    organisations.change_details(session, organisation=row, actor=user, details=body.to_details(), now=now)
    return OrganisationOut.of(session, row)


@router.get("/{slug}/members")
def list_members(slug: str, session: DbSession, user: CurrentUser) -> list[MemberOut]:
    row = organisations.get_organisation(session, slug, user=user)
    return [
        MemberOut(
            user_id=person.id,
            name=person.name,
            email=person.email,
            buying=membership.buying,
            since=membership.since,
            monthly_cents=limit,
        )
        for membership, person, limit in organisations.list_members(session, organisation=row)
    ]


@router.post("/{slug}/invitations", status_code=status.HTTP_201_CREATED)
def invite(slug: str, body: InvitationIn, session: DbSession, user: CurrentUser, now: Now) -> InvitationOut:
    row = organisations.get_organisation(session, slug, user=user)
    token = organisations.invite(session, organisation=row, actor=user, now=now, **body.model_dump())
    return InvitationOut(token=token)


@router.put("/{slug}/members/{user_id}/limit", status_code=status.HTTP_204_NO_CONTENT)
def set_limit(slug: str, user_id: int, body: LimitIn, session: DbSession, user: CurrentUser, now: Now) -> None:
    row = organisations.get_organisation(session, slug, user=user)
    organisations.set_limit(
        session, organisation=row, actor=user, user_id=user_id, monthly_cents=body.monthly_cents, now=now
    )


@router.delete("/{slug}/members/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
def remove_member(slug: str, user_id: int, session: DbSession, user: CurrentUser, now: Now) -> None:
    row = organisations.get_organisation(session, slug, user=user)
    organisations.remove_member(session, organisation=row, actor=user, user_id=user_id, now=now)


@router.post("/{slug}/cost-centres", status_code=status.HTTP_201_CREATED)
def add_cost_centre(slug: str, body: CostCentreIn, session: DbSession, user: CurrentUser) -> CostCentreOut:
    row = organisations.get_organisation(session, slug, user=user)
    centre = organisations.add_cost_centre(session, organisation=row, actor=user, code=body.code, name=body.name)
    return CostCentreOut.of(centre)


@router.get("/{slug}/cost-centres")
def list_cost_centres(slug: str, session: DbSession, user: CurrentUser) -> list[CostCentreOut]:
    row = organisations.get_organisation(session, slug, user=user)
    return [CostCentreOut.of(centre) for centre in organisations.list_cost_centres(session, organisation=row)]


@router.get("/{slug}/statement")
def read_statement(
    slug: str, session: DbSession, user: CurrentUser, window: Paging, seller_id: int | None = None
) -> list[StatementOut]:
    """What was invoiced, credited and paid, with each legal entity of the network, or with one.

    A cursor belongs to the `seller_id` beside it.
    """
    row = organisations.get_organisation(session, slug, user=user)
    party = party_code(organisation_id=row.id, user_id=None)
    sellers = [each for each in list_sellers(session) if seller_id in (None, each.id)]
    return [_statement(session, seller, party, window) for seller in sellers]


def _statement(session: Session, seller: Seller, party: str, window: PageWindow) -> StatementOut:
    page = ledger.read_statement(session, seller_id=seller.id, party=party, window=window)
    return StatementOut(
        seller_id=seller.id,
        seller=seller.name,
        lines=[
            StatementLineOut(
                on=line.on, piece=line.piece, text=line.text, cents=line.cents, balance_cents=line.balance_cents
            )
            for line in page
        ],
        next=cursor_of(page.next),
    )
