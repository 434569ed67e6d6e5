// What makes pages more convenient; each of them works without it.
import { ask } from "./ask.js";
import { follow } from "./live.js";

document.documentElement.classList.add("scripted");

// A select that goes into effect at once.
for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// "/" puts the cursor into the search box.
document.addEventListener("keydown", (event) => {
  const at = event.target;
  const writing = at instanceof HTMLElement && at.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey) return;
  const box = document.querySelector('[data-key="/"]');
  if (box) {
    event.preventDefault();
    box.focus();
  }
});

// A box above a list ticks all of it.
for (const all of document.querySelectorAll("input[data-all]")) {
  const boxes = () => all.form.querySelectorAll(`input[type="checkbox"][name="${CSS.escape(all.dataset.all)}"]`);
  all.hidden = false;
  all.addEventListener("change", () => boxes().forEach((box) => (box.checked = all.checked)));
}

// The short menu closes when something else is touched.
const short = document.querySelector("details.menu-box");
if (short) {
  document.addEventListener("click", (event) => {
    if (short.open && !short.contains(event.target)) short.open = false;
  });
}

// What can be copied.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const from = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(from.textContent.trim());
    button.textContent = "Copied";
  });
}

ask(document);
follow(document);
