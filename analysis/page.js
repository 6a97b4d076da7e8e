// Tables that sort by a click or a key on a header: ascending, descending, then the order they came in. Numbers sort as numbers,
// whatever stands behind them (`0.87 ± 0.01 (n=4)`, `12,345`), texts follow them, undefined values and summary rows stay last.
"use strict";
{
  const NUMBER = /^[<>≤≥]?\s*([+\-−]?)(\d[\d,]*(?:\.\d+)?(?:e[+\-]?\d+)?)(?![\w.])/i;
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
  const natural = new Intl.Collator("en", { numeric: true });

  function keyOf(text) {
    const found = NUMBER.exec(text);
    if (found) return { kind: 0, value: Number(found[2].replaceAll(",", "")) * (found[1] && found[1] !== "+" ? -1 : 1) };
    return text === "" || /^–/.test(text) ? { kind: 2, value: 0 } : { kind: 1, value: text };
  }

  function compare(a, b, sign) {
    if (a.kind !== b.kind) return a.kind - b.kind;
    return sign * (a.kind === 1 ? natural.compare(a.value, b.value) : a.value - b.value);
  }

  function sort(table, index, direction) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, order) => {
      row.dataset.order ??= order;
      const key = keyOf(row.cells[index].textContent.trim());
      return { row, key, order: Number(row.dataset.order), last: row.classList.contains("summary") };
    });
    const sign = direction === "descending" ? -1 : 1;
    rows.sort((a, b) => (direction === "none" ? 0 : a.last - b.last || (a.last ? 0 : compare(a.key, b.key, sign))) || a.order - b.order);
    body.append(...rows.map(({ row }) => row));
  }

  function make(table) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, index) => {
      const button = document.createElement("button");
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const direction = NEXT[header.getAttribute("aria-sort")];
        headers.forEach((other) => other.setAttribute("aria-sort", "none"));
        header.setAttribute("aria-sort", direction);
        sort(table, index, direction);
      });
    });
  }

  document.querySelectorAll("table").forEach((table) => {
    if (table.tHead && table.tBodies.length === 1 && table.tBodies[0].rows.length > 1) make(table);
  });
}
