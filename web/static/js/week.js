// The week of a resource: drag over a free stretch with mouse, pen or finger. It fills the form of the page, or goes to it.
// A free stretch is a link already: without this file, and from the keyboard, it leads to the same form.

const HOLD_MS = 300; // A finger that rests so long drags; one that moves before scrolls.
const SLACK_PX = 8;
const MINUTE_MS = 60_000;

/** The wall time of a cell plus minutes, as "2026-11-24T09:30": the clock of the place, never that of the browser. */
const wallTime = (cell, minutes) => new Date(Date.parse(`${cell.dataset.start}Z`) + minutes * MINUTE_MS).toISOString().slice(0, 16);

class Pick {
  constructor(cell, event) {
    this.cell = cell;
    this.rules = cell.closest("[data-week]").dataset;
    this.length = Number(cell.dataset.minutes);
    this.from = this.at(event.clientY);
    this.to = this.from;
    this.mark = document.createElement("div");
    this.mark.className = "pick";
    document.querySelectorAll(".week .pick").forEach((old) => old.remove());
    cell.append(this.mark);
    this.draw();
  }

  /** Minutes from the cell's start at this height, unrounded and inside the cell. */
  at(y) {
    const box = this.cell.getBoundingClientRect();
    return Math.min(Math.max((y - box.top) / box.height, 0), 1) * this.length;
  }

  move(event) { this.to = this.at(event.clientY); this.draw(); }

  /** [start, end) in minutes, on the grid, as long as the rule asks; a mere click is as long as the form says. */
  range() {
    const step = Number(this.rules.step);
    const least = Number(this.rules.least);
    const most = Number(this.rules.most);
    const isClick = Math.abs(this.to - this.from) < step / 2;
    const usual = Math.max(least, Math.min(Number(document.querySelector("#ask #minutes")?.value || this.rules.minutes), most));
    let start = Math.floor(Math.min(this.from, this.to) / step) * step;
    let end = isClick ? start + usual : Math.ceil(Math.max(this.from, this.to) / step) * step;
    end = Math.min(start + Math.min(Math.max(end - start, least), most), Math.floor(this.length / step) * step);
    start = Math.max(0, Math.min(start, end - (isClick ? Math.min(usual, end) : least)));
    return [start, end];
  }

  draw() {
    const [start, end] = this.range();
    this.mark.style.insetBlockStart = `${(start / this.length) * 100}%`;
    this.mark.style.blockSize = `${((end - start) / this.length) * 100}%`;
    this.mark.textContent = `${wallTime(this.cell, start).slice(11)}–${wallTime(this.cell, end).slice(11)}`;
  }

  /** Into the form of this page; a page without one goes to it. */
  take() {
    const [start, end] = this.range();
    const when = wallTime(this.cell, start);
    const form = document.getElementById("ask");
    if (!form) {
      location.assign(`${this.rules.target}?start=${when}&minutes=${end - start}`);
      return;
    }
    form.elements.day.value = when.slice(0, 10);
    form.elements.at.value = when.slice(11);
    form.elements.minutes.value = end - start;
    for (const name of ["offset", "given"]) if (form.elements[name]) form.elements[name].value = "";
    form.elements.minutes.dispatchEvent(new Event("change", { bubbles: true }));
    form.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  drop() { this.mark.remove(); }
}

let pick = null;
let resting = null;
let origin = null;

const freeCell = (event) => event.target.closest?.("[data-week] td.free");
const stop = () => { clearTimeout(resting); resting = null; origin = null; };

addEventListener("pointerdown", (event) => {
  const cell = freeCell(event);
  if (!cell || event.button !== 0 || !event.isPrimary) return;
  if (event.pointerType !== "touch") { pick = new Pick(cell, event); return; }
  origin = event;
  resting = setTimeout(() => { pick = new Pick(cell, origin); resting = null; }, HOLD_MS);
});

addEventListener("pointermove", (event) => {
  if (pick) { pick.move(event); return; }
  if (origin && Math.hypot(event.clientX - origin.clientX, event.clientY - origin.clientY) > SLACK_PX) stop();
});

addEventListener("pointerup", (event) => {
  if (!pick && origin && resting) pick = new Pick(freeCell(event) ?? origin.target.closest("td.free"), origin);
  stop();
  if (pick) { pick.take(); pick = null; }
});

const giveUp = () => { stop(); pick?.drop(); pick = null; };
addEventListener("pointercancel", giveUp);
addEventListener("keydown", (event) => { if (event.key === "Escape") giveUp(); });

// While a finger drags over the time, the page stays where it is.
addEventListener("touchmove", (event) => { if (pick) event.preventDefault(); }, { passive: false });
addEventListener("contextmenu", (event) => { if (pick && freeCell(event)) event.preventDefault(); });
addEventListener("dragstart", (event) => { if (freeCell(event)) event.preventDefault(); });

// The pointer has chosen already. From the keyboard the stretch's beginning is taken, and the form goes on from there;
// on a page without the form the link leads to it.
addEventListener("click", (event) => {
  const cell = freeCell(event);
  if (!cell) return;
  const form = document.getElementById("ask");
  if (event.detail || form) event.preventDefault();
  if (event.detail || !form) return;
  new Pick(cell, { clientY: cell.getBoundingClientRect().top }).take();
  form.elements.at.focus();
});
