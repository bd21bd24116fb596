"""An uploaded model: read it, measure it, refuse it with a reason, write it anew. Pure: no session, no clock.

What reads triangles is imported from its own file, `mesh.gate.measure` and `mesh.writing.write_binary`: it loads numpy,
which the pages and the workers would pay for at every start.
"""

from api.domain.printing.mesh.fit import Excess as Excess
from api.domain.printing.mesh.fit import Fit as Fit
from api.domain.printing.mesh.fit import fits as fits
from api.domain.printing.mesh.fit import require_fit as require_fit
from api.domain.printing.mesh.measures import MAX_TRIANGLES as MAX_TRIANGLES
from api.domain.printing.mesh.measures import UNIT_REASONS as UNIT_REASONS
from api.domain.printing.mesh.measures import Measures as Measures
from api.domain.printing.mesh.measures import Unit as Unit
from api.domain.printing.mesh.position import MATRICES as MATRICES
from api.domain.printing.mesh.position import Matrix as Matrix
from api.domain.printing.mesh.position import Position as Position
from api.domain.printing.mesh.position import list_fitting as list_fitting
from api.domain.printing.mesh.position import size_in as size_in
from api.domain.printing.mesh.refusals import FitsAtAnAngle as FitsAtAnAngle
from api.domain.printing.mesh.refusals import FitsLyingDown as FitsLyingDown
from api.domain.printing.mesh.refusals import FitsNoPrinter as FitsNoPrinter
from api.domain.printing.mesh.refusals import MeshRefused as MeshRefused
from api.domain.printing.mesh.refusals import NotAnStl as NotAnStl
from api.domain.printing.mesh.refusals import TooComplex as TooComplex
from api.domain.printing.mesh.refusals import TooManyTriangles as TooManyTriangles
from api.domain.printing.mesh.refusals import Truncated as Truncated
from api.domain.printing.mesh.refusals import TruncatedText as TruncatedText
