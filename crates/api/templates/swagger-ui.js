// Swagger UI leaves some of its controls without a name and some of its boxes out of reach of the keyboard. This gives
// them both, as they appear: they are made anew with every operation that is unfolded.
const names = [
  [".close-modal", "Close"],
  [".copy-to-clipboard > button", "Copy"],
  [".body-param__text", "Request body"],
  [".examples-select-element", "Example"],
];

function mend() {
  for (const [selector, name] of names) {
    for (const element of document.querySelectorAll(`${selector}:not([aria-label])`)) {
      element.setAttribute("aria-label", name);
    }
  }
  for (const row of document.querySelectorAll("tr[data-param-name]")) {
    for (const field of row.querySelectorAll(":is(input, select, textarea):not([aria-label])")) {
      field.setAttribute("aria-label", row.dataset.paramName);
    }
  }
  for (const box of document.querySelectorAll("pre.microlight:not([tabindex])")) {
    box.tabIndex = 0;
  }
  // What is read aloud is to be what is written on the button.
  for (const button of document.querySelectorAll(".auth-btn-wrapper [aria-label]")) {
    button.removeAttribute("aria-label");
  }
}

new MutationObserver(mend).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });
