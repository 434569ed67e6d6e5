// Asks in a dialog what would otherwise be asked on a page of its own.

export function ask(root) {
  for (const form of root.querySelectorAll("form")) {
    if (!form.querySelector("[data-ask]")) continue;
    form.addEventListener("submit", (event) => {
      if (!event.submitter || !("ask" in event.submitter.dataset)) return;
      event.preventDefault();
      show(form, event.submitter);
    });
  }
}

async function show(form, button) {
  const action = button.getAttribute("formaction") || form.getAttribute("action") || location.href;
  const values = new FormData(form, button);
  let question = null;
  try {
    const answer = await fetch(action, {
      method: "POST",
      body: new URLSearchParams(values),
      headers: { accept: "text/html" },
      redirect: "error",
    });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      question = page.getElementById("confirm");
    }
  } catch {
    question = null;
  }
  if (!question) {
    // The page of its own, then, or what is wrong.
    const plain = document.createElement("input");
    plain.type = "hidden";
    if (button.name) {
      plain.name = button.name;
      plain.value = button.value;
      form.append(plain);
    }
    if (button.hasAttribute("formaction")) form.action = action;
    HTMLFormElement.prototype.submit.call(form);
    return;
  }
  const dialog = document.createElement("dialog");
  const title = question.querySelector("h1");
  title.id = "dialog-title";
  dialog.setAttribute("aria-labelledby", title.id);
  const inner = document.importNode(question, true);
  inner.id = "";
  const again = inner.querySelector("form");
  again.setAttribute("action", action);
  inner.querySelector("[data-close]")?.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.append(inner);
  dialog.addEventListener("close", () => {
    dialog.remove();
    button.focus();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  // Enter must not destroy anything by accident.
  inner.querySelector("[data-close]")?.focus();
}
