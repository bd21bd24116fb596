"""What pages say of the price of a print: VAT where its seller charges it, and what is owed of a stopped one."""

from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from api.domain.pricing.legal import Regime
from api.domain.printing import jobs, runs
from tests.world import NOW, World, make_job, make_model, make_sliced
from tests.world.billing import add_seller
from tests.world.browsers import Browser
from tests.world.runs import print_one

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.mark.parametrize("regime", list(Regime))
def test_a_seller_without_vat_shows_none(session: Session, world: World, alice: Browser, regime: Regime) -> None:
    add_seller(session, regime=regime)
    model = make_model(session, world.alice)
    job = make_job(session, world.site, world.alice)
    pages = [alice.get(f"/print/{model.id}").text, alice.get(f"/jobs/{job.id}").text]

    assert (job.vat_cents > 0) == (regime is Regime.PAYER)
    assert all(("incl. VAT" in page) == (regime is Regime.PAYER) for page in pages)


@pytest.mark.parametrize("is_printed", [False, True])
def test_what_is_owed_of_a_print_that_was_stopped_stands_on_its_page(
    session: Session, world: World, alice: Browser, is_printed: bool
) -> None:
    # So large that each of the two copies takes a plate.
    job = (
        print_one(session, world, copies=2, scale=Decimal(7)).job
        if is_printed
        else make_sliced(session, world.site, world.alice)
    )
    runs.cancel_job(session, job=job, actor=world.alice, now=NOW)
    page = alice.get(f"/jobs/{job.id}").text

    assert job.status is jobs.JobStatus.CANCELLED
    assert ("Nothing to pay" in page) != is_printed
    assert ("for what was printed" in page) == is_printed
