// The list of samples with its filters.

const CHIPS = [
  ["w", "wrong"],
  ["p", "partly"],
  ["u", "unreadable"],
  ["e", "failed"],
  ["flipped", "flipped"],
  ["r", "right"],
];
//: A score that changed by this much or more is a flip.
const FLIP = 0.5;

const explorer = {
  set: 0,
  index: null,
  run: 0,
  other: 1,
  chips: new Set(),
  levels: {},
  query: "",
  order: "row",
  chunks: new Map(),
  haystacks: new Map(),
  search: 0,

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
    byId("order").addEventListener("change", (event) => {
      this.order = event.target.value;
      this.apply();
    });
    byId("set").addEventListener("change", (event) => this.load(Number(event.target.value)));
    byId("run").addEventListener("change", (event) => {
      this.run = Number(event.target.value);
      this.apply();
    });
    byId("other").addEventListener("change", (event) => {
      this.other = Number(event.target.value);
      this.apply();
    });
    window.addEventListener("hashchange", () => this.follow());
    await this.load(0);
    await this.follow();
  },

  /** Show the samples of another benchmark. */
  async load(set) {
    const index = await unpack(`index-${set}`);
    Object.assign(this, { set, index, run: 0, other: 1, chips: new Set(), levels: {}, query: "" });
    Object.assign(this, { order: "row", chunks: new Map(), haystacks: new Map(), matches: null });
    byId("search").value = "";
    byId("order").value = "row";
    byId("set").value = String(set);
    this.fillSelects();
    this.list.samples = [];
    this.list.active = -1;
    this.apply();
    // The first sample is shown beside the list, but not linked to.
    if (this.list.samples.length && !location.hash) this.show(this.list.samples[0]);
  },

  fillSelects() {
    const { letters, names } = report.sets[this.set];
    const options = () => letters.map((letter, place) =>
      make("option", { value: place }, `${letter} ${names[place]}`));
    byId("run").replaceChildren(...options());
    byId("other").replaceChildren(...options());
    byId("other").value = "1";
    for (const name of ["run-label", "other-label"]) byId(name).hidden = letters.length < 2;
    const selects = this.index.facets.map((facet, number) => {
      const select = make("select", { "aria-label": facet.name },
        make("option", { value: "" }, "all"),
        facet.levels.map((level, place) => make("option", { value: place }, level || "(empty)")));
      select.addEventListener("change", () => {
        if (select.value === "") delete this.levels[number];
        else this.levels[number] = Number(select.value);
        this.apply();
      });
      return make("label", {}, facet.name, select);
    });
    byId("facets").replaceChildren(...selects);
  },

  value(run, place) {
    const state = this.index.states[run][place];
    if (this.index.values) return this.index.values[run][place];
    return state === "r" ? 1 : state === "w" || state === "u" ? 0 : null;
  },

  /** How far the second run's score lies from the first's; null where a run has no such sample. */
  change(place) {
    const states = [this.index.states[this.run][place], this.index.states[this.other][place]];
    if (states.includes("m")) return null;
    return (this.value(this.other, place) || 0) - (this.value(this.run, place) || 0);
  },

  isIn(chip, place) {
    if (chip !== "flipped") return this.index.states[this.run][place] === chip;
    if (report.sets[this.set].letters.length < 2) return false;
    return Math.abs(this.change(place) || 0) >= FLIP;
  },

  /** Filter and sort anew. */
  apply() {
    const places = [];
    const counts = Object.fromEntries(CHIPS.map(([chip]) => [chip, 0]));
    const levels = Object.entries(this.levels);
    for (let place = 0; place < this.index.ids.length; place += 1) {
      if (this.matches && !this.matches.has(place)) continue;
      if (levels.some(([facet, level]) => this.index.facets[facet].values[place] !== level)) continue;
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
    this.list.show(places);
    byId("nothing").hidden = places.length > 0;
    byId("count").textContent = `${places.length} of ${this.index.ids.length} samples`;
  },

  sort(places) {
    const key = {
      lowest: (place) => this.value(this.run, place) ?? -1,
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
    }).map(([chip, name]) => make("button", {
      type: "button",
      "data-chip": chip,
      "aria-pressed": this.chips.has(chip),
      disabled: counts[chip] === 0 && !this.chips.has(chip) ? "" : null,
      onclick: () => this.toggle(chip),
    }, `${name} ${counts[chip]}`));
    const focused = document.activeElement && document.activeElement.dataset.chip;
    byId("chips").replaceChildren(...buttons);
    if (focused) byId("chips").querySelector(`[data-chip="${focused}"]`)?.focus();
  },

  toggle(chip) {
    if (!this.chips.delete(chip)) this.chips.add(chip);
    this.apply();
  },

  /** Look for words in everything that the samples hold. */
  async setQuery(text) {
    this.search += 1;
    const search = this.search;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) {
      this.matches = null;
      this.apply();
      return;
    }
    const matches = new Set();
    const size = this.index.chunkSize;
    for (let chunk = 0; chunk * size < this.index.ids.length; chunk += 1) {
      const texts = await this.haystack(chunk);
      if (search !== this.search) return;
      texts.forEach((haystack, place) => {
        if (words.every((word) => haystack.includes(word))) matches.add(chunk * size + place);
      });
      if (chunk % 20 === 19) byId("count").textContent = `searching, ${matches.size} so far`;
    }
    this.matches = matches;
    this.apply();
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
    const key = `${this.set}-${number}`;
    if (!this.chunks.has(key)) {
      if (this.chunks.size > 40) this.chunks.delete(this.chunks.keys().next().value);
      this.chunks.set(key, await unpack(`chunk-${key}`));
    }
    return this.chunks.get(key);
  },

  rowContent(place) {
    const { ids, snippets, facets, states } = this.index;
    const marks = states.length <= 4 ? states : [states[this.run], states[this.other]];
    const levels = facets.map((facet) => facet.levels[facet.values[place]]).join(" · ");
    return [
      make("span", { class: "marks" }, marks.map((column) => stateMark(column[place]))),
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
    await this.show(place);
    if (this.wanted !== place) return;
    history.replaceState(null, "", linkTo(this.set, this.index.ids[place]));
    if (opens) {
      byId("panes").classList.add("open");
      if (getComputedStyle(byId("list")).visibility === "hidden") byId("detail-title").focus();
    }
  },

  /** On a narrow page: back to the list. */
  close() {
    byId("panes").classList.remove("open");
    byId("list").focus();
  },

  /** Go to the sample that the address names. */
  async follow() {
    const match = /^#sample=(\d+)\/(.*)$/.exec(location.hash);
    if (!match || Number(match[1]) >= report.sets.length) return;
    if (Number(match[1]) !== this.set) await this.load(Number(match[1]));
    let id;
    try {
      id = decodeURIComponent(match[2]);
    } catch {
      return;
    }
    const place = this.index.ids.findIndex((one) => one.toWellFormed() === id);
    if (place < 0 || place === this.list.samples[this.list.active]) return;
    if (!this.list.samples.includes(place)) {
      Object.assign(this, { chips: new Set(), levels: {}, matches: null });
      byId("search").value = "";
      this.fillSelects();
      this.apply();
    }
    byId("samples").scrollIntoView();
    this.list.activate(this.list.samples.indexOf(place), true);
  },
};
