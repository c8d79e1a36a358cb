// One sample with everything that is known of it.

const STATES = {
  r: ["✓", "right"],
  w: ["✗", "wrong"],
  p: ["◐", "partly right"],
  u: ["?", "unreadable"],
  e: ["!", "failed"],
  n: ["–", "not scored"],
  m: ["·", "not in this run"],
};

/** A small box that says what became of a sample. */
function stateMark(state) {
  const [sign, name] = STATES[state];
  return make(
    "span",
    { class: `mark-box ${state}`, title: name },
    make("span", { "aria-hidden": "true" }, sign),
    make("span", { class: "unseen" }, name),
  );
}

const letterOf = (place) => String.fromCharCode(65 + place);

/** The letter of a run, in its colour. */
function letterMark(number) {
  return make("span", { class: `letter s${number}` }, report.sets[explorer.set].letters[number]);
}

/** Write which frames of each medium were shown. */
function frameText(frames) {
  const text = (numbers) =>
    numbers.length > 6
      ? `${numbers.length}: ${numbers.slice(0, 3).join(", ")} … ${numbers.at(-1)}`
      : numbers.join(", ");
  return frames.map(text).join(" | ");
}

function choiceList(sample) {
  const items = sample.choices.map((choice, place) => {
    const letter = letterOf(place);
    const isTarget = sample.target.includes(letter);
    const chosen = sample.runs.flatMap((run, number) =>
      run && run.answer === letter ? [letterMark(number)] : [],
    );
    return make(
      "li",
      { class: isTarget ? "target" : "" },
      make("strong", {}, letter),
      make("span", {}, choice),
      make(
        "span",
        { class: "who" },
        isTarget ? make("span", {}, "✓ target") : null,
        chosen.length ? make("span", {}, sample.runs.length > 1 ? "chosen by" : "chosen") : null,
        sample.runs.length > 1 ? chosen : null,
      ),
    );
  });
  return items.length ? make("ol", { class: "choices", "aria-label": "Options" }, items) : null;
}

function targetBlock(sample) {
  if (sample.choices.length && sample.target.every((one) => /^[A-Z]$/.test(one))) return null;
  const texts = sample.target.map((text) => make("pre", {}, text));
  return make("div", {}, make("h4", {}, "Target"), texts);
}

function runBlock(run, number, state) {
  const header = make(
    "header",
    {},
    letterMark(number),
    make("span", { class: "name" }, report.sets[explorer.set].names[number]),
    make("span", { class: `state ${state}` }, STATES[state][1]),
  );
  if (!run) return make("section", { class: "run" }, header);
  const facts = [];
  const add = (name, value) => {
    if (value !== null && value !== undefined && value !== "") {
      facts.push(make("dt", {}, name), make("dd", {}, value));
    }
  };
  add("answer", state === "u" ? "(none could be read)" : run.answer);
  add("score", run.value);
  const tokens = [[run.input, "in"], [run.output, "out"]].filter(([number]) => number !== null);
  add("tokens", tokens.map((told) => told.join(" ")).join(", "));
  if (run.stop && run.stop !== "eos") add("stopped by", run.stop);
  if (run.flags) add("note", run.flags.join(", "));
  if (run.problems) add("media", run.problems.join("; "));
  if (run.losses) add("losses", run.losses.map((loss) => loss.toFixed(3)).join(", "));
  for (const [name, value] of Object.entries(run.details || {})) {
    add(name, typeof value === "object" ? JSON.stringify(value) : value);
  }
  add("frames", frameText(run.frames));
  if (run.target) add("target in this run", run.target.join(" | "));
  return make(
    "section",
    { class: "run", "aria-label": `Run ${report.sets[explorer.set].letters[number]}` },
    header,
    run.error ? make("pre", { class: "e" }, run.error) : make("pre", { dir: "auto" }, run.text),
    make("dl", {}, facts),
    run.prompt ? make("details", {}, make("summary", {}, "Its prompt"), make("pre", {}, run.prompt)) : null,
  );
}

function frameBlock(sample, strip) {
  const shown = Math.max(0, ...sample.runs.map((run) => (run ? run.frames.flat().length : 0)));
  if (!shown && !sample.media.length) return null;
  const title = make("h4", {}, sample.media.join(", "));
  if (strip === undefined) {
    const text = `No pictures in this report; ${shown} frames were shown.`;
    return make("div", {}, title, make("p", { class: "muted" }, text));
  }
  const figures = JSON.parse(byId(`strip-${strip}`).textContent).map(([medium, frame, jpeg]) =>
    make(
      "figure",
      {},
      make("img", {
        src: `data:image/jpeg;base64,${jpeg}`,
        alt: `frame ${frame} of ${sample.media[medium]}`,
      }),
      make("figcaption", {}, sample.media.length > 1 ? `${medium + 1}: ${frame}` : frame),
    ),
  );
  if (figures.length < shown) title.append(` (${figures.length} of ${shown} frames)`);
  return make("div", {}, title, make("div", { class: "frames" }, figures));
}

/** Fill the detail pane. */
function showDetail(pane, place, sample) {
  const set = explorer.index;
  const id = set.ids[place];
  const tags = set.facets.map((facet) =>
    make("span", { class: "tag" }, `${facet.name}: ${facet.levels[facet.values[place]]}`),
  );
  const blocksOf = (numbers) =>
    numbers.map((number) => runBlock(sample.runs[number], number, set.states[number][place]));
  const shown = explorer.shownRuns();
  const others = [...sample.runs.keys()].filter((number) => !shown.includes(number));
  pane.setAttribute("aria-label", `Sample ${id}`);
  const blocks = [
    make(
      "div",
      { class: "title" },
      make("button", { class: "back", type: "button", onclick: () => explorer.close() }, "← Samples"),
      make("h3", { id: "detail-title", tabindex: "-1" }, id),
      make("a", { href: linkTo(explorer.set, id), title: "Link to this sample" }, "link"),
    ),
    tags.length ? make("div", { class: "title" }, tags) : null,
    sample.question ? make("div", { class: "question", dir: "auto" }, sample.question) : null,
    choiceList(sample),
    targetBlock(sample),
    make("div", { class: "runs" }, blocksOf([...new Set(shown)])),
    others.length ? make("details", {}, make("summary", {}, `${others.length} other runs`),
      make("div", { class: "runs" }, blocksOf(others))) : null,
    frameBlock(sample, set.thumbnails[place]),
    make(
      "details",
      sample.question ? {} : { open: "" },
      make("summary", {}, "Prompt"),
      make("pre", { dir: "auto" }, sample.prompt),
    ),
  ];
  pane.replaceChildren(...blocks.filter((block) => block !== null));
  pane.scrollTop = 0;
}
