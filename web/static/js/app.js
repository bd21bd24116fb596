// On every page: htmx, and live parts that are fetched again when the server says that their subject changed.
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

/** One stream for all live parts of the page; while it is down, they are fetched every few seconds instead. */
function listen() {
  const about = [...new Set(liveParts().flatMap(subjectsOf))];
  if (!about.length) return;
  let polling = null;
  const startPolling = () => { polling ??= setInterval(refresh, POLL_MS); };
  const stopPolling = () => { clearInterval(polling); polling = null; };
  const stream = new EventSource(`/live?about=${encodeURIComponent(about.join(","))}`);
  let wasDown = false;
  // What changed while the stream was down was not sent, so all parts are fetched once.
  stream.onopen = () => { stopPolling(); if (wasDown) refresh(); wasDown = false; };
  stream.onerror = () => { wasDown = true; startPolling(); };
  stream.addEventListener("changed", (event) => refresh(event.data));
  // A page that is kept for the back button would else keep its connection, too.
  addEventListener("pagehide", () => stream.close());
}

/** "/" focuses the first search or text field of the page. */
function focusSearch(event) {
  if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const field = document.querySelector("main input[type=search], main input[type=text]");
  if (field) { event.preventDefault(); field.focus(); }
}

/** Close open menus on a click elsewhere and on Escape. */
function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (event.key === "Escape" || (event.type === "click" && !menu.contains(event.target))) menu.open = false;
  }
}

/** Send a form once: a second click while it is on its way does nothing. */
function sendOnce(event) {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method === "post" && !event.defaultPrevented) form.dataset.sent = "yes";
}

addEventListener("keydown", (event) => { focusSearch(event); closeMenus(event); });
addEventListener("click", closeMenus);
addEventListener("submit", sendOnce);
// The back button may show the page as it was left, with its forms marked as sent.
addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent; });
listen();
