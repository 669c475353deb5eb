"use strict";
// What unfolds, sorts, filters and moves. All text goes into the page as text, never as HTML.

const find = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const make = (tag, text, className = "") => Object.assign(document.createElement(tag), { textContent: text, className });
document.documentElement.classList.add("script");

// What is read can be painted before any of this.
(window.requestIdleCallback ?? setTimeout)(start, { timeout: 200 });

function start() {
  light();
  memory();
  layers();
  accuracy();
  const json = unpack();
  json.then(JSON.parse).then(begin).catch((error) => {
    find("trouble").textContent = `The report in this page cannot be read (${error.message}): a newer browser may do it.`;
    find("trouble").hidden = false;
  });
  find("save").addEventListener("click", (event) => save(event, json));
}

// The report as it was embedded: zlib in base64.
async function unpack() {
  const bytes = Uint8Array.from(atob(find("report").textContent), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

function begin({ passes, code }) {
  slide(passes);
  find("rust").addEventListener("toggle", () => (find("rust").querySelector("code").textContent = code), { once: true });
  find("copy").addEventListener("click", () => copy(code));
  document.documentElement.dataset.ready = "";
  if (location.hash) document.querySelector(location.hash)?.scrollIntoView();
}

// Light and dark.
function light() {
  const theme = find("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const scheme = () => document.documentElement.style.colorScheme || (system.matches ? "dark" : "light");
  const otherScheme = () => (scheme() === "dark" ? "light" : "dark");
  const sayTheme = () => {
    theme.textContent = otherScheme();
    theme.setAttribute("aria-label", `${otherScheme()} colours`);
  };
  sayTheme();
  system.addEventListener("change", sayTheme);
  theme.addEventListener("click", () => {
    document.documentElement.style.colorScheme = otherScheme();
    sayTheme();
  });
}

// The passes.
function slide(passes) {
  const slider = find("pass");
  const buttons = all("[data-pass]");
  const show = (index) => {
    const pass = passes[index];
    slider.value = index;
    slider.setAttribute("aria-valuetext", `${pass.name}: ${pass.outcome}`);
    for (const [at, button] of buttons.entries()) {
      if (at === index) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    }
    const list = buttons[index].closest("ol");
    const row = buttons[index].parentElement;
    list.scrollTop = row.offsetTop - (list.clientHeight - row.offsetHeight) / 2;
    find("pass-name").textContent = pass.name;
    find("pass-summary").textContent = `To ${pass.summary}. ${pass.outcome}; ${pass.values} values after it.`;
    find("changes").replaceChildren(...lines(pass.changes));
    find("changes").scrollTop = 0;
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  for (const [index, button] of buttons.entries()) button.addEventListener("click", () => show(index));
  const first = passes.findIndex((pass) => pass.changes.some((change) => change.kind === "removed"));
  show(Math.max(first, 0));
}

function lines(changes) {
  if (changes.length === 0) return [make("div", "nothing to do")];
  const made = [];
  let block = null;
  for (const { block: of, name, kind, before = [], after = [] } of changes) {
    if (of !== block) made.push(make("h4", of));
    block = of;
    if (kind === "adjusted") {
      const line = make("div", "", "adjusted");
      const words = [...before.map((word) => ["-", word, "removed"]), ...after.map((word) => ["+", word, "added"])];
      line.append(`~ %${name}`, ...words.flatMap(([sign, word, className]) => [" ", make("span", sign + word, className)]));
      made.push(line);
    } else {
      for (const line of before) made.push(make("div", `- ${line}`, "removed"));
      for (const line of after) made.push(make("div", `+ ${line}`, "added"));
    }
  }
  return made;
}

// The memory plan: one buffer can be reached by Tab, the others from there by arrow keys.
function memory() {
  const boxes = all(".boxes button");
  const tip = find("tip");
  const show = (box) => {
    tip.textContent = box.getAttribute("aria-label");
    tip.hidden = false;
    const { left, right, bottom } = box.getBoundingClientRect();
    const middle = (left + right - tip.offsetWidth) / 2;
    const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = `${scrollX + Math.max(8, Math.min(middle, most))}px`;
    tip.style.top = `${scrollY + bottom + 8}px`;
  };
  const hide = () => (tip.hidden = true);
  for (const [index, box] of boxes.entries()) {
    box.tabIndex = index === 0 ? 0 : -1;
    box.addEventListener("pointerenter", () => show(box));
    box.addEventListener("pointerleave", hide);
    box.addEventListener("click", () => show(box));
    box.addEventListener("blur", hide);
    box.addEventListener("focus", () => {
      for (const other of boxes) other.tabIndex = other === box ? 0 : -1;
      show(box);
    });
    box.addEventListener("keydown", (event) => {
      const last = boxes.length - 1;
      const keys = { ArrowRight: index + 1, ArrowUp: index + 1, ArrowLeft: index - 1, ArrowDown: index - 1, Home: 0, End: last };
      if (event.key === "Escape") hide();
      if (!(event.key in keys)) return;
      event.preventDefault();
      boxes[Math.max(0, Math.min(last, keys[event.key]))].focus();
    });
  }
}

// Tables of accuracy begin with what is beyond its bound.
function accuracy() {
  for (const box of all("#verified .tall")) {
    const row = box.querySelector(".beyond");
    if (row) box.scrollTop = row.offsetTop - box.clientHeight / 2;
  }
}

// The layers: sorted by any column, filtered by any word.
function layers() {
  const table = find("table");
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) {
    const cell = (row) => row.cells[column].textContent;
    const number = (row) => Number(cell(row).replaceAll(/[,%]/g, "") || -1);
    const words = rows.some((row) => Number.isNaN(number(row)));
    const compare = words ? (a, b) => cell(a).localeCompare(cell(b), "en", { numeric: true }) : (a, b) => number(a) - number(b);
    head.querySelector("button").addEventListener("click", () => {
      // Numbers begin with the largest, words and steps with the first.
      const sorted = head.getAttribute("aria-sort") ?? (words || column === 0 ? "descending" : "ascending");
      const order = sorted === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      table.tBodies[0].append(...rows.toSorted((a, b) => sign * compare(a, b)));
    });
  }
  const filter = () => {
    const words = find("filter").value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    find("found").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };
  find("filter").addEventListener("input", filter);
  filter();
}

// The generated Rust, and the report as a file.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    find("copied").textContent = "copied";
  } catch {
    getSelection().selectAllChildren(find("rust").querySelector("code"));
    find("copied").textContent = "selected: the browser does not let this page copy";
  }
}

function save(event, json) {
  if (find("save").href.startsWith("blob:")) return;
  event.preventDefault();
  json.then((text) => {
    find("save").href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    find("save").click();
  });
}
