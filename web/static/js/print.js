// The print page: a drop zone with a progress bar and a stop, and choices that keep each other right.

const form = document.getElementById("upload");
if (form) {
  const file = form.querySelector("#file");
  const zone = form.querySelector(".drop");
  const said = form.querySelector("#upload-said");
  const bar = form.querySelector("#upload-progress");
  const measuring = form.querySelector("[data-measuring]");
  form.querySelector("[data-plain]").hidden = true;
  form.querySelector("[data-choose]").hidden = false;
  form.classList.add("quick");

  const show = (node, visible) => { node.hidden = !visible; };
  const complain = (text) => {
    const line = document.createElement("p");
    line.className = "error";
    line.textContent = text;
    said.replaceChildren(line);
  };

  /** Sends the file, tells how far it is, then goes to its page or shows why it was refused. */
  const send = (chosen) => {
    said.replaceChildren();
    if (chosen.size > Number(form.dataset.limitMb) * 1e6) { complain(form.dataset.tooLarge); return; }
    const request = new XMLHttpRequest();
    const body = new FormData(form);
    body.set("file", chosen);
    show(bar, true);
    const idle = () => { show(bar, false); show(measuring, false); file.value = ""; };
    bar.querySelector("[data-stop]").onclick = () => request.abort();
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      const part = event.loaded / event.total;
      bar.querySelector("progress").value = part;
      bar.querySelector("b").textContent = `${Math.floor(part * 100)} %`;
      show(measuring, part === 1);
    };
    request.onload = () => {
      const target = request.getResponseHeader("HX-Redirect");
      if (target) { location.assign(target); return; }
      idle();
      if (request.status >= 500 || !request.responseText) complain(form.dataset.broken);
      else said.innerHTML = request.responseText; // our own fragment, escaped by the server
    };
    request.onerror = () => { idle(); complain(form.dataset.broken); };
    request.onabort = idle;
    request.open("POST", form.action);
    request.setRequestHeader("HX-Request", "true");
    request.send(body);
  };

  file.addEventListener("change", () => { if (file.files.length) send(file.files[0]); });
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
  // A file dropped beside the zone must not replace the page.
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => event.preventDefault());
}

document.addEventListener("change", (event) => {
  const choices = event.target.closest("#choices");
  if (!choices) return;
  if (event.target.dataset.hex) document.dispatchEvent(new CustomEvent("shade", { detail: event.target.dataset.hex }));
  if (event.target.name === "material") fetchColours(choices);
});

/** Another material has other colours: the form is fetched again, with what was chosen. */
async function fetchColours(choices) {
  const asked = new URLSearchParams([...new FormData(choices)].filter(([name]) => !["csrf", "note"].includes(name)));
  await window.htmx.ajax("GET", `${choices.action}?${asked}`, { target: "#choices", select: "#choices", swap: "outerHTML" });
  document.querySelector("#choices input[name=material]:checked")?.focus();
}
