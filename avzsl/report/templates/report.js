"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const all = (selector, from) => Array.from((from || document).querySelectorAll(selector));

  // ---- theme -------------------------------------------------------------------------------------------------
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  let printing = false; // paper is white whatever the screen is
  const dark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const palettes = {
    light: ["#0072B2", "#D55E00", "#009E73", "#AA4499", "#B07D00", "#3A9BD9", "#6B4C9A", "#555555"],
    dark: ["#56B4E9", "#FF9A4D", "#2FC79A", "#E39BCB", "#F0E442", "#8FB8FF", "#C9A0FF", "#C8C8C8"],
  };
  function colours() {
    const night = dark();
    const named = night
      ? { fg: "#e6e9ec", muted: "#a3adb8", grid: "#353d46", good: "#2FC79A", bad: "#FF9A8F" }
      : { fg: "#1c2126", muted: "#59636e", grid: "#dfe4e8", good: "#009E73", bad: "#B3261E" };
    palettes[night ? "dark" : "light"].forEach((value, index) => { named["c" + index] = value; });
    return named;
  }
  // Colours in a figure are names; everything else is copied as it is.
  function resolve(value, named, key) {
    if (Array.isArray(value)) return value.map((item) => resolve(item, named, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, named, k)]));
    }
    return typeof value === "string" && key === "color" && value in named ? named[value] : value;
  }

  // ---- figures: drawn when they come near the window ---------------------------------------------------------
  const drawn = new Set();
  function spec(figure, narrow) {
    const named = colours();
    const axisStyle = { gridcolor: named.grid, zerolinecolor: named.grid, linecolor: named.grid, automargin: true };
    const layout = resolve(figure.layout, named, "");
    const merged = Object.assign(
      {
        height: figure.height, margin: { l: 56, r: 12, t: 30, b: narrow ? 110 : 84 }, paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)", font: { color: named.fg, size: narrow ? 11 : 12, family: "system-ui, sans-serif" },
        hoverlabel: { align: "left" }, hovermode: "closest", modebar: { bgcolor: "rgba(0,0,0,0)", color: named.muted, activecolor: named.fg },
        legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0 },
      },
      layout
    );
    for (const key of Object.keys(merged)) {
      if (/^[xy]axis/.test(key)) merged[key] = Object.assign({}, axisStyle, merged[key]);
    }
    merged.xaxis = merged.xaxis || axisStyle;
    merged.yaxis = merged.yaxis || axisStyle;
    return { data: resolve(figure.data, named, ""), layout: merged };
  }
  function draw(node) {
    // Paper has the width of a page whatever the window had; what is beside it there, the style says.
    const paper = node.closest(".thirds") ? 330 : Math.min(680, Number.parseInt(node.style.maxWidth, 10) || 680);
    const narrow = (printing ? paper : node.clientWidth) < 480;
    const made = spec(data.figures[node.dataset.figure], narrow);
    if (printing) made.layout.width = paper;
    else made.layout.autosize = true;
    const done = Plotly.react(node, made.data, made.layout, {
      responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      displayModeBar: narrow ? false : "hover",
    });
    if (!drawn.has(node)) {
      node.on("plotly_click", (event) => {
        const clip = event.points[0] && event.points[0].customdata;
        if (clip !== undefined) openClip(clip);
      });
    }
    drawn.add(node);
    return done;
  }
  // ---- a figure as a file: SVG in the colours of paper, its numbers as CSV -------------------------------------
  function save(name, content) {
    const link = document.createElement("a");
    link.href = content;
    link.download = name;
    link.click();
  }
  function numbers(figure) {
    const rows = [["series", "x", "y", "value", "text"]];
    for (const trace of figure.data) {
      const name = trace.name || "";
      if (trace.z) {
        trace.z.forEach((line, i) => line.forEach((value, j) => rows.push([name, trace.x[j], trace.y[i], value, ""])));
      } else {
        const many = Math.max((trace.x || []).length, (trace.y || []).length);
        for (let i = 0; i < many; i++) {
          const text = Array.isArray(trace.text) ? trace.text[i] : "";
          rows.push([name, (trace.x || [])[i], (trace.y || [])[i], "", text]);
        }
      }
    }
    const plain = (text) => new DOMParser().parseFromString(String(text), "text/html").body.textContent;
    // A cell that a spreadsheet would take for a formula gets a quote before it.
    const safe = (text) => (/^[=+@\t]|^-(?![\d.])/.test(text) ? "'" + text : text);
    const cell = (value) => {
      if (value === null || value === undefined) return "";
      const text = typeof value === "number" ? String(value) : safe(plain(value));
      return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
    };
    return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }
  all("button[data-save]").forEach((button) => button.addEventListener("click", async () => {
    const name = button.dataset.of;
    const figure = data.figures[name];
    if (button.dataset.save === "csv") {
      save(name + ".csv", "data:text/csv;charset=utf-8," + encodeURIComponent(numbers(figure)));
      return;
    }
    const before = printing;
    printing = true;
    const made = spec(figure, false);
    printing = before;
    if (made.layout.showlegend === false && figure.data.length > 1) {
      made.layout.showlegend = true;
      delete made.layout.margin;
    }
    save(name + ".svg", await Plotly.toImage(made, { format: "svg", width: 800, height: Math.max(figure.height, 400) }));
  }));
  const plots = all(".plot");
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) {
        draw(entry.target);
        watcher.unobserve(entry.target);
      }
    }
  }, { rootMargin: "400px" });
  // plotly.js is packed: unpacked after the rest works, it halves the page. The page's policy knows its hash.
  async function unpackPlotly() {
    const packed = document.getElementById("plotly");
    const bytes = Uint8Array.from(atob(packed.textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    script.remove();
    packed.textContent = "";
    plots.forEach((node) => watcher.observe(node));
    root.dataset.figures = "yes";
  }
  unpackPlotly();
  const redraw = () => drawn.forEach((node) => draw(node));
  system.addEventListener("change", redraw);
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    redraw();
  });
  window.addEventListener("beforeprint", () => {
    printing = true;
    if (root.dataset.figures) plots.forEach(draw);
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    redraw();
  });

  // ---- which benchmark is shown ------------------------------------------------------------------------------
  const picker = document.getElementById("benchmark");
  const parts = all(".benchmark");
  function show(name) {
    parts.forEach((part) => { part.hidden = Boolean(name) && part.dataset.benchmark !== name; });
    const target = name || (parts[0] && parts[0].dataset.benchmark);
    all("a[data-section]").forEach((link) => { link.href = "#" + link.dataset.section + "-" + target; });
  }
  if (picker) picker.addEventListener("change", () => show(picker.value));
  show(picker ? picker.value : "");

  // ---- dialog ------------------------------------------------------------------------------------------------
  const dialog = document.getElementById("dialog");
  function open(title, body) {
    document.getElementById("dialog-title").textContent = title;
    document.getElementById("dialog-body").replaceChildren(body);
    dialog.showModal();
  }
  // ---- clips -------------------------------------------------------------------------------------------------
  const clips = data.clips;
  function openClip(number) {
    const clip = clips[number];
    const body = document.createElement("div");
    const add = (tag, content) => {
      const node = document.createElement(tag);
      if (content) node.textContent = content;
      body.append(node);
      return node;
    };
    if (clip.video) {
      const video = add("video");
      video.controls = true;
      video.src = clip.video;
      add("p", "The first seconds, small.");
    } else {
      if (clip.picture) add("img").src = clip.picture;
      add("p", clip.file ? "No preview on this page." : "Its media were not kept.");
    }
    if (clip.spectrogram) {
      const image = add("img");
      image.src = clip.spectrogram;
      image.alt = "spectrogram";
    }
    add("p", "Clip " + clip.id);
    if (clip.file) {
      const link = document.createElement("a");
      link.href = clip.file;
      link.textContent = "Open the file";
      add("p").append(link);
    }
    open(clip.class, body);
  }
  all(".clip").forEach((button) => {
    const clip = clips[Number(button.dataset.clip)];
    const image = button.querySelector("img");
    const source = clip[image.dataset.picture];
    if (source) {
      image.src = source;
      image.hidden = false;
    }
    button.addEventListener("click", () => openClip(Number(button.dataset.clip)));
  });
  document.getElementById("dialog").addEventListener("close", () => all("dialog video").forEach((video) => video.pause()));
  all("[data-card]").forEach((button) => button.addEventListener("click", () => {
    const area = document.createElement("textarea");
    area.readOnly = true;
    area.setAttribute("aria-label", "Croissant JSON-LD");
    const card = all("script[data-croissant]").find((node) => node.dataset.croissant === button.dataset.card);
    area.value = JSON.stringify(JSON.parse(card.textContent), null, 2);
    open("Data card of " + button.dataset.card, area);
  }));
  const say = (text) => { document.getElementById("said").textContent = text; };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-explain]");
    if (!button) return;
    const template = document.getElementById("explain-" + button.dataset.explain);
    open("How this number was tested", template.content.cloneNode(true));
  });

  // ---- tables: sort, filter, copy ----------------------------------------------------------------------------
  const text = (cell) => (cell ? cell.textContent.trim().replace(/\s+/g, " ") : "");
  function value(row, column) {
    const cell = row.cells[column];
    const stated = cell && cell.dataset.sort;
    const shown = stated !== undefined ? stated : text(cell);
    const number = Number.parseFloat(shown.replace("−", "-"));
    return Number.isNaN(number) || !/^[-+−]?[\d.]/.test(shown) ? shown.toLowerCase() : number;
  }
  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    rows.sort((a, b) => {
      const x = value(a, column), y = value(b, column);
      const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
      return direction === "ascending" ? order : -order;
    });
    body.append(...rows);
    Array.from(table.tHead.rows[0].cells).forEach((cell, index) => {
      cell.setAttribute("aria-sort", index === column ? direction : "none");
    });
    say("sorted by " + text(table.tHead.rows[0].cells[column]) + ", " + direction);
  }
  all("table.sortable").forEach((table) => {
    Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...cell.childNodes);
      cell.append(button);
      cell.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const numeric = cell.classList.contains("n");
        const now = cell.getAttribute("aria-sort");
        const first = numeric ? "descending" : "ascending";
        const second = numeric ? "ascending" : "descending";
        sort(table, column, now === first ? second : first);
      });
    });
  });

  // Narrow windows show the rows as cards, without a head to select: a list of columns takes its place.
  const board = document.getElementById("board");
  const order = document.getElementById("order");
  order.addEventListener("change", () => {
    const column = Number(order.value);
    sort(board, column, board.tHead.rows[0].cells[column].classList.contains("n") ? "descending" : "ascending");
  });
  const filter = document.getElementById("filter");
  const selects = all("select[data-filter]");
  function applyFilter() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    Array.from(board.tBodies[0].rows).forEach((row) => {
      const inText = words.every((word) => text(row).toLowerCase().includes(word));
      const inSelects = selects.every((s) => !s.value || row.dataset[s.dataset.filter] === s.value);
      row.hidden = !(inText && inSelects);
      if (!row.hidden) shown += 1;
    });
    say(shown + " rows shown");
  }
  filter.addEventListener("input", applyFilter);
  selects.forEach((s) => s.addEventListener("change", applyFilter));

  function boardRows() {
    const head = Array.from(board.tHead.rows[0].cells).slice(0, 7).map(text);
    const rows = Array.from(board.tBodies[0].rows).filter((row) => !row.hidden).map((row) =>
      Array.from(row.cells).slice(0, 7).map((cell) =>
        cell.dataset.mean === undefined ? { name: text(cell) } : {
          mean: cell.dataset.mean, std: cell.dataset.std && cell.dataset.std !== "–" ? cell.dataset.std : "", best: cell.dataset.best === "1",
        }));
    return { head, rows };
  }
  const latex = (name) => name.replace(/[\\{}$&#^_%~]/g, (c) => ({
    "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}",
  }[c] || "\\" + c));
  const formats = {
    latex({ head, rows }) {
      const cell = (c) => {
        if (c.name !== undefined) return latex(c.name);
        const number = c.best ? "\\mathbf{" + c.mean + "}" : c.mean;
        return "$" + number + (c.std ? " \\pm " + c.std : "") + "$";
      };
      return ["\\begin{tabular}{lllrrrr}", "\\hline", head.map(latex).join(" & ") + " \\\\", "\\hline",
        ...rows.map((row) => row.map(cell).join(" & ") + " \\\\"), "\\hline", "\\end{tabular}"].join("\n");
    },
    markdown({ head, rows }) {
      const cell = (c) => {
        if (c.name !== undefined) return c.name.replace(/\|/g, "\\|");
        return (c.best ? "**" + c.mean + "**" : c.mean) + (c.std ? " ± " + c.std : "");
      };
      const line = (cells) => "| " + cells.join(" | ") + " |";
      return [line(head), "|---|---|---|---:|---:|---:|---:|", ...rows.map((row) => line(row.map(cell)))].join("\n");
    },
    csv({ head, rows }) {
      const quote = (s) => (/[",\n]/.test(s) ? '"' + s.replace(/"/g, '""') + '"' : s);
      const names = head.flatMap((name, i) => (i < 3 ? [name] : [name + " mean", name + " std"]));
      const cells = (row) => row.flatMap((c) => (c.name !== undefined ? [quote(c.name)] : [c.mean, c.std || ""]));
      return [names.map(quote).join(","), ...rows.map((row) => cells(row).join(","))].join("\n");
    },
  };
  all("[data-copy]").forEach((button) => button.addEventListener("click", () => {
    const area = document.createElement("textarea");
    area.readOnly = true;
    area.setAttribute("aria-label", "The table as " + button.textContent);
    area.value = formats[button.dataset.copy](boardRows());
    open("The table as " + button.textContent, area);
    area.select();
    // The clipboard may be closed to pages from files; the text is there to be copied by hand.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(area.value) : Promise.reject(new Error("none"));
    copied.then(() => say("copied"), () => say("press Ctrl+C to copy"));
  }));

  // ---- tabs --------------------------------------------------------------------------------------------------
  all("[data-tabs]").forEach((group) => {
    const tabs = all('[role="tab"]', group);
    const choose = (tab, focus) => {
      tabs.forEach((other) => {
        const on = other === tab;
        other.setAttribute("aria-selected", String(on));
        other.tabIndex = on ? 0 : -1;
        document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
      });
      if (focus) tab.focus();
    };
    tabs.forEach((tab, index) => {
      tab.addEventListener("click", () => choose(tab, false));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) choose(tabs[(index + step + tabs.length) % tabs.length], true);
        else if (event.key === "Home") choose(tabs[0], true);
        else if (event.key === "End") choose(tabs[tabs.length - 1], true);
      });
    });
    if (tabs.length) choose(tabs[0], false);
  });
  root.dataset.ready = "yes";
})();
