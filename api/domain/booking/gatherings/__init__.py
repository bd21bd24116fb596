"""Gatherings: public events of a site, with seats, registrations and a waitlist; they may hold resources.

A training session is a gathering with a skill: staff say who came, and those are authorised.
"""

from api.domain.booking.gatherings.announce import EventOnClosedDay as EventOnClosedDay
from api.domain.booking.gatherings.announce import EventOver as EventOver
from api.domain.booking.gatherings.announce import HeldElsewhere as HeldElsewhere
from api.domain.booking.gatherings.announce import SeatsWrong as SeatsWrong
from api.domain.booking.gatherings.announce import TitleMissing as TitleMissing
from api.domain.booking.gatherings.announce import announce as announce
from api.domain.booking.gatherings.announce import move_gathering as move_gathering
from api.domain.booking.gatherings.seats import AlreadyRegistered as AlreadyRegistered
from api.domain.booking.gatherings.seats import RegistrationOver as RegistrationOver
from api.domain.booking.gatherings.seats import mark_attended as mark_attended
from api.domain.booking.gatherings.seats import register as register
from api.domain.booking.gatherings.seats import withdraw as withdraw
from api.domain.booking.gatherings.table import Gathering as Gathering
from api.domain.booking.gatherings.table import GatheringStatus as GatheringStatus
from api.domain.booking.gatherings.table import Registration as Registration
from api.domain.booking.gatherings.table import RegistrationStatus as RegistrationStatus
from api.domain.booking.gatherings.table import find_registration as find_registration
from api.domain.booking.gatherings.table import get_gathering as get_gathering
from api.domain.booking.gatherings.table import list_announced as list_announced
from api.domain.booking.gatherings.table import list_gatherings as list_gatherings
from api.domain.booking.gatherings.table import list_own_registrations as list_own_registrations
from api.domain.booking.gatherings.table import lock_gatherings as lock_gatherings
from api.domain.booking.gatherings.table import map_seats_left as map_seats_left
from api.domain.booking.gatherings.table import seats_left as seats_left
