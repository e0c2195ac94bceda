// Buttons that copy, and tables that a reader may sort. Without it both are as they were written.
"use strict";
(() => {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const text = document.getElementById(button.dataset.copy);
    const label = button.textContent;
    const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = label; }, 1500); };
    const select = () => { getSelection().selectAllChildren(text); if (document.execCommand("copy")) done(); };
    button.hidden = false;
    button.addEventListener("click", () => {
      if (navigator.clipboard) navigator.clipboard.writeText(text.textContent).then(done, select);
      else select();
    });
  }

  // A table of many results is sorted by a column: least first, greatest first, as it was. What is no number comes last, by
  // its letters.
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const given = [...body.rows];
    const heads = [...table.tHead.rows[0].cells].filter((head) => head.localName === "th");
    const sorted = (head, sign) => {
      const words = new Map(given.map((row) => [row, row.cells[head.cellIndex].textContent]));
      return [...given].sort((one, other) => {
        const [a, b] = [one, other].map((row) => Number.parseFloat(words.get(row)));
        if (Number.isNaN(a) && Number.isNaN(b)) return sign * words.get(one).localeCompare(words.get(other));
        return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : sign * (a - b);
      });
    };
    for (const head of heads) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        if (next) head.setAttribute("aria-sort", next);
        body.append(...(next ? sorted(head, next === "ascending" ? 1 : -1) : given));
      });
    }
  }
})();
