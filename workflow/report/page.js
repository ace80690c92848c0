"use strict";
// Sort a table by a click on the name of a column, filter it by group, enlarge an image.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = row => row.cells[head.cellIndex].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        return x !== "" && y !== "" && !isNaN(x) && !isNaN(y) ? x - y : x.localeCompare(y);
      });
      body.append(...(descending ? rows.reverse() : rows));
    });
  }
}
for (const select of document.querySelectorAll("select[data-table]")) {
  select.addEventListener("change", () => {
    for (const row of document.getElementById(select.dataset.table).tBodies[0].rows) {
      row.hidden = select.value !== "" && row.dataset.group !== select.value;
    }
  });
}
const lightbox = document.getElementById("lightbox");
for (const button of document.querySelectorAll("button.zoom")) {
  button.addEventListener("click", () => {
    const images = [...button.querySelectorAll("img")].map(image => image.cloneNode());
    lightbox.replaceChildren(...images);
  });
}
