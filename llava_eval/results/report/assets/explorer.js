// The list of samples with its filters; the address holds what is shown.

const CHIPS = [
  ["w", "wrong"],
  ["p", "partly"],
  ["u", "unreadable"],
  ["e", "failed"],
  ["flipped", "flipped"],
  ["r", "right"],
];
//: What went wrong comes first, and what no run answered last.
const WRONG_FIRST = "wupenrm";
//: A score that changed by this much or more is a flip.
const FLIP = 0.5;
//: Chunks of details that are kept.
const MOST_CHUNKS = 100;

/** What is shown of a benchmark before anyone chooses. */
const defaultView = () => ({
  run: 0,
  other: 1,
  chips: new Set(),
  levels: {},
  query: "",
  order: "wrong",
  chosen: null,
  matches: null,
});

const explorer = {
  set: 0,
  index: null,
  chunks: new Map(),
  haystacks: new Map(),
  search: 0,
  ...defaultView(),

  async start() {
    this.list = new VirtualList(
      byId("list"),
      (sample) => this.rowContent(sample),
      (sample, opens) => this.open(sample, opens),
    );
    byId("search").addEventListener("input", (event) => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.setQuery(event.target.value), 120);
    });
    for (const name of ["order", "run", "other"]) {
      byId(name).addEventListener("change", (event) => {
        this[name] = name === "order" ? event.target.value : Number(event.target.value);
        this.changed();
      });
    }
    byId("set").addEventListener("change", async (event) => {
      await this.load(Number(event.target.value));
      this.changed();
    });
    window.addEventListener("hashchange", () => this.follow());
    await this.load(0);
    await this.follow();
  },

  /** Take the samples of a benchmark; nothing is shown yet. */
  async load(set) {
    this.loading = set;
    const index = await unpack(`index-${set}`);
    if (this.loading !== set) return;
    for (const facet of index.facets) {
      // As in the tables, a sample of "action+object" has both levels; "18+" and "10+ min" are one.
      const parts = (level) => level.split("+");
      const isOne = (level) => parts(level).some((part) => !part || part !== part.trim());
      facet.parts = facet.levels.map((level) => (isOne(level) ? [level] : parts(level)));
      facet.names = [...new Set(facet.parts.flat())];
    }
    Object.assign(this, { set, index, chunks: new Map(), haystacks: new Map() }, defaultView());
    this.search += 1;
    const { letters, names } = report.sets[set];
    const options = () => letters.map((letter, place) =>
      make("option", { value: place }, `${letter} ${names[place]}`));
    byId("run").replaceChildren(...options());
    byId("other").replaceChildren(...options());
    const ofTwo = [byId("run-label"), byId("other-label"), ...byId("order").querySelectorAll(".of-two")];
    for (const control of ofTwo) control.hidden = letters.length < 2;
    const selects = index.facets.map((facet, number) => {
      const select = make("select", {},
        make("option", { value: "" }, "all"),
        facet.names.map((level, place) => make("option", { value: place }, level || "(empty)")));
      select.addEventListener("change", () => {
        if (select.value === "") delete this.levels[number];
        else this.levels[number] = Number(select.value);
        this.changed();
      });
      return make("label", {}, facet.name, select);
    });
    byId("facets").replaceChildren(...selects);
    this.list.active = -1;
    this.list.samples = [];
  },

  value(run, place) {
    const state = this.index.states[run][place];
    if (this.index.values) return this.index.values[run][place];
    return state === "r" ? 1 : state === "w" || state === "u" ? 0 : null;
  },

  /** How far the second run's score lies from the first's; null where a run has none of the sample. */
  change(place) {
    const states = [this.index.states[this.run][place], this.index.states[this.other][place]];
    if (states.some((state) => "emn".includes(state))) return null;
    return (this.value(this.other, place) || 0) - (this.value(this.run, place) || 0);
  },

  isIn(chip, place) {
    if (chip !== "flipped") return this.index.states[this.run][place] === chip;
    if (report.sets[this.set].letters.length < 2) return false;
    return Math.abs(this.change(place) || 0) >= FLIP;
  },

  hasLevel(facet, level, place) {
    return facet.parts[facet.values[place]].includes(facet.names[level]);
  },

  /** Filter and sort anew. */
  apply() {
    const places = [];
    const counts = Object.fromEntries(CHIPS.map(([chip]) => [chip, 0]));
    const { facets } = this.index;
    const levels = Object.entries(this.levels);
    for (let place = 0; place < this.index.ids.length; place += 1) {
      if (this.matches && !this.matches.has(place)) continue;
      if (!levels.every(([number, level]) => this.hasLevel(facets[number], level, place))) continue;
      let wanted = this.chips.size === 0;
      for (const [chip] of CHIPS) {
        if (!this.isIn(chip, place)) continue;
        counts[chip] += 1;
        if (this.chips.has(chip)) wanted = true;
      }
      if (wanted) places.push(place);
    }
    this.sort(places);
    this.drawChips(counts);
    this.drawControls();
    this.list.show(places);
    prepareToPrint();
    byId("nothing").hidden = places.length > 0;
    byId("count").textContent = `${places.length} of ${this.index.ids.length} samples`;
  },

  /** After a filter or the order changed: the first match is shown, and the address says so. */
  changed(pushes = true) {
    this.apply();
    this.chosen = this.list.samples[0] ?? null;
    this.write(pushes);
    if (this.chosen === null) byId("detail").replaceChildren();
    else this.list.activate(0, false);
  },

  sort(places) {
    const states = this.index.states[this.run];
    const key = {
      wrong: (place) => 1e6 * WRONG_FIRST.indexOf(states[place]) + (this.value(this.run, place) ?? 0),
      drop: (place) => this.change(place) ?? 0,
      rise: (place) => -(this.change(place) ?? 0),
    }[this.order];
    if (key) places.sort((one, other) => key(one) - key(other) || one - other);
  },

  drawChips(counts) {
    const single = report.sets[this.set].letters.length < 2;
    const buttons = CHIPS.filter(([chip]) => {
      if (chip === "flipped") return !single;
      return chip !== "p" || this.index.values !== null;
    }).map(([chip, name]) => {
      const pressed = this.chips.has(chip);
      const button = make("button", { type: "button", "aria-pressed": pressed, "data-chip": chip },
        `${name} ${counts[chip]}`);
      button.disabled = !counts[chip] && !pressed;
      button.addEventListener("click", () => {
        if (!this.chips.delete(chip)) this.chips.add(chip);
        this.changed();
      });
      return button;
    });
    const focused = document.activeElement?.dataset.chip;
    byId("chips").replaceChildren(...buttons);
    if (focused) byId("chips").querySelector(`[data-chip="${focused}"]`)?.focus();
  },

  drawControls() {
    for (const name of ["set", "run", "other", "order"]) byId(name).value = String(this[name]);
    if (document.activeElement !== byId("search")) byId("search").value = this.query;
    byId("facets").querySelectorAll("select").forEach((select, number) => {
      select.value = String(this.levels[number] ?? "");
    });
  },

  async setQuery(text) {
    // One step back leaves the search, however many letters were typed.
    const pushes = !this.query || !text;
    if (await this.find(text)) this.changed(pushes);
  },

  /** Look for words in everything that is known of a sample; false where a later search began. */
  async find(text) {
    this.query = text;
    this.search += 1;
    const search = this.search;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = new Set();
    const size = this.index.chunkSize;
    for (let chunk = 0; words.length && chunk * size < this.index.ids.length; chunk += 1) {
      const texts = await this.haystack(chunk);
      if (search !== this.search) return false;
      texts.forEach((haystack, place) => {
        if (words.every((word) => haystack.includes(word))) matches.add(chunk * size + place);
      });
      if (chunk % 20 === 19) byId("count").textContent = `searching, ${matches.size} so far`;
    }
    this.matches = words.length ? matches : null;
    return true;
  },

  async haystack(chunk) {
    if (!this.haystacks.has(chunk)) {
      const first = chunk * this.index.chunkSize;
      const samples = await this.chunk(chunk);
      this.haystacks.set(chunk, samples.map((sample, place) => [
        this.index.ids[first + place],
        sample.question,
        ...sample.choices,
        sample.prompt,
        ...sample.target,
        ...sample.media,
        ...sample.runs.flatMap((run) => (run ? [run.text, run.answer, run.error] : [])),
      ].filter(Boolean).join("\n").toLowerCase()));
    }
    return this.haystacks.get(chunk);
  },

  async chunk(number) {
    const { set, chunks } = this;
    if (!chunks.has(number)) {
      if (chunks.size >= MOST_CHUNKS) chunks.delete(chunks.keys().next().value);
      chunks.set(number, await unpack(`chunk-${set}-${number}`));
    }
    return chunks.get(number);
  },

  /** The runs that a narrow place shows: all of a few, else the two that are compared. */
  shownRuns() {
    const { letters } = report.sets[this.set];
    return letters.length <= 4 ? letters.map((_, number) => number) : [this.run, this.other];
  },

  rowContent(place) {
    const { ids, snippets, facets, states } = this.index;
    const levels = facets.map((facet) => facet.levels[facet.values[place]]).join(" · ");
    return [
      make("span", { class: "marks" },
        this.shownRuns().map((run) => stateMark(states[run][place]))),
      make("span", { class: "text" },
        make("span", { class: "head" }, levels ? `${ids[place]} · ${levels}` : ids[place]),
        make("bdi", {}, snippets[place])),
    ];
  },

  async show(place) {
    const size = this.index.chunkSize;
    this.wanted = place;
    const chunk = await this.chunk(Math.floor(place / size));
    if (this.wanted !== place) return;
    const pane = byId("detail");
    const focused = document.activeElement;
    showDetail(pane, place, chunk[place % size]);
    // What had the focus in the pane is gone; the next sample takes its place.
    if (!focused.isConnected) byId("detail-title").focus();
  },

  async open(place, opens) {
    this.chosen = place;
    this.write(opens);
    await this.show(place);
    if (this.wanted !== place || !opens) return;
    byId("panes").classList.add("open");
    if (getComputedStyle(byId("list")).visibility === "hidden") byId("detail-title").focus();
  },

  /** On a narrow page: back to the list. */
  close() {
    byId("panes").classList.remove("open");
    byId("list").focus();
  },

  /** Write the view as a part of an address; what is as at first is not said. */
  address() {
    const { letters } = report.sets[this.set];
    const said = [];
    const say = (name, value) =>
      said.push([name, value].map((text) => encodeURIComponent(text.toWellFormed())).join("="));
    if (this.run !== 0) say("run", letters[this.run]);
    if (this.other !== 1 && letters.length > 1) say("against", letters[this.other]);
    if (this.chips.size) {
      say("show", CHIPS.flatMap(([chip, name]) => (this.chips.has(chip) ? [name] : [])).join(" "));
    }
    for (const [number, level] of Object.entries(this.levels)) {
      const facet = this.index.facets[number];
      say(`by.${facet.name}`, facet.names[level]);
    }
    if (this.query) say("search", this.query);
    if (this.order !== "wrong") say("order", this.order);
    if (this.chosen !== null) said.push(linkTo(this.set, this.index.ids[this.chosen]).slice(1));
    else if (said.length || this.set) said.unshift(`set=${this.set}`);
    return said.length ? `#${said.join("&")}` : "";
  },

  write(pushes) {
    const address = this.address();
    if (address === location.hash) return;
    const url = address || location.pathname + location.search;
    history[pushes ? "pushState" : "replaceState"](null, "", url);
  },

  /** Show what the address says: of a link, or of a step back or forward. */
  async follow() {
    const { hash } = location;
    const said = new URLSearchParams(hash.slice(1));
    const isView = said.has("set") || said.has("sample");
    // Any other name is one of the page's own sections.
    if (hash && !isView && this.list.samples.length) return;
    const [, number = "0", id] = /^(\d+)(?:\/(.*))?$/s.exec(said.get("sample") ?? said.get("set")) ?? [];
    await this.load(report.sets[number] ? Number(number) : 0);
    if (location.hash !== hash) return; // a later step has begun
    const { letters } = report.sets[this.set];
    const placeOf = (letter, otherwise) => Math.max(0, letters.indexOf(letter ?? letters[otherwise]));
    this.run = placeOf(said.get("run"), 0);
    this.other = placeOf(said.get("against"), 1);
    const words = said.get("show")?.split(" ") ?? [];
    this.chips = new Set(CHIPS.flatMap(([chip, name]) => (words.includes(name) ? [chip] : [])));
    this.index.facets.forEach((facet, place) => {
      const wanted = said.get(`by.${facet.name}`);
      const level = facet.names.findIndex((name) => name.toWellFormed() === wanted);
      if (level >= 0) this.levels[place] = level;
    });
    const order = said.get("order");
    if ([...byId("order").options].some((option) => option.value === order)) this.order = order;
    byId("search").value = said.get("search") ?? "";
    if (!(await this.find(said.get("search") ?? "")) || location.hash !== hash) return;
    this.apply();
    const place = id === undefined ? -1 : this.index.ids.findIndex((one) => one.toWellFormed() === id);
    if (place >= 0 && !this.list.samples.includes(place)) {
      Object.assign(this, { chips: new Set(), levels: {}, matches: null, query: "" });
      this.apply();
    }
    if (isView) {
      byId("samples").scrollIntoView();
      byId("list").focus({ preventScroll: true });
    }
    if (place >= 0) await this.list.activate(this.list.samples.indexOf(place), true);
    else if (isView && said.size > 1) this.changed(false);
    // The first sample is shown beside the list, but not linked to.
    else if (this.list.samples.length) await this.show(this.list.samples[0]);
  },
};
