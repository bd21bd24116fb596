// The print page: a drop zone with a progress bar and a stop button, and colours that follow the chosen material.

const form = document.getElementById("upload");
if (form) {
  const file = form.querySelector("#file");
  const zone = form.querySelector(".drop");
  const message = form.querySelector("#upload-said");
  const bar = form.querySelector("#upload-progress");
  const measuring = form.querySelector("[data-measuring]");
  form.querySelector("[data-plain]").hidden = true;
  form.querySelector("[data-choose]").hidden = false;
  form.classList.add("quick");

  const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
  const show = (node, visible) => { node.hidden = !visible; };
  const showError = (text) => {
    const line = document.createElement("p");
    line.className = "error";
    line.textContent = text;
    message.replaceChildren(line);
  };

  /** Send the file with its progress, then go to its page or show why it was refused. */
  const send = (upload) => {
    message.replaceChildren();
    if (upload.size > Number(form.dataset.limitMb) * 1e6) { showError(form.dataset.tooLarge); return; }
    // Not fetch: only XMLHttpRequest reports the progress of an upload.
    const request = new XMLHttpRequest();
    const body = new FormData(form);
    body.set("file", upload);
    show(bar, true);
    const reset = () => { show(bar, false); show(measuring, false); file.value = ""; };
    bar.querySelector("[data-stop]").onclick = () => request.abort();
    request.upload.onprogress = (event) => {
      if (!event.lengthComputable) return;
      const part = event.loaded / event.total;
      bar.querySelector("progress").value = part;
      bar.querySelector("b").textContent = percent.format(Math.floor(part * 100) / 100);
      show(measuring, part === 1);
    };
    request.onload = () => {
      const target = request.getResponseHeader("HX-Redirect");
      if (target) { location.assign(target); return; }
      reset();
      if (request.status >= 500 || !request.responseText) showError(form.dataset.broken);
      else message.innerHTML = request.responseText; // A fragment of our own, which the server has escaped.
    };
    request.onerror = () => { reset(); showError(form.dataset.broken); };
    request.onabort = reset;
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

/** Fetch the form again with what is chosen: another material has other colours. */
async function fetchColours(choices) {
  // The query is part of an address, which logs and histories keep: no token and no note in it.
  const query = new URLSearchParams([...new FormData(choices)].filter(([name]) => !["csrf", "note"].includes(name)));
  await window.htmx.ajax("GET", `${choices.action}?${query}`, { target: "#choices", select: "#choices", swap: "outerHTML" });
  document.querySelector("#choices input[name=material]:checked")?.focus();
}
