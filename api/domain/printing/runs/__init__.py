"""Runs: one plate on one printer, from claim to its end; what an end means for the job, the plate, time and money."""

from api.domain.printing.runs.claim import claim_next as claim_next
from api.domain.printing.runs.end import cancel_job as cancel_job
from api.domain.printing.runs.end import finish as finish
from api.domain.printing.runs.end import resolve as resolve
from api.domain.printing.runs.overrun import keep_hold as keep_hold
from api.domain.printing.runs.site_plan import find_plan as find_plan
from api.domain.printing.runs.site_plan import plan_site as plan_site
from api.domain.printing.runs.table import BEFORE_START as BEFORE_START
from api.domain.printing.runs.table import FENCED as FENCED
from api.domain.printing.runs.table import LIVE as LIVE
from api.domain.printing.runs.table import NEXT as NEXT
from api.domain.printing.runs.table import Charge as Charge
from api.domain.printing.runs.table import Run as Run
from api.domain.printing.runs.table import RunCommand as RunCommand
from api.domain.printing.runs.table import RunStatus as RunStatus
from api.domain.printing.runs.table import find_live_run as find_live_run
from api.domain.printing.runs.table import get_run as get_run
from api.domain.printing.runs.table import list_doubts as list_doubts
from api.domain.printing.runs.table import list_live_runs as list_live_runs
from api.domain.printing.runs.table import list_runs as list_runs
from api.domain.printing.runs.table import list_unfiled as list_unfiled
from api.domain.printing.runs.table import move_run as move_run
from api.domain.printing.runs.table import progress_of as progress_of
from api.domain.printing.runs.table import record_progress as record_progress
from api.domain.printing.runs.table import request_command as request_command
