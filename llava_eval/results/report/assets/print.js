// On paper: the samples that the filters show, as a list; of many the first ones.

//: A page holds about a dozen.
const MOST_PRINTED = 100;

/** Read what printing will need; a browser does not wait for it later. */
async function prepareToPrint() {
  const { index, list } = explorer;
  const places = list.samples.slice(0, MOST_PRINTED);
  for (const chunk of new Set(places.map((place) => Math.floor(place / index.chunkSize)))) {
    if (explorer.index !== index) return;
    await explorer.chunk(chunk);
  }
}

function answerText(sample, run) {
  if (!run) return "not in this run";
  if (run.error) return run.error;
  const choice = /^[A-Z]$/.test(run.answer) && sample.choices[run.answer.charCodeAt(0) - 65];
  if (choice) return `${run.answer} ${choice}`;
  return run.answer ?? run.text;
}

function printedSample(place) {
  const { ids, snippets, facets, states, chunkSize } = explorer.index;
  const { letters } = report.sets[explorer.set];
  const sample = explorer.chunks.get(Math.floor(place / chunkSize))?.[place % chunkSize];
  const levels = facets.map((facet) => facet.levels[facet.values[place]]);
  const targets = sample?.target.map((text) => answerText(sample, { answer: text })) ?? [];
  const runs = explorer.shownRuns().map((run) => {
    const [sign, state] = STATES[states[run][place]];
    const answer = sample ? answerText(sample, sample.runs[run]) : state;
    return make("div", { class: "run" }, make("b", {}, `${letters[run]} ${sign} `), make("bdi", {}, answer));
  });
  return make("li", {},
    make("div", { class: "muted" }, make("b", {}, ids[place]), ` · ${levels.join(" · ")}`),
    make("bdi", {}, sample?.question || snippets[place]),
    targets.length ? make("div", {}, make("b", {}, "target "), make("bdi", {}, targets.join(" | "))) : null,
    runs);
}

addEventListener("beforeprint", () => {
  if (!explorer.index) return;
  const { title, letters, names } = report.sets[explorer.set];
  const places = explorer.list.samples;
  const filters = [
    ...CHIPS.flatMap(([chip, name]) => (explorer.chips.has(chip) ? [name] : [])),
    ...Object.entries(explorer.levels).map(([facet, level]) => explorer.index.facets[facet].names[level]),
    ...(explorer.query ? [`"${explorer.query}"`] : []),
  ];
  const numLeft = places.length - MOST_PRINTED;
  const order = byId("order").selectedOptions[0].textContent;
  byId("printed").replaceChildren(
    make("p", {}, `${title}: ${places.length} of ${explorer.index.ids.length} samples`,
      filters.length ? ` (${filters.join(", ")})` : "",
      `; ${explorer.shownRuns().map((run) => `${letters[run]} ${names[run]}`).join(", ")}`,
      numLeft > 0 ? `. The first ${MOST_PRINTED}, ${order}, follow; ${numLeft} are left out.` : ""),
    make("ul", {}, places.slice(0, MOST_PRINTED).map(printedSample)),
  );
});
addEventListener("afterprint", () => byId("printed").replaceChildren());
