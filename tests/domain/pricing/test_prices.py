"""Prices add up to the cent and can be followed; estimates keep within the band measured on the real slicer."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.pricing.prices import (
    BadTariff,
    BadWork,
    BookingRates,
    NoPriceForMaterial,
    NoSuchRush,
    NotAnAmount,
    NothingToMeasure,
    PriceReason,
    PrintSettings,
    PrintSpeeds,
    Scope,
    Tariff,
    Work,
    estimate_piece,
    price_booking,
    price_estimate,
    price_order,
    price_part,
    round_cents,
    scale4,
    vat_cents,
)

D = Decimal


def make_tariff(**facts):
    known = {"per_gram": {"PLA": D("0.05")}, "per_minute": D("0.02"), "handling": D("0.50"), "set_up": D("3.00")}
    return Tariff(**(known | facts))


def make_work(**facts):
    return Work(**({"grams": D("12.4"), "minutes": D(35), "material": "PLA"} | facts))


def amounts(price, scope=Scope.LINE):
    return {step.reason: step.amount for step in price.trace if step.scope is scope}


# -- rounding and VAT --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("euros", "cents"), [("0.125", 13), ("0.124999", 12), ("-0.125", -13), ("2.675", 268), ("0", 0)]
)
def test_half_a_cent_rounds_away_from_zero(euros, cents):
    assert round_cents(D(euros)) == cents


def test_what_is_no_number_is_no_price():
    with pytest.raises(NotAnAmount):
        round_cents(D("NaN"))
    with pytest.raises(NotAnAmount):
        scale4(D("Infinity"))


@pytest.mark.parametrize(("net_cents", "rate", "vat"), [(6, 20, 1), (-63, 20, -13), (100, "5.5", 6), (500, 0, 0)])
def test_vat_rounds_half_away_from_zero(net_cents, rate, vat):
    assert vat_cents(net_cents, D(rate)) == vat


# -- parts -------------------------------------------------------------------------------------------------


def test_one_piece_costs_material_time_handling_and_set_up():
    price = price_part(make_tariff(), make_work())
    assert price.unit == D("1.82")  # 0.62 + 0.70 + 0.50
    assert price.net_cents == 482
    assert amounts(price) == {PriceReason.PIECES: D("1.82"), PriceReason.SET_UP: D("3.00")}


def test_the_minimum_of_a_line_is_its_own_visible_step():
    price = price_part(make_tariff(min_line=D(6)), make_work())
    assert price.net_cents == 600
    assert amounts(price)[PriceReason.MINIMUM_LINE] == D("1.18")


def test_a_line_above_the_minimum_shows_none():
    assert PriceReason.MINIMUM_LINE not in amounts(price_part(make_tariff(min_line=D("4.82")), make_work()))


@pytest.mark.parametrize(("quantity", "net_cents"), [(9, 1938), (10, 1938), (50, 7580)])
def test_the_highest_break_that_is_reached_counts(quantity, net_cents):
    tariff = make_tariff(quantity_breaks=((10, D("0.9")), (50, D("0.8"))))
    assert price_part(tariff, make_work(quantity=quantity)).net_cents == net_cents


def test_rush_and_discount_are_both_in_the_trace():
    tariff = make_tariff(rush_factors={"express": D("1.5")}, org_discount_percent=D(10), set_up=D(0))
    price = price_part(tariff, make_work(rush="express", quantity=4))
    assert amounts(price, Scope.UNIT)[PriceReason.RUSH] == D("0.91")
    assert amounts(price) == {PriceReason.PIECES: D("10.92"), PriceReason.DISCOUNT: D("-1.09")}
    assert price.net_cents == 983


def test_the_unit_price_is_rounded_to_four_decimals_in_view():
    price = price_part(make_tariff(per_gram={"PLA": D("0.0333")}), make_work(grams=D("1.111")))
    assert price.unit == D("1.2370")
    assert amounts(price, Scope.UNIT)[PriceReason.ROUNDING] == D("0.0000037")


def test_a_step_says_its_formula_and_survives_json():
    step = price_part(make_tariff(), make_work()).trace[0]
    params = dict(step.params)
    assert step.label.format(**params) == "12.4 g of PLA at €0.05 per gram"
    assert step.as_json() == {"scope": "unit", "reason": "material", "amount": "0.620", "params": params}


def test_every_label_can_be_filled_from_its_step():
    tariff = make_tariff(
        min_line=D(999), min_order=D(9999), org_discount_percent=D(5),
        quantity_breaks=((1, D("0.95")),), rush_factors={"fast": D("1.3333")},
    )  # fmt: skip
    part = price_part(tariff, make_work(rush="fast", grams=D("1.23456")))
    rates = BookingRates(per_slot=D(1), tiers=((0, D(6)),), role_factors={"member": D("0.5")})
    steps = [
        *part.trace,
        *price_order(tariff, [part]).trace,
        *price_booking(rates, minutes=60, role="member").trace,
    ]
    assert {step.reason for step in steps} == set(PriceReason)
    assert all("{" not in step.label.format(**dict(step.params)) for step in steps)


money = st.decimals(0, 50, places=4)


@given(
    st.builds(
        Tariff,
        per_gram=st.fixed_dictionaries({"PLA": money}), per_minute=money, handling=money, set_up=money,
        min_line=money, org_discount_percent=st.decimals(0, 100, places=2),
        quantity_breaks=st.sampled_from([(), ((5, D("0.9")), (20, D("0.85")))]),
        rush_factors=st.just({"express": D("1.35")}),
    ),
    st.builds(
        Work,
        grams=st.decimals(0, 5000, places=2), minutes=st.decimals(0, 9000, places=1), material=st.just("PLA"),
        quantity=st.integers(1, 500), rush=st.sampled_from(["standard", "express"]),
    ),
)  # fmt: skip
def test_the_steps_add_up_to_the_price_and_to_the_formula(tariff, work):
    price = price_part(tariff, work)
    assert sum(amounts(price, Scope.UNIT).values()) == price.unit
    assert sum(amounts(price).values()) * 100 == price.net_cents
    unit = work.grams * tariff.per_gram["PLA"] + work.minutes * tariff.per_minute + tariff.handling
    unit *= next((factor for start, factor in reversed(tariff.quantity_breaks) if start <= work.quantity), D(1))
    unit *= tariff.rush_factors.get(work.rush, D(1))
    gross = cents(unit.quantize(D("0.0001"), ROUND_HALF_UP) * work.quantity)
    net = gross - cents(gross * tariff.org_discount_percent / 100) + cents(tariff.set_up)
    assert price.net_cents == 100 * max(net, cents(tariff.min_line))


def cents(amount):
    return amount.quantize(D("0.01"), ROUND_HALF_UP)


def test_a_small_order_is_lifted_to_its_minimum():
    tariff = make_tariff(min_order=D(15))
    price = price_order(tariff, [price_part(tariff, make_work())] * 2)
    assert price.net_cents == 1500
    assert amounts(price, Scope.ORDER) == {PriceReason.LINES: D("9.64"), PriceReason.MINIMUM_ORDER: D("5.36")}


def test_an_order_without_lines_costs_nothing():
    assert price_order(make_tariff(min_order=D(15)), []).net_cents == 0


def test_what_the_tariff_does_not_know_is_refused_by_name():
    with pytest.raises(NoPriceForMaterial, match="PEEK"):
        price_part(make_tariff(), make_work(material="PEEK"))
    with pytest.raises(NoSuchRush, match="yesterday"):
        price_part(make_tariff(), make_work(rush="yesterday"))


@pytest.mark.parametrize("facts", [{"quantity": 0}, {"grams": D(-1)}, {"minutes": D("NaN")}])
def test_impossible_work_is_refused(facts):
    with pytest.raises(BadWork):
        make_work(**facts)


@pytest.mark.parametrize(
    "facts",
    [
        {"per_minute": D(-1)},
        {"per_gram": {"PLA": D("NaN")}},
        {"rush_factors": {"fast": D(0)}},
        {"quantity_breaks": ((10, D("0.9")), (5, D("0.8")))},
        {"quantity_breaks": ((0, D("0.9")),)},
        {"org_discount_percent": D(101)},
        {"vat_rate": D(-1)},
        {"currency": "USD"},
    ],
)
def test_a_tariff_that_contradicts_itself_is_refused(facts):
    with pytest.raises(BadTariff):
        make_tariff(**facts)


# -- bookings ----------------------------------------------------------------------------------------------

RATES = BookingRates(per_slot=D(2), tiers=((0, D(6)), (120, D(3))), role_factors={"staff": D(0), "member": D("0.5")})


@pytest.mark.parametrize(
    ("minutes", "role", "net_cents"),
    [(60, "visitor", 800), (120, "visitor", 1400), (180, "visitor", 1700), (180, "member", 850), (180, "staff", 0)],
)
def test_a_booking_costs_its_slot_its_tiers_and_its_role(minutes, role, net_cents):
    assert price_booking(RATES, minutes=minutes, role=role).net_cents == net_cents


@given(st.integers(1, 5000))
def test_a_longer_booking_never_costs_less_and_its_steps_add_up(minutes):
    price = price_booking(RATES, minutes=minutes, role="member")
    assert sum(amounts_all(price)) * 100 == price.net_cents
    assert price.net_cents <= price_booking(RATES, minutes=minutes + 1, role="member").net_cents


def amounts_all(price):
    return [step.amount for step in price.trace]


def test_a_resource_without_rates_is_free():
    assert price_booking(BookingRates(), minutes=60, role="visitor").trace == ()


@pytest.mark.parametrize("minutes", [0, -5])
def test_a_booking_without_length_has_no_price(minutes):
    with pytest.raises(BadWork) as caught:
        price_booking(RATES, minutes=minutes, role="visitor")
    assert caught.value.field == "end"


@pytest.mark.parametrize(
    "facts",
    [
        {"tiers": ((10, D(1)),)},
        {"tiers": ((0, D(1)), (0, D(2)))},
        {"per_slot": D(-1)},
        {"role_factors": {"member": D("NaN")}},
    ],
)
def test_contradictory_rates_are_refused(facts):
    with pytest.raises(BadTariff):
        BookingRates(**facts)


# -- the estimate before slicing ---------------------------------------------------------------------------

DRAFT = PrintSettings(layer_mm=0.28)
STANDARD = PrintSettings(layer_mm=0.20)
FINE = PrintSettings(layer_mm=0.12)
CUBE = (8000.0, 2400.0, (20.0, 20.0, 20.0))
TORUS = (31178.9, 7851.4, (66.0, 66.0, 16.0))
SPHERE = (33437.9, 5020.5, (40.0, 40.0, 40.0))
PLATE = (16000.0, 16720.0, (100.0, 80.0, 2.0))
TOWER = (60000.0, 12800.0, (20.0, 20.0, 150.0))
MINI = (384.0, 320.0, (8.0, 8.0, 6.0))


@pytest.mark.parametrize(
    ("shape", "settings", "grams", "minutes"),
    [
        (CUBE, DRAFT, 3.61, 15.6), (CUBE, STANDARD, 3.63, 21.0), (CUBE, FINE, 3.73, 33.7),
        (TORUS, DRAFT, 16.69, 67.2), (TORUS, STANDARD, 15.98, 84.8), (TORUS, FINE, 15.72, 126.9),
        (SPHERE, DRAFT, 12.83, 52.7), (SPHERE, STANDARD, 12.54, 67.0), (SPHERE, FINE, 12.34, 100.6),
        (PLATE, DRAFT, 19.48, 58.1), (PLATE, STANDARD, 18.29, 69.3), (PLATE, FINE, 17.98, 97.2),
        (TOWER, DRAFT, 22.63, 102.3), (TOWER, STANDARD, 22.89, 140.9), (TOWER, FINE, 23.51, 231.3),
        (MINI, DRAFT, 0.47, 3.9), (MINI, STANDARD, 0.49, 5.4), (MINI, FINE, 0.49, 8.7),
    ],
)  # fmt: skip
def test_what_prusaslicer_said_lies_within_the_estimate(shape, settings, grams, minutes):
    """Figures of PrusaSlicer 2.5.0 with the PLA profiles of printers/profile.py."""
    volume, area, size = shape
    estimate = estimate_piece(volume_mm3=volume, area_mm2=area, size_mm=size, settings=settings)
    assert estimate.grams.low <= grams <= estimate.grams.high
    assert estimate.minutes.low <= minutes <= estimate.minutes.high
    assert estimate.grams.likely == pytest.approx(grams, rel=0.20)
    assert estimate.minutes.likely == pytest.approx(minutes, rel=0.35)


def box_of(x, y, z):
    return {"volume_mm3": x * y * z, "area_mm2": 2 * (x * y + y * z + x * z), "size_mm": (x, y, z)}


@pytest.mark.parametrize(
    ("size", "nozzle_mm", "grams", "minutes"),
    [
        # Needles and pins: the slicer slows down for cooling only as far as its slowest speed.
        ((2, 2, 240), 0.4, None, 24.5), ((3, 3, 60), 0.4, 0.67, 15.0), ((4, 4, 60), 0.4, 1.21, 23.4),
        ((6, 6, 40), 0.4, 1.84, 32.8), ((8, 8, 40), 0.4, 3.25, 35.3), ((2, 40, 30), 0.4, 2.90, 25.3),
        ((20, 20, 20), 0.25, None, 28.3), ((20, 20, 20), 0.6, None, 19.3), ((20, 20, 20), 0.8, None, 18.7),
        ((60, 40, 10), 0.25, None, 77.0), ((60, 40, 10), 0.6, None, 30.9), ((60, 40, 10), 0.8, None, 25.8),
    ],
)  # fmt: skip
def test_thin_parts_and_other_nozzles_lie_within_the_estimate(size, nozzle_mm, grams, minutes):
    """Figures of PrusaSlicer 2.5.0 with the PLA profile of 0.2 mm of printers/profile.py."""
    estimate = estimate_piece(**box_of(*size), settings=PrintSettings(layer_mm=0.2, nozzle_mm=nozzle_mm))
    assert grams is None or estimate.grams.low <= grams <= estimate.grams.high
    assert estimate.minutes.low <= minutes <= estimate.minutes.high


def of_cube(**facts):
    volume, area, size = CUBE
    return estimate_piece(**({"volume_mm3": volume, "area_mm2": area, "size_mm": size, "settings": STANDARD} | facts))


@pytest.mark.parametrize(("settings", "layers"), [(DRAFT, 7), (STANDARD, 9), (FINE, 14)])
def test_the_skin_has_as_many_layers_as_our_profiles(settings, layers):
    assert settings.solid_layers == layers


def test_scale_is_the_same_as_a_larger_model():
    larger = of_cube(volume_mm3=64000, area_mm2=9600, size_mm=(40, 40, 40))
    assert of_cube(scale=2.0).grams.likely == pytest.approx(larger.grams.likely)
    assert of_cube(scale=2.0).minutes.likely == pytest.approx(larger.minutes.likely)


def test_more_infill_weighs_more_and_never_more_than_the_solid():
    grams = [of_cube(settings=PrintSettings(layer_mm=0.2, infill=share / 10)).grams.likely for share in range(11)]
    assert grams == sorted(grams)
    assert grams[-1] == pytest.approx(8 * 1.24 * 1.05)


def test_a_slow_melting_material_and_a_slow_printer_take_longer():
    assert of_cube(settings=PrintSettings(layer_mm=0.2, flow_max_mm3_s=1)).minutes.likely > of_cube().minutes.likely
    assert of_cube(speeds=PrintSpeeds(wall_mm_s=5)).minutes.likely > of_cube().minutes.likely


@pytest.mark.parametrize("facts", [{"volume_mm3": 0}, {"size_mm": (1, 1, 0)}, {"scale": 0}, {"area_mm2": float("nan")}])
def test_a_shape_without_volume_is_not_priced(facts):
    with pytest.raises(NothingToMeasure):
        of_cube(**facts)


def test_an_estimated_price_is_a_range_by_the_formula_of_the_exact_one():
    low, likely, high = price_estimate(make_tariff(), of_cube(), material="PLA", quantity=2)
    assert low < likely < high
    grams, minutes = round(of_cube().grams.likely, 1), round(of_cube().minutes.likely, 1)
    exact = price_part(make_tariff(), make_work(grams=D(str(grams)), minutes=D(str(minutes)), quantity=2))
    assert likely == exact.net_cents
