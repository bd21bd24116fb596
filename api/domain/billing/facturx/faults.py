"""What can be wrong with a document: raised by `checks`, `credit` and `deposit`."""

from __future__ import annotations

from api.domain.core.errors import Invalid


class BadNumber(Invalid):
    """The number “{number}” can only contain letters, digits and + - _ /, 35 characters at most."""


class WrongSiren(Invalid):
    """The SIREN {siren} of {party} is not a valid SIREN."""

    field = "siren"


class WrongSiret(Invalid):
    """The SIRET {siret} of {party} is not a valid SIRET."""

    field = "siret"


class SiretOfAnother(Invalid):
    """The SIRET {siret} does not belong to the SIREN {siren} of {party}."""

    field = "siret"


class WrongVatNumber(Invalid):
    """The VAT number {vat_number} of {party} is not valid: its key or its SIREN does not match."""

    field = "vat_number"


class WrongIban(Invalid):
    """The IBAN {iban} is not valid."""

    field = "iban"


class WrongBic(Invalid):
    """The BIC {bic} is not valid, or belongs to another country than the IBAN."""

    field = "bic"


class MissingBank(Invalid):
    """An invoice to be paid by transfer needs IBAN, BIC and the name of the bank."""

    field = "iban"


class MissingIdentifier(Invalid):
    """This information about {party} is missing on the invoice: {what}."""


class IncompleteAddress(Invalid):
    """The address of {party} needs a street, a postcode, a city and a country."""

    field = "address"


class UnreadableText(Invalid):
    """The text “{text}” is empty, too long, or contains characters that cannot be printed."""


class NothingSold(Invalid):
    """A document needs at least one line."""


class WrongQuantity(Invalid):
    """Line {line}: the quantity {quantity} cannot be zero, with at most 4 decimals."""

    field = "quantity"


class WrongPrice(Invalid):
    """Line {line}: the price {price} must be above zero, with at most 6 decimals."""

    field = "unit_price"


class UnknownUnit(Invalid):
    """Line {line}: unknown unit “{unit}”."""

    field = "unit"


class WrongAllowance(Invalid):
    """A discount must be above zero, not exceed the amount it reduces, and state a reason."""


class NetDiffers(Invalid):
    """Line {line}: agreed {agreed_cents}, but quantity × price less discount makes {computed_cents}."""


class TotalDiffers(Invalid):
    """Total agreed: {agreed_cents}, but the lines and their VAT make {computed_cents}."""


class NegativeTotal(Invalid):
    """The total is negative: issue a credit note, with positive amounts."""


class NegativeBase(Invalid):
    """Discounts at {rate}% exceed what is sold at that rate."""


class UnknownVatRate(Invalid):
    """{rate}% is not a French VAT rate on {on}."""

    field = "rate"


class WrongVatCategory(Invalid):
    """Under the VAT scheme “{regime}”, each line has category {category}, not {found}."""


class VatUnderExemption(Invalid):
    """A seller who does not charge VAT cannot invoice {rate}% VAT."""


class DebitsWithoutVat(Invalid):
    """VAT on debits requires a seller who charges VAT."""


class DueBeforeIssue(Invalid):
    """The due date {due_on} is before the issue date {issued_on}."""

    field = "due_on"


class TermTooLong(Invalid):
    """The due date {due_on} exceeds the legal limit of {days} days."""

    field = "due_on"


class NoSupplyDate(Invalid):
    """The invoice must state the date of supply: a day, or a first and a last day."""


class PeriodBackwards(Invalid):
    """The period of supply ends before it starts."""


class WrongPaidAmount(Invalid):
    """The amount paid must be between zero and the total, with a payment date once paid in full."""

    field = "paid_cents"


class MissingReference(Invalid):
    """A credit note or a corrected invoice must name the invoice concerned."""


class ReferenceFromFuture(Invalid):
    """Invoice {number}, which this one refers to, has a later date."""


class UnexpectedReference(Invalid):
    """An ordinary invoice or a deposit invoice credits nothing: issue a credit note or a corrected invoice."""


class MissingServiceCode(Invalid):
    """This public buyer requires a service code (code service)."""

    field = "service_code"


class MissingEngagement(Invalid):
    """This public buyer requires an engagement number (numéro d’engagement)."""

    field = "purchase_order"


class NoSuchLine(Invalid):
    """Invoice {number} has no line {line}."""


class CreditAboveRemaining(Invalid):
    """The credit note ({wanted}) is higher than what remains on invoice {number} ({remaining})."""


class DepositTooSmall(Invalid):
    """The deposit is too small: VAT cannot be split into whole cents at each rate."""


class DepositOfAnother(Invalid):
    """Deposit {number} concerns another buyer, seller or VAT scheme, or exceeds the sale."""
