"""What can be wrong with a document: raised by `checks`, `credit` and `deposit`."""

from __future__ import annotations

from api.domain.core.errors import Invalid


class BadNumber(Invalid):
    """The number "{number}" may only have letters, digits and + - _ /, at most 35."""


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
    """The VAT number {vat_number} of {party} is wrong: its key or its SIREN does not fit."""

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
    """{party} needs a {what} on this invoice."""


class IncompleteAddress(Invalid):
    """The address of {party} needs a street, a postcode, a city and a country."""

    field = "address"


class UnreadableText(Invalid):
    """The text "{text}" is empty, too long, or has characters that cannot be printed."""


class NothingSold(Invalid):
    """A document needs at least one line."""


class WrongQuantity(Invalid):
    """Line {line}: the quantity {quantity} must not be zero and has at most 4 decimals."""

    field = "quantity"


class WrongPrice(Invalid):
    """Line {line}: the price {price} must be above zero and has at most 6 decimals."""

    field = "unit_price"


class UnknownUnit(Invalid):
    """Line {line}: "{unit}" is not a unit that we sell by."""

    field = "unit"


class WrongAllowance(Invalid):
    """A reduction must be above zero, within what it reduces, and say why."""


class NetDiffers(Invalid):
    """Line {line}: {agreed_cents} cents were agreed, but quantity times price less reduction makes {computed_cents}."""


class TotalDiffers(Invalid):
    """{agreed_cents} cents were agreed in all, but the lines and their VAT make {computed_cents}."""


class NegativeTotal(Invalid):
    """The total is negative: that is a credit note, with positive amounts."""


class NegativeBase(Invalid):
    """The reductions at {rate} % are larger than what was sold at that rate."""


class UnknownVatRate(Invalid):
    """{rate} % is not a French VAT rate on {on}."""

    field = "rate"


class WrongVatCategory(Invalid):
    """Under the VAT regime "{regime}" every line is of category {category}, not {found}."""


class VatUnderExemption(Invalid):
    """A seller who charges no VAT cannot invoice {rate} % of it."""


class DebitsWithoutVat(Invalid):
    """The option for VAT on debits needs a seller who charges VAT."""


class DueBeforeIssue(Invalid):
    """The due date {due_on} is before the issue date {issued_on}."""

    field = "due_on"


class TermTooLong(Invalid):
    """The due date {due_on} is more than the {days} days that the law allows."""

    field = "due_on"


class NoSupplyDate(Invalid):
    """The invoice must say when it was supplied: a day, or a period from first to last day."""


class PeriodBackwards(Invalid):
    """The period of supply ends before it begins."""


class WrongPaidAmount(Invalid):
    """What was paid must lie between zero and the total, with its day of payment once it is all paid."""

    field = "paid_cents"


class MissingReference(Invalid):
    """A credit note or a corrected invoice must name the invoice that it is about."""


class ReferenceFromFuture(Invalid):
    """The invoice {number} that this one is about is dated later."""


class UnexpectedReference(Invalid):
    """An ordinary invoice or deposit credits nothing: only a credit note or a corrected invoice does."""


class MissingServiceCode(Invalid):
    """This public buyer requires a service code (code service)."""

    field = "service_code"


class MissingEngagement(Invalid):
    """This public buyer requires an engagement number (numéro d'engagement)."""

    field = "purchase_order"


class NoSuchLine(Invalid):
    """Invoice {number} has no line {line}."""


class CreditAboveRemaining(Invalid):
    """A credit of {wanted} is above the {remaining} that remains of invoice {number}."""


class DepositTooSmall(Invalid):
    """The deposit is too small to have VAT in whole cents at every rate."""


class DepositOfAnother(Invalid):
    """The deposit {number} is of another buyer, seller or VAT regime, or is larger than the sale."""
