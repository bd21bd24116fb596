"""Jobs: what a customer wants printed, from draft to collected. The runs of its plates stand in `runs`."""

from api.domain.printing.jobs.decisions import approve as approve
from api.domain.printing.jobs.decisions import collect as collect
from api.domain.printing.jobs.decisions import put_on_hold as put_on_hold
from api.domain.printing.jobs.decisions import reject as reject
from api.domain.printing.jobs.decisions import resume as resume
from api.domain.printing.jobs.estimate import PriceEstimate as PriceEstimate
from api.domain.printing.jobs.estimate import estimate_price as estimate_price
from api.domain.printing.jobs.exact import ExactPrice as ExactPrice
from api.domain.printing.jobs.exact import find_exact_price as find_exact_price
from api.domain.printing.jobs.exact import request_exact_price as request_exact_price
from api.domain.printing.jobs.preview import TariffPreview as TariffPreview
from api.domain.printing.jobs.preview import preview_tariff as preview_tariff
from api.domain.printing.jobs.request import JobRequest as JobRequest
from api.domain.printing.jobs.submit import create_job as create_job
from api.domain.printing.jobs.submit import settle_slices as settle_slices
from api.domain.printing.jobs.submit import submit as submit
from api.domain.printing.jobs.table import NEXT as NEXT
from api.domain.printing.jobs.table import Job as Job
from api.domain.printing.jobs.table import JobOfAnother as JobOfAnother
from api.domain.printing.jobs.table import JobSlice as JobSlice
from api.domain.printing.jobs.table import JobStatus as JobStatus
from api.domain.printing.jobs.table import get_job as get_job
from api.domain.printing.jobs.table import list_jobs as list_jobs
from api.domain.printing.jobs.table import list_site_jobs as list_site_jobs
from api.domain.printing.jobs.table import move_job as move_job
from api.domain.printing.jobs.table import require_may_change as require_may_change
