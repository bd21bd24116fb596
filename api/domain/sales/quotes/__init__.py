"""Quotes (*devis*): several models, a price with its trace, a promised day; frozen until a day, accepted once."""

from api.domain.sales.quotes.price import AMOUNTS as AMOUNTS
from api.domain.sales.quotes.price import PricedLine as PricedLine
from api.domain.sales.quotes.price import RequestedLine as RequestedLine
from api.domain.sales.quotes.price import price_lines as price_lines
from api.domain.sales.quotes.review import change_price as change_price
from api.domain.sales.quotes.review import list_adjustments as list_adjustments
from api.domain.sales.quotes.table import NEXT as NEXT
from api.domain.sales.quotes.table import Quote as Quote
from api.domain.sales.quotes.table import QuoteLine as QuoteLine
from api.domain.sales.quotes.table import QuoteRule as QuoteRule
from api.domain.sales.quotes.table import QuoteStatus as QuoteStatus
from api.domain.sales.quotes.table import Review as Review
from api.domain.sales.quotes.table import change_rule as change_rule
from api.domain.sales.quotes.table import get_quote as get_quote
from api.domain.sales.quotes.table import get_rule as get_rule
from api.domain.sales.quotes.table import list_buyers as list_buyers
from api.domain.sales.quotes.table import list_in_review as list_in_review
from api.domain.sales.quotes.table import list_quotes as list_quotes
from api.domain.sales.quotes.table import set_rule as set_rule
from api.domain.sales.quotes.verbs import DateWrong as DateWrong
from api.domain.sales.quotes.verbs import EmptyQuote as EmptyQuote
from api.domain.sales.quotes.verbs import create_quote as create_quote
from api.domain.sales.quotes.verbs import decline as decline
from api.domain.sales.quotes.verbs import offer as offer
from api.domain.sales.quotes.verbs import withdraw as withdraw
