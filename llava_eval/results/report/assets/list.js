// A list of any length that holds only the rows that can be seen.

const ROW_HEIGHT = 60;
const OVERSCAN = 6;

class VirtualList {
  /**
   * @param {HTMLElement} scroller - the listbox.
   * @param {function(number): HTMLElement[]} fill - content of the row of a sample.
   * @param {function(number, boolean): Promise} choose - called with the sample that was chosen.
   */
  constructor(scroller, fill, choose) {
    this.scroller = scroller;
    this.filler = make("div", { class: "filler", role: "presentation" });
    this.fill = fill;
    this.choose = choose;
    this.samples = [];
    this.active = -1;
    this.rows = new Map();
    scroller.replaceChildren(this.filler);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    scroller.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) this.activate(Number(row.dataset.place), true);
    });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }

  /** Show these samples; the active one stays active where it is still there. */
  show(samples) {
    const current = this.samples[this.active];
    this.samples = samples;
    this.active = current === undefined ? -1 : samples.indexOf(current);
    this.filler.style.height = `${samples.length * ROW_HEIGHT}px`;
    if (this.active < 0) this.scroller.scrollTop = 0;
    this.rows.clear();
    this.filler.replaceChildren();
    this.draw();
  }

  /** Make a place of the list the active one; the promise waits until its sample is shown. */
  async activate(place, opens) {
    if (!this.samples.length) return;
    this.active = Math.min(this.samples.length - 1, Math.max(0, place));
    const top = this.active * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight) {
      this.scroller.scrollTop = top + ROW_HEIGHT - clientHeight;
    }
    this.draw();
    await this.choose(this.samples[this.active], opens);
  }

  move(step) {
    this.activate(this.active < 0 ? 0 : this.active + step, false);
  }

  get pageSize() {
    return Math.max(1, Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 1);
  }

  draw() {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_HEIGHT) - OVERSCAN);
    const count = Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 2 * OVERSCAN;
    const end = Math.min(this.samples.length, first + count);
    // The active row is always there, so that a screen reader can speak it.
    const isShown = (place) => (place >= first && place < end) || place === this.active;
    for (const [place, row] of this.rows) {
      if (isShown(place)) {
        row.setAttribute("aria-selected", place === this.active);
      } else {
        row.remove();
        this.rows.delete(place);
      }
    }
    for (let place = first; place < end; place += 1) this.add(place);
    if (this.active >= 0) this.add(this.active);
    if (this.active >= 0) this.scroller.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  /** Draw a row that is not there yet. */
  add(place) {
    if (this.rows.has(place)) return;
    const row = make(
      "div",
      {
        class: "row",
        role: "option",
        id: `row-${place}`,
        "data-place": place,
        "aria-selected": place === this.active,
        "aria-posinset": place + 1,
        "aria-setsize": this.samples.length,
      },
      this.fill(this.samples[place]),
    );
    row.style.top = `${place * ROW_HEIGHT}px`;
    this.rows.set(place, row);
    this.filler.append(row);
  }
}
