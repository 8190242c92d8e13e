"use strict";
(() => {
  const number = (text) => {
    const found = /[−-]?\d[\d,]*\.?\d*(?:e[−-]?\d+)?/.exec(text.replace(/^<\s*/, ""));
    return found ? Number(found[0].replaceAll("−", "-").replaceAll(",", "")) : NaN;
  };
  const value = (row, at) => row.cells[at]?.textContent.trim() ?? "";
  const sort = (table, at, falling) => {
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => row.cells.length > 1);
      const compared = (one, other) => {
        const [a, b] = [number(value(one, at)), number(value(other, at))];
        if (at === 0 || (Number.isNaN(a) && Number.isNaN(b))) return value(one, at).localeCompare(value(other, at));
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) ? 1e9 : -1e9;
        return a - b;
      };
      const order = (one, other) => {
        const found = compared(one, other);
        return Math.abs(found) === 1e9 ? found : (falling ? -found : found);
      };
      body.append(...rows.sort(order));
    }
  };
  document.querySelectorAll("table[data-sorts]").forEach((table) => {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorter";
      button.textContent = "↕";
      button.setAttribute("aria-label", `Sort by ${head.textContent.trim()}`);
      head.append(" ", button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) {
          other.removeAttribute("aria-sort");
          other.querySelector(".sorter").textContent = "↕";
        }
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        button.textContent = falling ? "↓" : "↑";
        sort(table, at, falling);
      });
    });
    const label = document.createElement("label");
    label.className = "filter";
    label.textContent = "Show rows with ";
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "a loss or a number";
    label.append(input);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const body of table.tBodies) {
        const group = body.rows[0]?.cells.length === 1 ? body.rows[0].textContent : "";
        for (const row of body.rows) {
          if (row.cells.length === 1) continue;
          const text = `${group} ${row.textContent}`.toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
        }
      }
    });
    (table.closest(".scroll") ?? table).before(label);
  });
})();
