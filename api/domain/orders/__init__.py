"""Orders: an accepted quote, printed, checked, delivered and invoiced at the price that was quoted."""

from api.domain.orders.billing import ask_deposit as ask_deposit
from api.domain.orders.billing import draft_of as draft_of
from api.domain.orders.billing import invoice_orders as invoice_orders
from api.domain.orders.billing import list_orders_of as list_orders_of
from api.domain.orders.billing import lock_delivered as lock_delivered
from api.domain.orders.billing import settle as settle
from api.domain.orders.place import accept as accept
from api.domain.orders.place import spent_cents as spent_cents
from api.domain.orders.produce import PartProgress as PartProgress
from api.domain.orders.produce import cancel as cancel
from api.domain.orders.produce import check_part as check_part
from api.domain.orders.produce import deliver as deliver
from api.domain.orders.produce import failed_runs as failed_runs
from api.domain.orders.produce import move_promise as move_promise
from api.domain.orders.produce import progress_of as progress_of
from api.domain.orders.produce import read_note as read_note
from api.domain.orders.produce import replace_lost as replace_lost
from api.domain.orders.table import Cause as Cause
from api.domain.orders.table import Order as Order
from api.domain.orders.table import OrderStatus as OrderStatus
from api.domain.orders.table import Part as Part
from api.domain.orders.table import find_order as find_order
from api.domain.orders.table import get_order as get_order
from api.domain.orders.table import list_delivered as list_delivered
from api.domain.orders.table import list_open_orders as list_open_orders
from api.domain.orders.table import list_orders as list_orders
