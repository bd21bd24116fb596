// On every page: htmx, and live parts that fetch themselves again when the server says that their subject changed.
import htmx from "htmx.org/dist/htmx.esm.js";

window.htmx = htmx;
const POLL_MS = 5000;

/** Elements that show something live: data-live="job:5 printer:1". */
const liveParts = () => [...document.querySelectorAll("[data-live]")];
const subjectsOf = (part) => part.dataset.live.split(" ").filter(Boolean);

function refresh(subject) {
  for (const part of liveParts()) {
    if (!subject || subjectsOf(part).includes(subject)) htmx.trigger(part, "live");
  }
}

/** One stream per page; while it is down, everything is fetched every few seconds instead. */
function listen() {
  const about = [...new Set(liveParts().flatMap(subjectsOf))];
  if (!about.length) return;
  let polling = null;
  const poll = () => { polling ??= setInterval(refresh, POLL_MS); };
  const rest = () => { clearInterval(polling); polling = null; };
  const stream = new EventSource(`/live?about=${encodeURIComponent(about.join(","))}`);
  let wasDown = false;
  stream.onopen = () => { rest(); if (wasDown) refresh(); wasDown = false; };
  stream.onerror = () => { wasDown = true; poll(); };
  stream.addEventListener("changed", (event) => refresh(event.data));
  addEventListener("pagehide", () => stream.close());
}

/** "/" goes to the first search or text field, as people of the keyboard expect. */
function searchByKey(event) {
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("main input[type=search], main input[type=text]");
  if (field) { event.preventDefault(); field.focus(); }
}

/** An open menu closes when one clicks elsewhere or presses Escape. */
function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (event.key === "Escape" || (event.type === "click" && !menu.contains(event.target))) menu.open = false;
  }
}

/** A form is sent once: a second click while it is on its way does nothing. */
function sendOnce(event) {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method === "post" && !event.defaultPrevented) form.dataset.sent = "yes";
}

addEventListener("keydown", (event) => { searchByKey(event); closeMenus(event); });
addEventListener("click", closeMenus);
addEventListener("submit", sendOnce);
addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent; });
listen();
