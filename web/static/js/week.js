// The week of a resource: drag over a free stretch with mouse, pen or finger. That fills the booking form of the page, or
// goes to the page that has it. Without this file a free stretch is a link to the same form.

const HOLD_MS = 300; // A finger that rests this long selects; one that moves before scrolls the page.
const SLACK_PX = 8; // A resting finger trembles: this much is no movement.
const MINUTE_MS = 60_000;

// Computed as if local time were UTC, so that the time zone of the browser plays no part.
/** The local time at the site, as "2026-11-24T09:30", so many minutes after the start of a cell. */
const localTime = (cell, minutes) => new Date(Date.parse(`${cell.dataset.start}Z`) + minutes * MINUTE_MS).toISOString().slice(0, 16);

class Selection {
  constructor(cell, event) {
    this.cell = cell;
    this.rules = cell.closest("[data-week]").dataset;
    this.length = Number(cell.dataset.minutes);
    this.from = this.at(event.clientY);
    this.to = this.from;
    this.mark = document.createElement("div");
    this.mark.className = "pick";
    document.querySelectorAll(".week .pick").forEach((previous) => previous.remove());
    cell.append(this.mark);
    this.draw();
  }

  /** Minutes from the start of the cell at this height, not rounded, inside the cell. */
  at(y) {
    const box = this.cell.getBoundingClientRect();
    return Math.min(Math.max((y - box.top) / box.height, 0), 1) * this.length;
  }

  move(event) { this.to = this.at(event.clientY); this.draw(); }

  /** [start, end) in minutes, on the grid and as long as the rule allows; a click is as long as the form says. */
  range() {
    const step = Number(this.rules.step);
    const least = Number(this.rules.least);
    const most = Number(this.rules.most);
    const isClick = Math.abs(this.to - this.from) < step / 2;
    const formLength = Math.max(least, Math.min(Number(document.querySelector("#ask #minutes")?.value || this.rules.minutes), most));
    let start = Math.floor(Math.min(this.from, this.to) / step) * step;
    let end = isClick ? start + formLength : Math.ceil(Math.max(this.from, this.to) / step) * step;
    end = Math.min(start + Math.min(Math.max(end - start, least), most), Math.floor(this.length / step) * step);
    start = Math.max(0, Math.min(start, end - (isClick ? Math.min(formLength, end) : least)));
    return [start, end];
  }

  draw() {
    const [start, end] = this.range();
    this.mark.style.insetBlockStart = `${(start / this.length) * 100}%`;
    this.mark.style.blockSize = `${((end - start) / this.length) * 100}%`;
    this.mark.textContent = `${localTime(this.cell, start).slice(11)}–${localTime(this.cell, end).slice(11)}`;
  }

  /** Fill the form of this page, or go to the page that has it. */
  apply() {
    const [start, end] = this.range();
    const when = localTime(this.cell, start);
    const form = document.getElementById("ask");
    if (!form) {
      location.assign(`${this.rules.target}?start=${when}&minutes=${end - start}`);
      return;
    }
    form.elements.day.value = when.slice(0, 10);
    form.elements.at.value = when.slice(11);
    form.elements.minutes.value = end - start;
    // What was filled in for the previous start does not hold for this one.
    for (const name of ["offset", "given"]) if (form.elements[name]) form.elements[name].value = "";
    form.elements.minutes.dispatchEvent(new Event("change", { bubbles: true }));
    form.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  cancel() { this.mark.remove(); }
}

let selection = null;
let holdTimer = null;
let origin = null; // The event of a finger that may still begin to scroll.

const freeCell = (event) => event.target.closest?.("[data-week] td.free");
const forgetTouch = () => { clearTimeout(holdTimer); holdTimer = null; origin = null; };

addEventListener("pointerdown", (event) => {
  const cell = freeCell(event);
  if (!cell || event.button !== 0 || !event.isPrimary) return;
  if (event.pointerType !== "touch") { selection = new Selection(cell, event); return; }
  origin = event;
  holdTimer = setTimeout(() => { selection = new Selection(cell, origin); holdTimer = null; }, HOLD_MS);
});

addEventListener("pointermove", (event) => {
  if (selection) { selection.move(event); return; }
  if (origin && Math.hypot(event.clientX - origin.clientX, event.clientY - origin.clientY) > SLACK_PX) forgetTouch();
});

addEventListener("pointerup", (event) => {
  if (!selection && origin && holdTimer) selection = new Selection(freeCell(event) ?? origin.target.closest("td.free"), origin);
  forgetTouch();
  if (selection) { selection.apply(); selection = null; }
});

const cancelSelection = () => { forgetTouch(); selection?.cancel(); selection = null; };
addEventListener("pointercancel", cancelSelection);
addEventListener("keydown", (event) => { if (event.key === "Escape") cancelSelection(); });

// While a finger selects, the page must not scroll, open a menu or drag the link.
addEventListener("touchmove", (event) => { if (selection) event.preventDefault(); }, { passive: false });
addEventListener("contextmenu", (event) => { if (selection && freeCell(event)) event.preventDefault(); });
addEventListener("dragstart", (event) => { if (freeCell(event)) event.preventDefault(); });

// A click of the pointer (`detail` counts them) was handled above. From the keyboard the start of the stretch is taken, and
// the focus goes on to the form; on a page without the form the link leads to it.
addEventListener("click", (event) => {
  const cell = freeCell(event);
  if (!cell) return;
  const form = document.getElementById("ask");
  if (event.detail || form) event.preventDefault();
  if (event.detail || !form) return;
  new Selection(cell, { clientY: cell.getBoundingClientRect().top }).apply();
  form.elements.at.focus();
});
