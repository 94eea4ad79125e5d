// @ts-check
// The leaderboard's table: sort by a column, filter by model. Without it the table stands as it was written.
"use strict";

(() => {
  const table = document.getElementById("table");
  const filter = document.getElementById("filter");
  const reported = document.getElementById("reported-too");
  const controls = document.getElementById("controls");
  const shown = document.getElementById("shown");
  const body = table?.querySelector("tbody");
  if (!(table instanceof HTMLTableElement && body && controls && shown)) return;
  if (!(filter instanceof HTMLInputElement && reported instanceof HTMLInputElement)) return;
  const rows = [...body.rows];

  const show = () => {
    const words = filter.value.trim().toLowerCase();
    let seen = 0;
    for (const row of rows) {
      const name = (row.cells[0]?.textContent ?? "").toLowerCase();
      row.hidden = !name.includes(words) || (!reported.checked && row.classList.contains("reported"));
      if (!row.hidden) seen += 1;
    }
    shown.textContent = `${seen} of ${rows.length} rows`;
  };

  /** @param {number} column @param {boolean} numeric @param {boolean} down */
  const sort = (column, numeric, down) => {
    const key = (/** @type {HTMLTableRowElement} */ row) => row.cells[column]?.dataset.sort ?? "";
    const ordered = [...rows].sort((left, right) => {
      const [a, b] = [key(left), key(right)];
      if (a === "" || b === "") return Number(a === "") - Number(b === "");
      const order = numeric ? Number(a) - Number(b) : a.localeCompare(b, "en");
      return down ? -order : order;
    });
    body.append(...ordered);
  };

  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  heads.forEach((head, column) => {
    const numeric = head.dataset.numeric === "yes";
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : numeric;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(column, numeric, down);
    });
  });

  filter.addEventListener("input", show);
  reported.addEventListener("input", show);
  controls.hidden = false;
  show();
})();
