"""Organisations that buy: what their invoices must know, who may buy for them, and how much.

Refuses strangers: to them an organisation does not exist.
"""

from api.domain.billing.organisations.details import BillingDetails as BillingDetails
from api.domain.billing.organisations.details import BuyersOnly as BuyersOnly
from api.domain.billing.organisations.details import NameWrong as NameWrong
from api.domain.billing.organisations.details import NotBillable as NotBillable
from api.domain.billing.organisations.details import change_details as change_details
from api.domain.billing.organisations.details import check_details as check_details
from api.domain.billing.organisations.details import create_organisation as create_organisation
from api.domain.billing.organisations.details import find_details as find_details
from api.domain.billing.organisations.details import find_membership as find_membership
from api.domain.billing.organisations.details import get_billable as get_billable
from api.domain.billing.organisations.details import get_organisation as get_organisation
from api.domain.billing.organisations.details import map_details as map_details
from api.domain.billing.organisations.details import may_see as may_see
from api.domain.billing.organisations.details import require_buyer as require_buyer
from api.domain.billing.organisations.members import AlreadyMember as AlreadyMember
from api.domain.billing.organisations.members import CostCentreWrong as CostCentreWrong
from api.domain.billing.organisations.members import DuplicateCostCentre as DuplicateCostCentre
from api.domain.billing.organisations.members import InvitationWrong as InvitationWrong
from api.domain.billing.organisations.members import LastBuyer as LastBuyer
from api.domain.billing.organisations.members import LimitWrong as LimitWrong
from api.domain.billing.organisations.members import accept_invitation as accept_invitation
from api.domain.billing.organisations.members import add_cost_centre as add_cost_centre
from api.domain.billing.organisations.members import close_cost_centre as close_cost_centre
from api.domain.billing.organisations.members import get_cost_centre as get_cost_centre
from api.domain.billing.organisations.members import invite as invite
from api.domain.billing.organisations.members import list_cost_centres as list_cost_centres
from api.domain.billing.organisations.members import list_members as list_members
from api.domain.billing.organisations.members import map_cost_centres as map_cost_centres
from api.domain.billing.organisations.members import map_open_centres as map_open_centres
from api.domain.billing.organisations.members import remove_member as remove_member
from api.domain.billing.organisations.members import set_limit as set_limit
from api.domain.billing.organisations.table import BillingProfile as BillingProfile
from api.domain.billing.organisations.table import CostCentre as CostCentre
from api.domain.billing.organisations.table import Invitation as Invitation
from api.domain.billing.organisations.table import SpendingLimit as SpendingLimit
from api.domain.billing.organisations.terms import NoTermsRequest as NoTermsRequest
from api.domain.billing.organisations.terms import TermsRequest as TermsRequest
from api.domain.billing.organisations.terms import TermWrong as TermWrong
from api.domain.billing.organisations.terms import decline_terms as decline_terms
from api.domain.billing.organisations.terms import find_terms_request as find_terms_request
from api.domain.billing.organisations.terms import get_organisation_to_grant as get_organisation_to_grant
from api.domain.billing.organisations.terms import grant_terms as grant_terms
from api.domain.billing.organisations.terms import list_terms_requests as list_terms_requests
from api.domain.billing.organisations.terms import map_terms_requests as map_terms_requests
from api.domain.billing.organisations.terms import may_grant_terms as may_grant_terms
