"""Jobs: what a customer wants printed, from draft to collected. The runs of its plates stand in `runs`."""

from api.domain.jobs.exact import ExactQuote as ExactQuote
from api.domain.jobs.exact import exact_quote as exact_quote
from api.domain.jobs.exact import find_exact_quote as find_exact_quote
from api.domain.jobs.exact import is_being_sliced as is_being_sliced
from api.domain.jobs.order import JobRequest as JobRequest
from api.domain.jobs.order import create_job as create_job
from api.domain.jobs.order import quote_job as quote_job
from api.domain.jobs.order import submit as submit
from api.domain.jobs.preview import Preview as Preview
from api.domain.jobs.preview import preview as preview
from api.domain.jobs.table import NEXT as NEXT
from api.domain.jobs.table import Job as Job
from api.domain.jobs.table import JobSlice as JobSlice
from api.domain.jobs.table import JobStatus as JobStatus
from api.domain.jobs.table import NotYours as NotYours
from api.domain.jobs.table import get_job as get_job
from api.domain.jobs.table import list_jobs as list_jobs
from api.domain.jobs.table import list_site_jobs as list_site_jobs
from api.domain.jobs.table import move_job as move_job
from api.domain.jobs.table import require_own as require_own
from api.domain.jobs.verbs import approve as approve
from api.domain.jobs.verbs import collect as collect
from api.domain.jobs.verbs import put_on_hold as put_on_hold
from api.domain.jobs.verbs import reject as reject
from api.domain.jobs.verbs import resume as resume
from api.domain.jobs.verbs import slice_came as slice_came
