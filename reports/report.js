"use strict";
// Makes the table of files one that can be searched, ordered and opened. Without it the page shows its first rows.
// Every text is set as text, never as markup; nothing is fetched; the state is kept after the # of the address.
(() => {
  const block = document.getElementById("files-data");
  const table = document.querySelector("#files table");
  if (!block || !table) return;
  const data = JSON.parse(block.textContent);
  const PRINTED = 2000;
  const LONGEST_ID = 30;

  // --- reading the columns ---

  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
  for (const one of Object.values(data.columns)) {
    if (typeof one.codes !== "string") continue;
    const codes = new Uint8Array(data.count);
    for (let i = 0; i < data.count; i += 1) codes[i] = DIGITS.indexOf(one.codes[i]);
    one.codes = codes;
  }
  const column = (name) => data.columns[name];
  const text = (name, i) => {
    const one = column(name);
    if (one === undefined) return "";
    return one.texts ? one.texts[i] : one.words[one.codes[i]];
  };
  const number = (name, i) => (column(name) ? column(name).numbers[i] : null);
  // Seconds since 1970; the data holds them relative to as_of.
  const seconds = (name, i) => {
    const one = column(name);
    return one === undefined || one.seconds[i] === null ? null : one.seconds[i] + data.asOf;
  };
  const fraction = (name, i) => (column(name).fractions ? column(name).fractions[i] : 0);
  const thousands = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const sentence = (words) => words.slice(0, 1).toUpperCase() + words.slice(1);
  const spaced = (code) => code.replaceAll("_", " ");
  const many = (n, noun) => `${thousands(n)} ${noun}${n === 1 ? "" : "s"}`;

  const iso = (s) => new Date(s * 1000).toISOString();
  const clock = (name, i) => (seconds(name, i) === null ? "" : iso(seconds(name, i)).slice(0, 19).replace("T", " "));
  const exact = (name, i) => {
    const s = seconds(name, i);
    if (s === null) return "";
    const part = fraction(name, i);
    const tail = part ? "." + String(part).padStart(9, "0").replace(/0+$/, "") : "";
    return iso(s).slice(0, 19) + tail + "Z";
  };
  const isSame = (one, other, i) =>
    seconds(one, i) === seconds(other, i) && (seconds(one, i) === null || fraction(one, i) === fraction(other, i));

  // The same words as in the rest of the report: the two largest units.
  const timeLeft = (name, i) => {
    const s = seconds(name, i);
    if (s === null) return "";
    let whole = s - data.asOf;
    const part = fraction(name, i) - data.fraction;
    const isPast = whole < 0 || (whole === 0 && part <= 0);
    if (whole > 0 && part < 0) whole -= 1;
    if (whole < 0 && part > 0) whole += 1;
    let rest = Math.abs(whole);
    if (rest === 0) return isPast ? "at this instant" : "in less than a second";
    const parts = [];
    for (const [unit, noun] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
      const count = Math.floor(rest / unit);
      rest -= count * unit;
      if (count) parts.push(`${count} ${noun}${count === 1 ? "" : "s"}`);
    }
    const words = parts.slice(0, 2).join(" ");
    return isPast ? `${words} ago` : `in ${words}`;
  };

  // --- small pieces of the page ---

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== "" && child !== null && child !== undefined));
    return element;
  };
  const small = (...children) => (children.join("") === "" ? "" : make("small", {}, ...children));
  const muted = (words) => make("span", { class: "muted" }, words);
  const timeElement = (name, i) => make("time", { datetime: exact(name, i) }, clock(name, i));
  const sign = (verdict) => {
    const space = "http://www.w3.org/2000/svg";
    const shape = document.createElementNS(space, "svg");
    const use = document.createElementNS(space, "use");
    const drawn = document.getElementById("sign-" + verdict) ? verdict : "unknown";
    const attributes = { class: `sign ink-${drawn}`, width: 16, height: 16, viewBox: "0 0 16 16", "aria-hidden": "true" };
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    use.setAttribute("href", "#sign-" + drawn);
    shape.append(use);
    return shape;
  };
  // A long id is shortened in its middle by the stylesheet; the whole of it stays in the text.
  const idParts = (id) => {
    if (id.length <= LONGEST_ID) return [make("span", { class: "id" }, id)];
    const parts = id.split("/");
    const tail = parts.length >= 3 ? parts.slice(-2).join("").length + 6 : 8;
    const cut = id.length - Math.min(tail, 26);
    return [make("span", { class: "id", title: id },
      make("span", { class: "id-start" }, id.slice(0, cut)), make("span", { class: "id-end" }, id.slice(cut)))];
  };
  const isLink = (url) => url.length <= 2000 && /^https?:\/\/[!#-&(-;=?-~]+$/i.test(url);
  const link = (url, words, kind) =>
    isLink(url) ? make("a", { class: kind, href: url, rel: "noreferrer noopener" }, words) : make("span", { class: kind }, words);

  const verdictOf = Object.fromEntries(data.verdicts.map((one) => [one.code, one]));
  const verdictTitle = (code) => (verdictOf[code] ? verdictOf[code].title : code);
  const reasonsOf = (i) => text("reason", i).split(";").filter(Boolean);
  const isPast = (i) => text("possibly_past", i) === "true";
  const isMarked = (value) => value !== "" && value !== "false";
  const serviceOf = (i) => text("service", i) || "unknown";
  const EVIDENCE = { agrees: "fits the rule", conflicts: "conflicts with the rule", expected: "expected, no URL seen", none: "nothing to compare" };
  const WATERMARK = { true: "watermarked", false: "not watermarked" };
  const describe = (i) => [
    text("media", i) || "media not known", text("role", i), WATERMARK[text("watermarked", i)], text("account", i).replaceAll("_", "-"),
  ].filter(Boolean).join(", ");

  // --- the columns of the table: text to show and to search, a key to sort by, and a function that fills a cell ---

  const instantKey = (name) => (i) => (seconds(name, i) === null ? Infinity : seconds(name, i) + fraction(name, i) / 1e9);
  const COLUMNS = {
    file: {
      text: (i) => text("asset_id", i),
      fill: (cell, i) => {
        cell.setAttribute("scope", "row");
        const open = make("a", { class: "open", href: address({ file: text("asset_id", i) }) }, ...idParts(text("asset_id", i)));
        cell.replaceChildren(open, small(describe(i)));
      },
    },
    service: {
      text: (i) => [serviceOf(i), text("task_type", i)].join(" "),
      fill: (cell, i) => cell.replaceChildren(text("service", i) || muted("not known"), small(text("task_type", i))),
    },
    verdict: {
      text: (i) => verdictTitle(text("verdict", i)) + (isPast(i) ? " possibly past" : ""),
      fill: (cell, i) => {
        const code = text("verdict", i);
        const words = make("span", { class: "nowrap" }, sign(code), " ", sentence(verdictTitle(code)));
        cell.replaceChildren(words, isPast(i) ? make("strong", { class: "badge" }, "possibly past") : "");
      },
    },
    deadline: {
      text: (i) => clock("expires_earliest", i),
      key: instantKey("expires_earliest"),
      fill: (cell, i) => {
        if (seconds("expires_earliest", i) === null) return cell.replaceChildren(muted("none"));
        cell.replaceChildren(timeElement("expires_earliest", i));
        if (!isSame("expires_earliest", "expires_latest", i) && seconds("expires_latest", i) !== null)
          cell.append(make("small", {}, "latest ", timeElement("expires_latest", i)));
        return undefined;
      },
    },
    left: { text: (i) => timeLeft("expires_earliest", i), key: instantKey("expires_earliest") },
    save_by: {
      text: (i) => (column("save_by").seconds ? clock("save_by", i) : text("save_by", i)),
      key: (i) => (column("save_by").seconds ? instantKey("save_by")(i) : text("save_by", i)),
      isText: () => !column("save_by").seconds,
    },
    reasons: {
      text: (i) => reasonsOf(i).map(spaced).join("; "),
      fill: (cell, i) => { if (!reasonsOf(i).length) cell.replaceChildren(muted("nothing")); },
    },
    rule: {
      text: (i) => [text("rule", i), text("basis", i)].join(" "),
      fill: (cell, i) => cell.replaceChildren(text("rule", i) || muted("none"), small(text("basis", i))),
    },
    host: {
      text: (i) => text("url", i) || text("url_host", i),
      fill: (cell, i) => {
        const url = text("url", i);
        const host = url ? link(url, url, "url") : text("url_host", i) ? make("span", { class: "host" }, text("url_host", i)) : muted("no URL");
        const evidence = text("evidence", i);
        cell.replaceChildren(host, make("small", evidence === "conflicts" ? { class: "strong" } : {}, EVIDENCE[evidence] || evidence));
      },
    },
    archived: { text: (i) => (isMarked(text("archived", i)) ? text("archived", i).replace(/^true$/, "yes") : "") },
    exempted_by: { text: (i) => text("exempted_by", i) },
    points: {
      text: (i) => (number("points", i) === null ? "" : thousands(number("points", i))),
      key: (i) => (number("points", i) === null ? -1 : number("points", i)),
      fill: (cell, i) => { if (number("points", i) === null) cell.replaceChildren(muted("no dollar value")); },
    },
  };

  // --- what can be chosen ---

  const countBy = (keys) => {
    const counts = new Map();
    for (let i = 0; i < data.count; i += 1) for (const key of keys(i)) counts.set(key, (counts.get(key) || 0) + 1);
    return counts;
  };
  const sorted = (counts) => [...counts.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const CHOICES = {
    verdict: {
      label: "Verdict",
      keys: (i) => (isPast(i) ? [text("verdict", i), "possibly_past"] : [text("verdict", i)]),
      order: () => ["at_risk", "possibly_past", "active", "expired", "vendor_cdn", "ungoverned", "undetermined"],
      words: (key) => (key === "possibly_past" ? "of these, possibly past" : sentence(verdictTitle(key))),
      whole: (key) => (verdictOf[key] ? verdictOf[key].total : undefined),
    },
    service: { label: "Service", keys: (i) => [serviceOf(i)], words: (key) => data.services[key] || key },
    reason: { label: "Not known", keys: (i) => (reasonsOf(i).length ? reasonsOf(i) : ["nothing"]), words: (key) => sentence(spaced(key)) },
    window: { label: "Operations", keys: (i) => [text("operation_verdict", i) || "none"], words: sentence },
    basis: { label: "Basis", keys: (i) => [text("basis", i) || "none"], words: sentence },
    evidence: { label: "Host and rule", keys: (i) => [text("evidence", i)], words: (key) => sentence(EVIDENCE[key] || key) },
    media: { label: "Media", keys: (i) => [text("media", i) || "unknown"], words: sentence },
    archived: { label: "Archived", keys: (i) => [isMarked(text("archived", i)) ? "yes" : "no"], words: sentence },
    exempted: { label: "Exempted", keys: (i) => [isMarked(text("exempted_by", i)) ? "yes" : "no"], words: sentence },
  };
  // Rows of a key are found once, so that choosing costs one look-up for each row.
  const members = {};
  const rowsOf = (name, key) => {
    const known = (members[name] = members[name] || {});
    if (!known[key]) {
      known[key] = new Uint8Array(data.count);
      for (let i = 0; i < data.count; i += 1) if (CHOICES[name].keys(i).includes(key)) known[key][i] = 1;
    }
    return known[key];
  };

  // --- the state, and the address that holds it ---

  const names = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.name);
  const readAddress = () => {
    const [place, query] = [location.hash.slice(1).split("?")[0], location.hash.split("?").slice(1).join("?")];
    const given = new URLSearchParams(place === "files" ? query : "");
    const state = { q: given.get("q") || "", order: given.get("order") || "", file: given.get("file") || "", isHere: place === "files" };
    for (const name of Object.keys(CHOICES)) state[name] = given.get(name) || "";
    return state;
  };
  const address = (state) => {
    const query = new URLSearchParams();
    for (const name of [...Object.keys(CHOICES), "q", "order", "file"]) if (state[name]) query.set(name, state[name]);
    const words = query.toString().replaceAll("+", "%20");
    return words ? `#files?${words}` : "#files";
  };
  let state = readAddress();

  // --- the controls ---

  const tools = make("div", { class: "tools", role: "search", "aria-label": "Filter the list of files" });
  const field = (label, control) => {
    const id = `choose-${tools.childElementCount}`;
    control.setAttribute("id", id);
    tools.append(make("div", {}, make("label", { for: id }, label), control));
  };
  const box = make("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "id, service, host, rule …" });
  field("Search", box);
  const selects = {};
  for (const [name, choice] of Object.entries(CHOICES)) {
    if (name === "archived" && !column("archived")) continue;
    if (name === "exempted" && !column("exempted_by")) continue;
    const counts = countBy(choice.keys);
    const keys = (choice.order ? choice.order().filter((key) => counts.has(key) || choice.whole(key)) : sorted(counts));
    if (keys.length < 2 && name !== "verdict" && name !== "service") continue;
    const select = make("select", {}, make("option", { value: "" }, "all"));
    for (const key of keys) {
      const here = counts.get(key) || 0;
      const whole = choice.whole ? choice.whole(key) : undefined;
      const count = whole !== undefined && whole !== here ? `${thousands(here)} of ${thousands(whole)}` : thousands(here);
      select.append(make("option", { value: key }, `${choice.words(key)} (${count})`));
    }
    selects[name] = select;
    field(choice.label, select);
    select.addEventListener("change", () => { state[name] = select.value; changed(); });
  }
  const clear = make("button", { type: "button" }, "Show all");
  tools.append(clear);
  const status = make("p", { class: "shown", role: "status", id: "files-status" });
  const paper = make("p", { class: "shown paper" });
  const holder = table.closest(".scroll");
  holder.before(tools, status, paper);

  // --- the table ---

  for (const one of document.querySelectorAll(".unscripted")) one.remove();
  for (const body of [...table.tBodies]) body.replaceChildren();
  const rows = Array.from({ length: data.count }, (_, i) => ({ i }));
  const shown = new DataTable(table, {
    data: rows,
    columns: names.map((name, place) => ({
      name,
      type: COLUMNS[name].key && !(COLUMNS[name].isText && COLUMNS[name].isText()) ? "num" : "string",
      className: table.tHead.rows[0].cells[place].className,
      cellType: name === "file" ? "th" : "td",
      data: (row, kind) => (kind === "sort" && COLUMNS[name].key ? COLUMNS[name].key(row.i) : COLUMNS[name].text(row.i)),
      render: DataTable.render.text(),
      searchable: false,
      createdCell: (cell, _value, row) => { if (COLUMNS[name].fill) COLUMNS[name].fill(cell, row.i); },
    })),
    autoWidth: false,
    typeDetect: false,
    order: [],
    orderMulti: false,
    pageLength: 50,
    lengthMenu: [25, 50, 100, 500],
    layout: { topStart: null, topEnd: null, bottomStart: "pageLength", bottomEnd: { paging: { buttons: 5 } } },
    language: {
      emptyTable: "There are no files.",
      zeroRecords: "No file on this page matches.",
      lengthMenu: "_MENU_ rows a page",
      thousands: ",",
      aria: { orderable: ": press to sort", orderableReverse: ": press to reverse the order", orderableRemove: ": press to sort by urgency" },
    },
  });
  // The pages are turned below the table, not within the part of the page that scrolls sideways.
  for (const one of [...holder.querySelectorAll(".dt-layout-row:not(.dt-layout-table)")].reverse()) holder.after(one);
  const isChosen = () => Object.keys(CHOICES).filter((name) => state[name]);
  shown.search.fixed("choices", (_text, row) => isChosenRow(row.i));
  let masks = [];
  let words = [];
  const isChosenRow = (i) => {
    for (const mask of masks) if (!mask[i]) return false;
    for (const word of words) if (!textOf(i).includes(word)) return false;
    return true;
  };
  // The text that is searched, made when it is first needed: the page opens faster.
  const texts = [];
  const textOf = (i) => (texts[i] ??= names.map((name) => COLUMNS[name].text(i)).join("\n").toLowerCase());

  const tellCount = () => {
    const found = shown.rows({ search: "applied" }).count();
    const isNarrow = found !== data.count || isChosen().length > 0 || state.q !== "";
    const isWhole = data.count >= data.total;
    const all = `findings.csv holds all ${thousands(data.total)}`;
    const sentences = [];
    if (isNarrow) sentences.push(`${thousands(found)} of the ${many(data.count, "file")} on this page match${found === 1 ? "es" : ""}.`);
    else sentences.push(isWhole ? `All ${many(data.count, "file")}, the most urgent first; findings.csv holds them with their full URLs.`
      : `${thousands(data.count)} of ${many(data.total, "file")} are on this page, the most urgent first; ${all}.`);
    const verdict = verdictOf[state.verdict === "possibly_past" ? "at_risk" : state.verdict];
    if (isNarrow && !isWhole) {
      if (verdict && verdict.count === verdict.total) sentences.push(`All ${many(verdict.total, "file")} of this verdict are on this page; ${verdict.csv} holds them too.`);
      else if (verdict) sentences.push(`Only ${thousands(verdict.count)} of ${many(verdict.total, "file")} of this verdict are on this page, and no others were searched; ${verdict.csv} has all of them.`);
      else sentences.push(`Files that are not on this page were not searched; ${all}.`);
    }
    if (status.textContent !== sentences.join(" ")) status.textContent = sentences.join(" ");
    status.classList.toggle("partial", isNarrow && !isWhole && !(verdict && verdict.count === verdict.total));
    clear.hidden = !isNarrow && !state.order;
  };
  shown.on("draw", tellCount);

  const apply = (isFirst = false) => {
    for (const [name, select] of Object.entries(selects)) {
      if (state[name] && ![...select.options].some((option) => option.value === state[name]))
        select.append(make("option", { value: state[name] }, `${state[name]} (0)`));
      select.value = state[name];
    }
    if (document.activeElement !== box) box.value = state.q;
    masks = isChosen().map((name) => rowsOf(name, state[name]));
    const [name, direction] = state.order.split(".");
    shown.order(names.includes(name) ? [[names.indexOf(name), direction === "desc" ? "desc" : "asc"]] : []);
    words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    if (isFirst && !state.order && !masks.length && !words.length) tellCount();
    else shown.draw();
  };
  // The address follows the state without filling the history of the browser.
  const changed = () => {
    try { history.replaceState(null, "", address(state)); } catch { location.replace(address(state)); }
    apply();
  };
  let waiting;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.q = box.value.trim(); changed(); }, 120);
  });
  clear.addEventListener("click", () => { state = { q: "", order: "", file: "" }; box.value = ""; changed(); box.focus(); });
  shown.on("order", () => {
    const [first] = shown.order();
    const order = first && first[1] ? `${names[first[0]]}.${first[1]}` : "";
    if (order === state.order) return;
    state.order = order;
    try { history.replaceState(null, "", address(state)); } catch { /* the address is a convenience only */ }
  });

  // --- the card of one file ---

  const card = make("dialog", { id: "card", "aria-labelledby": "card-title" });
  document.body.append(card);
  const facts = (pairs) => make("dl", { class: "facts" }, ...pairs
    .filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .map(([name, ...values]) => make("div", {}, make("dt", {}, name), make("dd", {}, ...values))));
  const part = (title, ...children) => make("section", {}, make("h3", {}, title), ...children);
  const instant = (name, i, missing = "") => {
    if (seconds(name, i) === null) return missing;
    const left = timeLeft(name, i);
    return make("span", {}, make("time", { datetime: exact(name, i) }, exact(name, i)), left ? small(left) : "");
  };
  const ruleCard = (name, basis) => {
    const rule = data.rules[name];
    if (!rule) return [["Rule", name || muted("no rule answered")]];
    return [
      ["Rule", `${rule.title} `, make("code", {}, name)],
      ["Says", rule.kept ? `kept ${/^[0-9]/.test(rule.kept) ? "for " : "on "}${rule.kept}` : rule.operations],
      ["In force from", rule.from],
      ["Basis", basis || rule.basis],
      ["Source", link(rule.url, rule.source, "source"), rule.section ? `, ${rule.section}` : "", small(`read on ${rule.read}`)],
    ];
  };
  const cardOf = (i) => {
    const code = text("verdict", i);
    const verdict = verdictOf[code] || { title: code, explanation: "", csv: "findings.csv" };
    const hasDeadline = seconds("expires_earliest", i) !== null;
    const operations = text("operations", i).split(";").filter(Boolean).map(spaced).join(", ");
    const saveBy = column("save_by") ? (column("save_by").seconds ? instant("save_by", i) : text("save_by", i)) : "";
    const window = text("operation_verdict", i);
    return [
      make("p", { class: "answer" }, sign(code), " ", make("strong", {}, sentence(verdict.title)),
        ...(isPast(i) ? [" ", make("strong", { class: "badge" }, "possibly past")] : []), make("span", {}, " " + verdict.explanation)),
      part("Deadlines, in UTC", facts([
        ["Earliest deadline", hasDeadline ? instant("expires_earliest", i) : muted("none")],
        ["Latest deadline", hasDeadline ? instant("expires_latest", i) : ""],
        ["Vendor's link expires", instant("link_expires_at", i)],
        ["Save by", saveBy],
      ])),
      part("Readings of creation", facts([
        ["Submitted", instant("created_at", i, muted("not recorded"))],
        ["Finished", instant("completed_at", i, muted("not recorded"))],
      ]), hasDeadline ? make("p", { class: "note" }, "The clock may start at either, so both are counted: meet the earliest deadline; the file is past its deadline only after the latest.") : ""),
      part("What is not known", reasonsOf(i).length
        ? make("ul", {}, ...reasonsOf(i).map((reason) => make("li", {}, data.reasons[reason] || reason, " ", make("code", {}, reason))))
        : make("p", {}, "Nothing that the answer depends on.")),
      part("Rule", facts(ruleCard(text("rule", i), text("basis", i)))),
      part("Follow-up operations", facts([
        ["Window", `${sentence(window)}. ${data.windows[window] || ""}`],
        ["Operations", operations],
        ["Closes, earliest", instant("operation_closes_earliest", i)],
        ["Closes, latest", instant("operation_closes_latest", i)],
        ...(text("operation_rule", i) && text("operation_rule", i) !== text("rule", i) ? ruleCard(text("operation_rule", i), "") : []),
      ])),
      part("The file", facts([
        ["Service", (data.services[serviceOf(i)] || serviceOf(i)) + (text("task_type", i) ? `, ${text("task_type", i)}` : "")],
        ["Kind", describe(i)],
        ["Host", text("url_host", i) || muted("no URL was seen"), text("host_owner", i) ? small(`belongs to ${text("host_owner", i)}`) : ""],
        ["URL", text("url", i) ? link(text("url", i), text("url", i), "") : ""],
        ["Evidence", data.evidence[text("evidence", i)] || text("evidence", i)],
        ["Status of the task", text("status", i)],
        ["Points", number("points", i) === null ? muted("no dollar value") : thousands(number("points", i)), text("cost_usd", i) ? small(`US$ ${text("cost_usd", i)}`) : ""],
        ["Archived", isMarked(text("archived", i)) ? COLUMNS.archived.text(i) : ""],
        ["Exempted by", text("exempted_by", i)],
      ])),
      part("Where to find it", facts([
        ["In the CSV", make("code", {}, "findings.csv"), `, row ${thousands(number("row", i))} (the heading is row 1)`,
          verdict.csv === "findings.csv" ? "" : small(`also in ${verdict.csv}`)],
        ["Read from", make("span", { class: "path" }, text("source", i))],
        ["More", make("code", {}, "policy-engine explain TASK_ID HISTORY"), small("shows how both readings are counted")],
      ])),
    ];
  };
  const places = new Map();
  const placeOf = (id) => {
    if (!places.size) for (let i = 0; i < data.count; i += 1) places.set(text("asset_id", i), i);
    return places.get(id);
  };
  const openCard = (id) => {
    const i = placeOf(id);
    const close = make("button", { type: "button", autofocus: "" }, "Close");
    close.addEventListener("click", () => card.close());
    const copy = make("button", { type: "button" }, "Copy link");
    const copied = make("span", { role: "status" });
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(location.href); copied.textContent = "Copied."; }
      catch { copied.textContent = "Copy the address of this page; it links to this file."; }
    });
    const head = make("header", {}, make("h2", { id: "card-title" }, make("span", { class: "id" }, id)),
      make("div", { class: "actions" }, copied, copy, close));
    card.replaceChildren(head, ...(i === undefined
      ? [make("p", {}, `This file is not among the ${many(data.count, "row")} on this page. Look for its asset_id in findings.csv, which holds all ${thousands(data.total)}.`)]
      : cardOf(i)));
    if (!card.open) card.showModal();
    card.scrollTop = 0;
  };
  card.addEventListener("close", () => { if (state.file) { state.file = ""; changed(); } });
  card.addEventListener("click", (event) => { if (event.target === card) card.close(); });
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    const opener = event.target.closest("a");
    if (!row || (opener && !opener.classList.contains("open")) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const one = shown.row(row).data();
    if (!one || (!opener && String(getSelection()) !== "")) return;
    event.preventDefault();
    const place = address({ ...state, file: text("asset_id", one.i) });
    // At once and not on `hashchange`, which comes later: a key pressed in between would reach the open card.
    try { history.pushState(null, "", place); } catch { location.hash = place; }
    follow();
  });

  // --- links into the list, the first state, and paper ---

  const follow = () => {
    const before = state;
    state = readAddress();
    if (!state.isHere) { state = { ...before, file: "" }; if (card.open) card.close(); return; }
    apply();
    if (state.file) openCard(state.file);
    else if (card.open) card.close();
    if (!state.file && before.file === state.file) document.getElementById("files").scrollIntoView();
  };
  for (const one of document.querySelectorAll("[data-choose]")) one.setAttribute("href", `#files?${one.dataset.choose}`);
  addEventListener("hashchange", follow);
  let paged = null;
  addEventListener("beforeprint", () => {
    if (card.open) return;
    const found = shown.rows({ search: "applied" }).count();
    paged = [shown.page.len(), shown.page()];
    paper.textContent = found > PRINTED
      ? `On paper: the first ${thousands(PRINTED)} of ${thousands(found)} rows in this order. The others are in findings.csv.`
      : "";
    shown.page.len(PRINTED).page("first").draw(false);
  });
  addEventListener("afterprint", () => {
    if (!paged) return;
    paper.textContent = "";
    shown.page.len(paged[0]).page(paged[1]).draw(false);
    paged = null;
  });
  apply(true);
  if (state.isHere && location.hash.includes("?")) {
    document.getElementById("files").scrollIntoView();
    if (state.file) openCard(state.file);
  }
})();
