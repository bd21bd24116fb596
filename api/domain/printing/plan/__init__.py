"""Who prints what, where and when, and why a job waits. Pure: no session, no clock, no chance.

`runs/site_plan.py` fills it from the tables.
"""

from api.domain.printing.plan.facts import HORIZON_DAYS as HORIZON_DAYS
from api.domain.printing.plan.facts import Hours as Hours
from api.domain.printing.plan.facts import JobPlan as JobPlan
from api.domain.printing.plan.facts import NextStart as NextStart
from api.domain.printing.plan.facts import Plan as Plan
from api.domain.printing.plan.facts import PlanHold as PlanHold
from api.domain.printing.plan.facts import PlanJob as PlanJob
from api.domain.printing.plan.facts import PlanPrinter as PlanPrinter
from api.domain.printing.plan.facts import PlanSettings as PlanSettings
from api.domain.printing.plan.facts import Plate as Plate
from api.domain.printing.plan.facts import Slot as Slot
from api.domain.printing.plan.facts import Why as Why
from api.domain.printing.plan.facts import WhyCode as WhyCode
from api.domain.printing.plan.schedule import next_start as next_start
from api.domain.printing.plan.schedule import plan as plan
