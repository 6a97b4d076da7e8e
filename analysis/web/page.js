// Tables that sort by a click or a key on a header: ascending, descending, then the order they came in. Numbers sort as numbers,
// whatever stands behind them (`0.87 ± 0.01 (n=4)`, `12,345`), texts follow them, undefined values and final summary rows stay last.
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

  // Where a table leaves its first cells empty below the first of a group, a sorted one says them again.
  function fillDown(rows, sorted) {
    let above = "";
    for (const { cells: [first] } of rows) {
      if (!("blank" in first.dataset) && first.textContent === "") first.dataset.blank = above;
      else if (!("blank" in first.dataset)) above = first.textContent;
      if ("blank" in first.dataset) first.textContent = sorted ? first.dataset.blank : "";
    }
  }

  function sort(table, index, direction) {
    const body = table.tBodies[0];
    const original = [...body.rows].sort((a, b) => a.dataset.order - b.dataset.order);
    const summaries = original.filter((row) => row.classList.contains("summary"));
    const last = summaries.length === 1 || original.slice(-summaries.length).every((row) => summaries.includes(row)) ? summaries : [];
    fillDown(original, direction !== "none");
    const rows = original.map((row, order) => ({ row, order, last: last.includes(row), key: keyOf(row.cells[index].textContent.trim()) }));
    const sign = direction === "descending" ? -1 : 1;
    rows.sort((a, b) => (direction === "none" ? 0 : a.last - b.last || (a.last ? 0 : compare(a.key, b.key, sign))) || a.order - b.order);
    body.append(...rows.map(({ row }) => row));
  }

  function make(table) {
    const headers = [...table.tHead.rows[0].cells];
    [...table.tBodies[0].rows].forEach((row, order) => { row.dataset.order = order; });
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
