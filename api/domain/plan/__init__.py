"""Who prints what, where and when, and why a job waits. Pure: refuses sessions, clocks, IO and chance."""

from api.domain.plan.facts import Hours as Hours
from api.domain.plan.facts import JobPlan as JobPlan
from api.domain.plan.facts import NextStart as NextStart
from api.domain.plan.facts import Plan as Plan
from api.domain.plan.facts import PlanHold as PlanHold
from api.domain.plan.facts import PlanJob as PlanJob
from api.domain.plan.facts import PlanPrinter as PlanPrinter
from api.domain.plan.facts import Plate as Plate
from api.domain.plan.facts import PrinterState as PrinterState
from api.domain.plan.facts import Settings as Settings
from api.domain.plan.facts import Slot as Slot
from api.domain.plan.facts import Why as Why
from api.domain.plan.facts import WhyCode as WhyCode
from api.domain.plan.schedule import next_start as next_start
from api.domain.plan.schedule import plan as plan
