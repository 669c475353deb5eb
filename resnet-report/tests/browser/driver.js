// Clicks through every part of the page and tells the harness what was wrong. Faults are collected by watch.js.
(async () => {
  const root = document.documentElement;
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (what, condition) => {
    for (let tries = 0; tries < 1000; tries += 1) {
      if (condition()) return;
      await wait(20);
    }
    fault(`${what}: never happened`);
  };
  const expect = (what, holds) => holds || fault(what);

  const everything = async () => {
    await until("the report is read", () => "ready" in root.dataset);
    const dark = location.hash === "#dark";
    await until("the colour scheme of the frame", () => matchMedia("(prefers-color-scheme: dark)").matches === dark);
    look("as opened");
    names();
    passes();
    look("a pass");
    memory();
    layers();
    folds();
    look("all unfolded");
    await code();
    find("save").addEventListener("click", (event) => event.preventDefault());
    find("save").click();
    await until("the report is a file", () => find("save").href.startsWith("blob:"));
    const before = getComputedStyle(document.body).backgroundColor;
    find("theme").click();
    expect("the theme changes", getComputedStyle(document.body).backgroundColor !== before);
    look("the other theme");
  };

  function passes() {
    const slider = find("pass");
    const buttons = all("[data-pass]");
    expect("a button for each pass", buttons.length === Number(slider.max) + 1 && buttons.length > 5);
    for (const [index, button] of buttons.entries()) {
      const name = button.querySelector("b").textContent;
      slider.value = index;
      slider.dispatchEvent(new Event("input"));
      expect(`the slider shows ${name}`, find("pass-name").textContent === name && find("changes").textContent !== "");
    }
    for (const button of buttons) {
      button.click();
      expect("the button of a pass moves the slider", slider.value === button.dataset.pass);
    }
    buttons[all("[data-pass] b").findIndex((name) => name.textContent === "fold-batch-norm")].click();
    expect("lines have signs", /^- %/m.test(find("changes").innerText) && /^\+ %/m.test(find("changes").innerText));
  }

  function memory() {
    const boxes = all(".boxes button");
    const tip = find("tip");
    expect("boxes of memory", boxes.length > 5 && all(".boxes .at-peak").length > 0);
    boxes[0].focus();
    for (const box of boxes) {
      expect("arrow keys reach every buffer", document.activeElement === box);
      expect("a tooltip says what a buffer is", !tip.hidden && tip.textContent === box.getAttribute("aria-label"));
      box.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    }
    look("a tooltip");
    boxes.at(-1).blur();
    expect("a tooltip goes", tip.hidden);
    for (const box of boxes) {
      box.dispatchEvent(new PointerEvent("pointerenter"));
      box.click();
      box.dispatchEvent(new PointerEvent("pointerleave"));
    }
    expect("no tooltip stays", tip.hidden);
  }

  function layers() {
    const [rows, heads] = [[...find("table").tBodies[0].rows], [...find("table").tHead.rows[0].cells]];
    const column = (index) => [...find("table").tBodies[0].rows].map((row) => row.cells[index].textContent);
    for (const [index, head] of heads.entries()) {
      const button = head.querySelector("button");
      button.click();
      const [first, order] = [column(index), head.getAttribute("aria-sort")];
      button.click();
      expect(`${button.textContent} sorts both ways`, order !== null && head.getAttribute("aria-sort") !== order);
      const ends = (all) => [all[0], all.at(-1)].sort().join();
      expect(`${button.textContent} sorts`, ends(first) === ends(column(index)));
      expect("one column is sorted by", all("[aria-sort]").length === 1);
    }
    heads[8].querySelector("button").click();
    const times = column(8).map((text) => Number(text.replaceAll(",", "")));
    expect("times fall", heads[8].getAttribute("aria-sort") === "descending" && times.every((time, at) => at === 0 || time <= times[at - 1]));
    const type = (text) => {
      find("filter").value = text;
      find("filter").dispatchEvent(new Event("input"));
      return rows.filter((row) => row.offsetHeight > 0).length;
    };
    const found = [type("conv"), type("there is no such layer"), type("")];
    expect(`a filter finds layers: ${found}`, found[0] > 5 && found[1] === 0 && found[2] === rows.length);
  }

  function folds() {
    for (const summary of all("summary")) {
      const fold = summary.parentElement;
      const open = fold.open;
      summary.click();
      expect("a fold turns", fold.open !== open);
      fold.open = true;
    }
  }

  async function code() {
    await until("the Rust is shown", () => find("rust").querySelector("code").textContent.includes("impl Network"));
    find("copy").click();
    await until("the page says that it copied", () => find("copied").textContent === "copied");
    expect("the Rust is copied", clipboard === find("rust").querySelector("code").textContent);
  }

  // Everything that can be used has a name, and every name of a part is its own.
  function names() {
    for (const element of all("button, input, summary, a, [role=region], [role=group]")) {
      const label = element.labels?.[0]?.textContent ?? "";
      const by = document.getElementById(element.getAttribute("aria-labelledby"))?.textContent ?? "";
      const name = element.getAttribute("aria-label") ?? (label + by + element.textContent);
      expect(`a name for ${element.outerHTML.slice(0, 80)}`, name.trim() !== "");
    }
    const ids = all("[id]").map((element) => element.id);
    expect("ids are unique", new Set(ids).size === ids.length);
    for (const link of all("a[href^='#']")) {
      const to = link.getAttribute("href").slice(1);
      expect(`${to} is there`, to === "" || document.getElementById(to));
    }
  }

  // No scrollbar of the page, and contrast.
  function look(when) {
    expect(`${when}: ${root.scrollWidth} px wide in ${root.clientWidth}`, root.scrollWidth <= root.clientWidth);
    // Only the outermost box that scrolls is looked at: what is in it may be as wide as it likes.
    const beyond = all("body *").filter((element) => {
      const scrolls = element.parentElement.closest(".wide");
      return !scrolls && element.getBoundingClientRect().right > root.clientWidth + 1;
    });
    for (const element of beyond.slice(0, 3)) fault(`${when}: beyond the edge: ${element.outerHTML.slice(0, 80)}`);
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const low = new Map();
    while (texts.nextNode()) {
      const { data, parentElement: element } = texts.currentNode;
      if (data.trim() === "" || !element.checkVisibility() || element.getClientRects().length === 0) continue;
      const style = getComputedStyle(element);
      const behind = background(element);
      const paint = element instanceof SVGElement ? style.fill : style.color;
      const ratio = contrast(over(color(paint), behind), behind);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (large ? 3 : 4.5)) low.set(`${element.tagName}.${element.getAttribute("class") ?? ""} ${ratio.toFixed(2)}`, data.trim().slice(0, 30));
    }
    for (const [where, text] of low) fault(`${when}: contrast of ${where} "${text}"`);
  }

  // What is painted behind an element: of a diagram's shapes before it the last one that holds its middle, else its ancestors.
  function background(element) {
    const layers = [];
    const diagram = element instanceof SVGElement && element.closest("svg");
    if (diagram) {
      const { left, right, top, bottom } = element.getBoundingClientRect();
      const [x, y] = [(left + right) / 2, (top + bottom) / 2];
      const shapes = [...diagram.querySelectorAll("rect, path, polygon, circle, ellipse")].filter((shape) => {
        const box = shape.getBoundingClientRect();
        const before = shape.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING;
        return before && box.left <= x && x <= box.right && box.top <= y && y <= box.bottom && getComputedStyle(shape).fill !== "none";
      });
      layers.push(...shapes.reverse().map((shape) => color(getComputedStyle(shape).fill)));
    }
    for (let at = diagram || element; at; at = at.parentElement) layers.push(color(getComputedStyle(at).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  }

  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  function color(text) {
    if (!known.has(text)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = text;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
      known.set(text, [red, green, blue, alpha / 255]);
    }
    return known.get(text);
  }
  const over = ([r, g, b, alpha], below) => [...[r, g, b].map((part, index) => part * alpha + below[index] * (1 - alpha)), 1];
  const luminance = (paint) => {
    const [r, g, b] = paint.slice(0, 3).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  function contrast(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  await everything().catch((error) => fault(`${error.message} ${error.stack}`));
  parent.postMessage([...new Set(faults)], "*");
})();
