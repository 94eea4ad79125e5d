// @ts-check
// The sample explorer: reads the page's columnar index, lists, filters and searches samples, draws boxes over pictures.
// Everything that comes from data is set as text; nothing is ever parsed as HTML.
"use strict";

(() => {
  /**
   * @typedef {object} Side
   * @property {string} letter How the page calls it, such as A; empty where there is one run.
   * @property {string} name
   * @property {number} colour Place of its colour and dash pattern.
   * @property {(number | null)[]} value Answer's score per sample; null: not scored.
   * @property {number[]} right 1 right, 0 wrong, -1 not scored.
   * @property {(number | null)[]} iou Overlap in ten-thousandths, rounded down; null: no gold or no known frame.
   * @property {number[]} passed How many IoU cuts it passes.
   * @property {number[]} faults Bits in the order of `faults`.
   */
  /**
   * @typedef {object} Index
   * @property {string} name Number of this list: its blocks are called after it.
   * @property {number} samples Number of samples.
   * @property {number} rows_a_block Samples in one block of texts.
   * @property {string[]} tasks
   * @property {number[]} task
   * @property {string[]} categories
   * @property {string[]} subcategories Second level.
   * @property {[number[], number[]][]} groups Sets of categories, by level, that samples count in.
   * @property {number[]} group Which of these sets each sample has.
   * @property {string[]} directions
   * @property {number[]} direction Which way the answer went.
   * @property {string[]} faults
   * @property {number[]} cuts IoU cuts in percent.
   * @property {string[]} ids
   * @property {number[]} image Number of the picture; -1: none.
   * @property {Side[]} sides One, or two that are compared.
   */
  /** @typedef {{boxes: number[][], words: string}} StepText One place that a thought looked at; in words how it lies. */
  /** @typedef {{image: number, words: string}} CropText One region that was asked for; -1: nothing was shown, or it has no picture here. */
  /** @typedef {{kind: string, label: string, boxes: number[][], steps?: StepText[]}} BoxSet Boxes of the gold or of one run, or the steps of its thought. */
  /** @typedef {{source: string, sets: BoxSet[], text: SampleText, words: string}} Picture */
  /**
   * @typedef {object} Lists
   * @property {string[]} lists Names of the lists, such as `B against A`.
   * @property {boolean} bundled Whether texts lie beside the page.
   * @property {string[]} pictures Files of the pictures beside the page; empty where they are in it.
   */
  /**
   * @typedef {object} AnswerText
   * @property {string} text Raw text, cut where it is very long.
   * @property {string | null} extracted
   * @property {number[][]} boxes In pixels of the original image.
   * @property {StepText[]} steps Where its thought looked, in order.
   * @property {CropText[]} crops Regions that it asked to see closer, in order.
   * @property {string} facts Costs and components in words.
   * @property {string} prompt As it was sent; empty where the run does not hold it.
   */
  /**
   * @typedef {object} SampleText
   * @property {string} question
   * @property {string} choices
   * @property {string} answers
   * @property {string} caption
   * @property {number[][]} boxes Gold boxes in pixels of the original image.
   * @property {number} width
   * @property {number} height
   * @property {string} pictures Sizes of several pictures, which stand side by side; empty where there is one.
   * @property {AnswerText[]} sides
   */
  /**
   * What is looked at: filters, order, and by `of` and `id` the one sample that was asked for.
   * @typedef {{q: string, texts: boolean, task: string, cat: string, sub: string, list: number, flip: string, qa: string, qb: string, fault: string, sort: string, cut: number, of: string, id: string}} State
   */
  /** @typedef {{task: number, cat: number, sub: number}} Codes Codes of the names that are filtered by; -1: there is no such name. */

  /** Stands for the sample of a picture whose size nobody told. @type {SampleText} */
  const UNSIZED = { question: "", choices: "", answers: "", caption: "", boxes: [], width: 0, height: 0, pictures: "", sides: [] };
  const ROW_PX = 46;
  const OVERSCAN = 8;
  const DEFAULT_CUT = 50;
  const BLOCKS_KEPT = 12;
  const NARROW = matchMedia("(max-width: 760px)");
  const TEXTS = /** @type {const} */ (["q", "task", "cat", "sub", "flip", "qa", "qb", "fault", "sort", "of", "id"]);
  const CHOICES = /** @type {const} */ (["task", "cat", "sub", "flip", "qa", "qb", "fault", "sort"]);
  const ZOOMS = 1.5;
  const MOST_CELL_CHARACTERS = 32_000;
  const STAGE = /<(\/?)(caption|bbox|thinking|think|answer)>/gi;
  const QUADRANTS = ["right answer, right place", "right answer, wrong place", "wrong answer, right place", "wrong answer, wrong place"];
  /** @type {Record<string, [mark: string, kind: string, words: string]>} */
  const DIRECTIONS = {
    lost: ["▼", "broken", "lost: right before, wrong now"],
    gained: ["▲", "fixed", "gained: wrong before, right now"],
    kept_right: ["✓", "same", "right in both"],
    kept_wrong: ["✗", "same", "wrong in both"],
    right: ["✓", "same", "right"],
    wrong: ["✗", "same", "wrong"],
    unscored: ["–", "same", "unscored"],
  };

  // --- elements ---

  /** @param {string} id */
  const byId = (id) => document.getElementById(id);

  /**
   * @param {string} tag
   * @param {Record<string, string>} [attributes]
   * @param {...(Node | string)} children
   * @returns {HTMLElement}
   */
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  /**
   * @param {string} tag
   * @param {Record<string, string>} attributes
   * @param {...(Node | string)} children
   */
  const drawn = (tag, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // --- blocks of data ---

  /** @param {string} base64 @returns {Promise<any>} */
  const unpack = async (base64) => {
    const binary = atob(base64);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  };

  /** @type {Map<string, (base64: string) => void>} */
  const awaited = new Map();
  Object.defineProperty(window, "satoriShard", {
    value: (/** @type {string} */ name, /** @type {string} */ base64) => awaited.get(name)?.(base64),
  });

  /**
   * Return a block's text: from a file beside the page, or from the page once the parser has come to it.
   * @param {string} name
   * @param {boolean} bundled
   * @returns {Promise<string>}
   */
  const blockText = (name, bundled) =>
    new Promise((resolve, reject) => {
      if (bundled) {
        awaited.set(name, resolve);
        const script = document.createElement("script");
        script.src = `shards/${name}.js`;
        script.onerror = () => reject(new Error(`shards/${name}.js is not beside this page`));
        document.head.append(script);
        return;
      }
      const find = () => {
        const block = byId(name);
        if (block) resolve(block.textContent ?? "");
        else reject(new Error(`the page has no block ${name}`));
      };
      if (byId(name) || document.readyState !== "loading") find();
      else document.addEventListener("DOMContentLoaded", find, { once: true });
    });

  // --- the page without samples: the cut of the quadrants ---

  /** @param {number} percent */
  const showCut = (percent) => {
    const slider = byId("cut");
    if (slider instanceof HTMLInputElement && Number(slider.value) !== percent) slider.value = String(percent);
    for (const place of document.querySelectorAll(".cut-now")) place.textContent = (percent / 100).toFixed(2);
    const cells = cuts[String(percent)];
    if (!cells) return;
    for (const [id, text, level] of cells) {
      const cell = byId(id);
      if (!cell) continue;
      const link = cell.querySelector("a");
      (link ?? cell).textContent = text;
      if (link) link.setAttribute("href", withCut(link.hash, percent));
      cell.dataset.level = String(level);
    }
  };

  /** Return an address that counts right places from another cut. @param {string} hash @param {number} percent */
  const withCut = (hash, percent) => {
    const parts = new URLSearchParams(hash.slice(1));
    if (percent === DEFAULT_CUT) parts.delete("cut");
    else parts.set("cut", String(percent));
    return `#${parts.toString()}`;
  };

  /** @type {Record<string, [string, string, number][]>} */
  let cuts = {};

  // --- the explorer ---

  class Explorer {
    /** @param {Index} index @param {Lists} lists @param {HTMLElement} root */
    constructor(index, lists, root) {
      this.index = index;
      this.lists = lists;
      this.root = root;
      /** @type {State} */
      this.state = Explorer.initialState();
      /** @type {Codes} */
      this.codes = { task: -1, cat: -1, sub: -1 };
      this.rows = new Int32Array(0);
      /** Place of the selected row; -1 where none is. */
      this.selected = -1;
      /** The sample that is shown; -1 where none is. */
      this.current = -1;
      /** What is wrong with the address, to be told in place of a sample. */
      this.trouble = "";
      /** The control that changed last: what is typed into one field is one step back. */
      this.lastChanged = "";
      this.search = 0;
      /** @type {string[] | null} */
      this.haystack = null;
      /** @type {string[] | null} */
      this.questions = null;
      /** @type {Map<number, Promise<SampleText[]>>} */
      this.blocks = new Map();
      /** @type {Map<number, HTMLElement>} */
      this.shown = new Map();
      this.list = /** @type {HTMLElement} */ (root.querySelector(".list"));
      this.spacer = /** @type {HTMLElement} */ (root.querySelector(".spacer"));
      this.pane = /** @type {HTMLElement} */ (root.querySelector(".pane"));
      this.detail = /** @type {HTMLElement} */ (root.querySelector(".detail"));
      this.status = /** @type {HTMLElement} */ (root.querySelector(".count-now"));
      this.viewer = new Viewer();
      this.listen();
      this.offer();
    }

    listen() {
      for (const control of this.root.querySelectorAll("[data-filter]")) {
        control.addEventListener("input", () => void this.changed(control.getAttribute("data-filter") ?? ""));
      }
      this.root.querySelector("[data-reset]")?.addEventListener("click", () => {
        const { cut, list } = this.state;
        void this.restore({ ...Explorer.initialState(), cut, list }).then(() => this.keepAddress(true));
      });
      for (const button of this.root.querySelectorAll("[data-export]")) {
        button.addEventListener("click", () => void this.exported(button.getAttribute("data-export") === "csv"));
      }
      for (const button of this.root.querySelectorAll("[data-walk]")) {
        const step = Number(button.getAttribute("data-walk"));
        button.addEventListener("click", () => (step ? this.move(step) : this.backToList()));
      }
      const more = this.root.querySelector("details.more");
      const fold = () => more?.toggleAttribute("open", !NARROW.matches);
      NARROW.addEventListener("change", fold);
      fold();
      this.list.addEventListener("scroll", () => this.draw(), { passive: true });
      new ResizeObserver(() => this.draw()).observe(this.list);
      window.addEventListener("popstate", (event) => {
        if (event.state?.explorer) void this.restore(event.state.explorer);
        else void this.follow(location.hash);
      });
      document.addEventListener("click", (event) => this.clicked(event));
      document.addEventListener("keydown", (event) => this.key(event));
    }

    /** @returns {State} */
    static initialState() {
      return { q: "", texts: false, task: "", cat: "", sub: "", list: 0, flip: "", qa: "", qb: "", fault: "", sort: "", cut: DEFAULT_CUT, of: "", id: "" };
    }

    /** Take up another list of samples. @param {number} number */
    async turnTo(number) {
      if (this.index.name === String(number)) return;
      const index = /** @type {Index} */ (await unpack(await blockText(`index-${number}`, false)));
      if (this.state.list !== number) return; // another one was asked for meanwhile
      this.index = index;
      this.haystack = null;
      this.questions = null;
      this.blocks.clear();
      this.offer();
    }

    // What is compared

    get single() {
      return this.index.sides.length === 1;
    }

    get before() {
      return /** @type {Side} */ (this.index.sides[0]);
    }

    get now() {
      return this.index.sides[1] ?? this.before;
    }

    /** @param {number} sample */
    direction(sample) {
      return this.index.directions[this.index.direction[sample] ?? -1] ?? "unscored";
    }

    /** @param {Side} side @param {number} sample @returns {number} 0 to 3, or -1 where it has none */
    quadrant(side, sample) {
      const right = side.right[sample] ?? -1;
      if (right < 0 || side.iou[sample] === null) return -1;
      const place = (side.passed[sample] ?? 0) > this.index.cuts.indexOf(this.state.cut);
      return (right ? 0 : 2) + (place ? 0 : 1);
    }

    /** @param {number} sample */
    taskOf(sample) {
      return this.index.tasks[this.index.task[sample] ?? -1] ?? "";
    }

    /** @param {number} sample @returns {[string[], string[]]} names of both levels */
    categoriesOf(sample) {
      const [first, second] = this.index.groups[this.index.group[sample] ?? -1] ?? [[], []];
      return [first.map((code) => this.index.categories[code] ?? ""), second.map((code) => this.index.subcategories[code] ?? "")];
    }

    /** @param {Side} side @param {number} sample */
    faultsOf(side, sample) {
      const bits = side.faults[sample] ?? 0;
      return this.index.faults.filter((_, bit) => (bits & (1 << bit)) !== 0);
    }

    // Filters

    /** @param {number} sample */
    passes(sample) {
      const { index, state, codes } = this;
      if (state.task && index.task[sample] !== codes.task) return false;
      if (state.cat || state.sub) {
        const group = index.groups[index.group[sample] ?? -1];
        if (state.cat && !group?.[0].includes(codes.cat)) return false;
        if (state.sub && !group?.[1].includes(codes.sub)) return false;
      }
      if (state.flip && this.direction(sample) !== state.flip) return false;
      if (state.qa && this.quadrant(this.before, sample) !== Number(state.qa)) return false;
      if (state.qb && this.quadrant(this.now, sample) !== Number(state.qb)) return false;
      return !state.fault || this.hasFault(sample);
    }

    /** @param {number} sample */
    hasFault(sample) {
      const [side, name] = this.state.fault.includes(":") ? this.state.fault.split(":", 2) : ["", this.state.fault];
      const place = this.index.faults.indexOf(name ?? "");
      if (place < 0) return false;
      const sides = side === "a" ? [this.before] : side === "b" ? [this.now] : this.index.sides;
      return sides.some((one) => ((one.faults[sample] ?? 0) & (1 << place)) !== 0);
    }

    async apply() {
      const turn = (this.search += 1);
      const words = this.state.q.trim().toLowerCase();
      if (words) await this.findQuestions();
      if (turn !== this.search) return;
      const { index, state, haystack } = this;
      this.codes = {
        task: index.tasks.indexOf(state.task),
        cat: index.categories.indexOf(state.cat),
        sub: index.subcategories.indexOf(state.sub),
      };
      /** @type {number[]} */
      const found = [];
      /** @type {number[]} */
      const rest = [];
      for (let sample = 0; sample < index.samples; sample += 1) {
        if (!this.passes(sample)) continue;
        if (!words || haystack?.[sample]?.includes(words)) found.push(sample);
        else rest.push(sample);
      }
      this.show(found);
      if (words && state.texts) await this.searchTexts(turn, words, found, rest);
      this.root.dataset.settled = String(turn);
    }

    async findQuestions() {
      if (this.haystack) return;
      const questions = await this.loadQuestions();
      this.haystack = this.index.ids.map((id, sample) => `${id} ${questions[sample] ?? ""}`.toLowerCase());
    }

    async loadQuestions() {
      if (!this.questions) {
        this.questions = /** @type {string[]} */ (await unpack(await blockText(`questions-${this.index.name}`, false)));
        this.draw(true);
      }
      return this.questions;
    }

    /** @param {Iterable<number>} samples @returns {Map<number, number[]>} the samples by their block of texts */
    byBlock(samples) {
      /** @type {Map<number, number[]>} */
      const blocks = new Map();
      for (const sample of samples) {
        const block = Math.floor(sample / this.index.rows_a_block);
        const members = blocks.get(block);
        if (members) members.push(sample);
        else blocks.set(block, [sample]);
      }
      return blocks;
    }

    /** @param {number} turn @param {string} words @param {number[]} found @param {number[]} rest */
    async searchTexts(turn, words, found, rest) {
      const size = this.index.rows_a_block;
      const blocks = this.byBlock(rest);
      let done = 0;
      for (const [block, members] of blocks) {
        this.say(`searching the texts: ${done} of ${blocks.size} blocks`);
        const texts = await this.block(block);
        if (turn !== this.search) return;
        for (const sample of members) {
          const text = texts[sample - block * size];
          const whole = text ? [text.question, text.answers, ...text.sides.map((side) => side.text)] : [];
          if (whole.some((part) => part.toLowerCase().includes(words))) found.push(sample);
        }
        done += 1;
      }
      found.sort((left, right) => left - right);
      this.show(found);
    }

    /** @param {number[]} found */
    show(found) {
      const order = this.order();
      if (order) found = [...found].sort((left, right) => order(left, right) || left - right);
      this.rows = Int32Array.from(found);
      this.spacer.style.height = `${this.rows.length * ROW_PX}px`;
      this.list.setAttribute("aria-setsize", String(this.rows.length));
      this.say("");
      this.draw(true);
      this.openAsked();
    }

    /** @returns {((left: number, right: number) => number) | null} null: as stored */
    order() {
      const { before, now, index } = this;
      const change = (/** @type {number} */ sample) => (now.value[sample] ?? 0) - (before.value[sample] ?? 0);
      const overlap = (/** @type {number} */ sample) => (now.iou[sample] ?? 0) - (before.iou[sample] ?? 0);
      /** @param {(sample: number) => number | null | undefined} key @param {1 | -1} sign */
      const by = (key, sign) => (/** @type {number} */ left, /** @type {number} */ right) => {
        const [one, other] = [key(left) ?? null, key(right) ?? null];
        if (one === null || other === null) return Number(one === null) - Number(other === null); // no value: last
        return sign * (one - other);
      };
      /** @param {...(left: number, right: number) => number} orders */
      const then = (...orders) => (/** @type {number} */ left, /** @type {number} */ right) => {
        for (const order of orders) {
          const found = order(left, right);
          if (found) return found;
        }
        return 0;
      };
      switch (this.state.sort) {
        case "change":
          return then(by((sample) => Math.abs(change(sample)), -1), by((sample) => Math.abs(overlap(sample)), -1));
        case "worse":
          return then(by(change, 1), by(overlap, 1));
        case "better":
          return then(by(change, -1), by(overlap, -1));
        case "score":
          return by((sample) => now.value[sample], 1);
        case "score-high":
          return by((sample) => now.value[sample], -1);
        case "iou":
          return by((sample) => now.iou[sample], 1);
        case "iou-high":
          return by((sample) => now.iou[sample], -1);
        case "faults":
          return by((sample) => bitsIn(now.faults[sample] ?? 0), -1);
        case "id": {
          const names = new Intl.Collator("en", { numeric: true });
          return (left, right) => names.compare(index.ids[left] ?? "", index.ids[right] ?? "");
        }
        default:
          return null;
      }
    }

    /** @param {string} progress */
    say(progress) {
      const all = this.index.samples;
      const shown = this.rows.length;
      this.status.textContent = progress || (shown === all ? `${all} samples` : `${shown} of ${all} samples`);
    }

    // The list

    /** @param {boolean} [again] whether rows that are there are drawn anew */
    draw(again = false) {
      const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_PX) - OVERSCAN);
      const last = Math.min(this.rows.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / ROW_PX) + OVERSCAN);
      for (const [place, element] of this.shown) {
        if (again || place < first || place >= last) {
          element.remove();
          this.shown.delete(place);
        }
      }
      for (let place = first; place < last; place += 1) {
        if (this.shown.has(place)) continue;
        const element = this.row(place);
        this.shown.set(place, element);
        this.spacer.append(element);
      }
    }

    /** @param {number} place */
    row(place) {
      const sample = this.rows[place] ?? 0;
      const { index } = this;
      const [mark, kind, words] = DIRECTIONS[this.direction(sample)] ?? ["", "same", ""];
      const where = [this.taskOf(sample), ...this.categoriesOf(sample)[0], index.ids[sample] ?? ""].filter(Boolean);
      const scores = make("div", { class: "scores" });
      for (const side of index.sides) {
        scores.append(make("div", {}, `${side.letter} ${scoreText(side.value[sample])}${iouText(side.iou[sample])}`.trim()));
      }
      const element = make(
        "div",
        {
          class: "row",
          role: "option",
          id: `row-${place}`,
          "aria-posinset": String(place + 1),
          "aria-setsize": String(this.rows.length),
          "aria-selected": String(place === this.selected),
        },
        make("div", { class: `mark ${kind}`, title: words }, mark),
        make(
          "div",
          { class: "what" },
          make("div", { class: "question" }, this.questions?.[sample] ?? ""),
          make("div", { class: "where" }, where.join(" · ")),
        ),
        scores,
      );
      element.style.top = `${place * ROW_PX}px`;
      element.addEventListener("click", () => {
        this.pick(place, false);
        this.keepAddress(NARROW.matches); // there the list gives way to the sample, and Back leads to it
        this.bring(false);
      });
      return element;
    }

    /** Select a row as the sample that is asked for. @param {number} place @param {boolean} scroll */
    pick(place, scroll) {
      const sample = this.rows[place] ?? 0;
      this.trouble = "";
      this.lastChanged = "";
      this.state.of = this.taskOf(sample);
      this.state.id = this.index.ids[sample] ?? "";
      this.select(place, scroll);
    }

    /** @param {number} place -1: none @param {boolean} scroll whether the list is to show it */
    select(place, scroll) {
      this.shown.get(this.selected)?.setAttribute("aria-selected", "false");
      this.selected = place;
      this.root.dataset.view = this.state.id ? "sample" : "list";
      if (place < 0) {
        this.list.removeAttribute("aria-activedescendant");
        return;
      }
      if (scroll) {
        const top = place * ROW_PX;
        const view = this.list.clientHeight;
        const seen = top >= this.list.scrollTop && top + ROW_PX <= this.list.scrollTop + view;
        if (!seen) this.list.scrollTop = Math.max(0, top - (view - ROW_PX) / 2);
        this.draw();
      }
      this.shown.get(place)?.setAttribute("aria-selected", "true");
      this.list.setAttribute("aria-activedescendant", `row-${place}`);
      void this.open(this.rows[place] ?? 0, "");
    }

    /** Open the sample that is asked for, or say why there is none; without any the first row. */
    openAsked() {
      const { id, of, task } = this.state;
      if (this.trouble) {
        this.tell(this.trouble);
      } else if (!id) {
        this.select(this.rows.length ? 0 : -1, false);
        if (!this.rows.length) this.tell("No sample passes these filters.");
      } else {
        this.openNamed(id, of || task);
      }
    }

    /** @param {string} id @param {string} task empty: any */
    openNamed(id, task) {
      const found = this.samplesOf(id, task);
      const sample = found[0];
      if (sample === undefined) {
        this.tell(`There is no sample “${id}”${task ? ` of ${task}` : ""} in this list.`);
      } else if (found.length > 1) {
        const links = found.map((one) => make("li", {}, make("a", { href: this.linkTo(one) }, this.taskOf(one))));
        this.tell(`Several benchmarks have a sample “${id}”:`, make("ul", {}, ...links));
      } else {
        const place = this.rows.indexOf(sample);
        this.select(place, true);
        if (place < 0) void this.open(sample, "This sample does not pass the filters, so the list does not hold it.");
      }
    }

    /** Say something in place of a sample. @param {string} words @param {...Node} more */
    tell(words, ...more) {
      this.select(-1, false);
      this.current = -1;
      this.detail.replaceChildren(make("div", { class: "warning", role: "status" }, make("p", {}, words), ...more));
    }

    /** @param {string} id @param {string} task empty: any @returns {number[]} */
    samplesOf(id, task) {
      /** @type {number[]} */
      const found = [];
      for (let sample = 0; sample < this.index.samples; sample += 1) {
        if (this.index.ids[sample] === id && (!task || this.taskOf(sample) === task)) found.push(sample);
      }
      return found;
    }

    /** @param {number} step */
    move(step) {
      if (!this.rows.length) return;
      this.pick(Math.min(this.rows.length - 1, Math.max(0, this.selected + step)), true);
      this.keepAddress(false);
    }

    backToList() {
      this.state.of = "";
      this.state.id = "";
      this.root.dataset.view = "list";
      this.keepAddress(false);
      this.draw();
      this.root.scrollIntoView();
    }

    /** @param {KeyboardEvent} event */
    key(event) {
      const target = event.target;
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      if (target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== "checkbox")) {
        if (event.key === "Escape") target.blur();
        return;
      }
      const inList = target === this.list;
      /** @type {Record<string, number>} */
      const steps = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 } : {}) };
      const step = steps[event.key];
      if (step) {
        event.preventDefault();
        this.move(step);
      } else if (event.key === "/") {
        event.preventDefault();
        this.root.querySelector("input")?.focus();
      }
    }

    // One sample

    /** @param {number} block @returns {Promise<SampleText[]>} */
    block(block) {
      const kept = this.blocks.get(block);
      if (kept) return kept;
      const loading = blockText(`texts-${this.index.name}-${block}`, this.lists.bundled).then(unpack);
      this.blocks.set(block, loading);
      if (this.blocks.size > BLOCKS_KEPT) {
        const oldest = this.blocks.keys().next().value;
        if (oldest !== undefined) this.blocks.delete(oldest);
      }
      return loading;
    }

    /** @param {number} sample @param {string} note what one must know of it */
    async open(sample, note) {
      this.current = sample;
      const { index } = this;
      const block = Math.floor(sample / index.rows_a_block);
      /** @type {SampleText | undefined} */
      let text;
      try {
        text = (await this.block(block))[sample - block * index.rows_a_block];
      } catch (problem) {
        this.detail.replaceChildren(make("p", {}, String(problem)));
        return;
      }
      if (!text || this.current !== sample || this.index !== index) return;
      const source = await this.source(index.image[sample] ?? -1);
      const shown = await Promise.all(text.sides.map((side) => Promise.all(side.crops.map((crop) => this.source(crop.image)))));
      if (this.current !== sample || this.index !== index) return;
      const [categories, subcategories] = this.categoriesOf(sample);
      const result = DIRECTIONS[this.direction(sample)]?.[2] ?? "";
      this.detail.replaceChildren(
        ...(note ? [make("p", { class: "warning" }, note)] : []),
        make("h3", {}, `${this.taskOf(sample)} · ${index.ids[sample] ?? ""}`),
        make("p", { class: "note" }, [...categories, ...subcategories.filter((name) => !categories.includes(name)), result].join(" · ")),
        make("div", { class: "about" }, this.picture(text, source), this.asked(text)),
        make("div", { class: "answers" }, ...index.sides.map((side, number) => this.answer(sample, side, text.sides[number], shown[number] ?? []))),
        ...this.prompts(text),
      );
      this.detail.scrollTop = 0;
    }

    /** @param {SampleText} text */
    asked(text) {
      return make(
        "div",
        {},
        make("p", { class: "question" }, text.question),
        ...(text.choices ? [make("p", { class: "question note" }, text.choices)] : []),
        facts([
          ["accepted", text.answers],
          ["caption", text.caption],
        ]),
      );
    }

    /** @param {number} sample @param {Side} side @param {AnswerText | undefined} said @param {string[]} shown Pictures of its regions. */
    answer(sample, side, said, shown) {
      const faults = this.faultsOf(side, sample);
      const links = faults.flatMap((name, place) => [place ? ", " : "", make("a", { href: `#g-${name}` }, name)]);
      const tag = side.letter ? [make("span", { class: `tag tag-${side.colour}` }, side.letter), ` ${side.name}`] : ["answer"];
      return make(
        "section",
        { class: "answer" },
        make("h4", {}, ...tag),
        facts([
          ["score", scoreText(side.value[sample])],
          ["read as", said?.extracted ?? "nothing"],
          ["IoU", iouText(side.iou[sample]).replace(" · IoU ", "")],
          ["place", QUADRANTS[this.quadrant(side, sample)] ?? ""],
          ["faults", faults.length ? make("span", {}, ...links) : ""],
          ["more", said?.facts ?? ""],
        ]),
        ...(said?.crops.length ? [this.strip(said.crops, shown)] : []),
        staged(said?.text ?? ""),
      );
    }

    /** Return the regions that a model asked to see closer, side by side in their order. @param {CropText[]} crops @param {string[]} shown */
    strip(crops, shown) {
      const items = crops.map((crop, place) => {
        const source = shown[place] ?? "";
        const caption = make("figcaption", {}, crop.words);
        if (!source) return make("figure", { class: "unseen" }, caption);
        const words = `region that the model asked to see closer: ${crop.words}`;
        const open = make("button", { type: "button", class: "enlarge", "aria-label": `enlarge the ${words}` }, make("img", { src: source, alt: words }));
        open.addEventListener("click", () => this.viewer.open({ source, sets: [], text: UNSIZED, words }));
        return make("figure", {}, open, caption);
      });
      return make("div", { class: "strip", role: "group", "aria-label": "regions seen closer" }, ...items);
    }

    /** Return the prompts as they were sent: one where both runs had the same. @param {SampleText} text */
    prompts(text) {
      const sent = text.sides.map((side, number) => ({ letter: this.index.sides[number]?.letter ?? "", prompt: side.prompt }));
      const same = sent.every((one) => one.prompt === sent[0]?.prompt);
      return (same ? sent.slice(0, 1) : sent)
        .filter((one) => one.prompt)
        .map((one) =>
          make(
            "details",
            {},
            make("summary", {}, same ? "prompt as sent" : `prompt as sent to ${one.letter}`),
            make("pre", { class: "raw" }, one.prompt),
          ),
        );
    }

    /** @param {SampleText} text @param {string} source @returns {HTMLElement} */
    picture(text, source) {
      const predicted = this.index.sides.map((side, number) => ({
        kind: `run-${side.colour}`,
        label: side.letter || "answer",
        boxes: text.sides[number]?.steps.length ? [] : (text.sides[number]?.boxes ?? []), // steps hold them already
      }));
      const walked = this.index.sides.map((side, number) => stepsOf(text.sides[number]?.steps ?? [], side));
      /** @type {BoxSet[]} */
      const sets = [{ kind: "gold", label: "gold", boxes: text.boxes }, ...predicted, ...walked].filter((set) => set.boxes.length);
      if (!source && !(sets.length && text.width && text.height)) {
        return text.pictures ? make("p", { class: "note" }, text.pictures) : make("div", { class: "nothing" });
      }
      const told = sets.map((set) => `${set.label}: ${set.boxes.map((box) => `[${box.map(round).join(", ")}]`).join(" ")}`);
      const picture = { source, sets, text, words: [`Question: ${text.question}`, `accepted: ${text.answers}`, ...told].join(". ") };
      const frame = framed(picture);
      if (text.width && text.height) frame.style.width = `min(100%, 44rem, 56vh * ${text.width / text.height})`;
      const open = make("button", { type: "button", class: "enlarge", "aria-label": `enlarge the picture. ${picture.words}` }, frame);
      open.addEventListener("click", () => this.viewer.open(picture));
      const size = text.pictures || (text.width && text.height ? `${text.width} × ${text.height} px in the benchmark` : "");
      const note = make("p", { class: "note" }, source ? size : `No picture in this page; boxes are drawn on an empty frame. ${size}`);
      const image = frame.querySelector("img");
      image?.addEventListener("load", () => {
        const smaller = size && image.naturalWidth < text.width ? `${image.naturalWidth} × ${image.naturalHeight} px here, ` : "";
        note.textContent = `${smaller}${size}${size ? " · " : ""}press it to enlarge`;
      });
      const tracks = walked.filter((set) => set.steps?.length).map((set) => track(set));
      return make("div", {}, open, legend(sets), ...tracks, note);
    }

    /** @param {number} number @returns {Promise<string>} */
    async source(number) {
      if (number < 0) return "";
      const file = this.lists.pictures[number];
      if (file) return file;
      try {
        return `data:image/webp;base64,${await blockText(`image-${number}`, false)}`;
      } catch {
        return "";
      }
    }

    // Export of the rows that pass the filters

    /** @param {boolean} csv else JSON lines */
    async exported(csv) {
      const { index, rows } = this;
      const size = index.rows_a_block;
      /** @type {string[]} */
      const lines = new Array(rows.length);
      const places = new Map([...rows].map((sample, place) => [sample, place]));
      const blocks = this.byBlock([...rows].sort((left, right) => left - right));
      let done = 0;
      for (const [block, members] of blocks) {
        this.say(`reading the texts: ${done} of ${blocks.size} blocks`);
        const texts = await this.block(block);
        if (this.index !== index) return;
        for (const sample of members) {
          const text = texts[sample - block * size];
          if (!text) continue;
          const row = this.exportedRow(sample, text);
          lines[places.get(sample) ?? 0] = csv ? csvLine(cellsOf(row)) : JSON.stringify(row);
        }
        done += 1;
      }
      this.say("");
      const head = csv ? [csvLine(csvHead(index.sides))] : [];
      const end = csv ? "\r\n" : "\n";
      save(`samples.${csv ? "csv" : "jsonl"}`, [...head, ...lines].map((line) => line + end), csv ? "text/csv" : "application/jsonl");
    }

    /** @param {number} sample @param {SampleText} text @returns {ExportedRow} */
    exportedRow(sample, text) {
      const { index } = this;
      const [categories, subcategories] = this.categoriesOf(sample);
      return {
        task: this.taskOf(sample),
        id: index.ids[sample] ?? "",
        categories,
        subcategories,
        result: this.direction(sample),
        question: text.question,
        choices: text.choices,
        accepted: text.answers,
        gold_boxes: text.boxes,
        answers: index.sides.map((side, number) => {
          const units = side.iou[sample] ?? null;
          const said = text.sides[number];
          return {
            run: side.name,
            score: side.value[sample] ?? null,
            iou: units === null ? null : units / 10_000,
            faults: this.faultsOf(side, sample),
            read_as: said?.extracted ?? null,
            boxes: said?.boxes ?? [],
            steps: (said?.steps ?? []).map((step) => step.boxes),
            text: said?.text ?? "",
            prompt: said?.prompt ?? "",
          };
        }),
      };
    }

    // Address: every state is a link, and every entry of the history keeps its state

    /** @param {Partial<State>} state */
    addressOf(state) {
      const parts = new URLSearchParams();
      const initial = Explorer.initialState();
      for (const [name, value] of Object.entries(state)) {
        if (value !== initial[/** @type {keyof State} */ (name)]) parts.set(name, String(value));
      }
      return `#${parts.toString()}`;
    }

    /** @param {number} sample */
    linkTo(sample) {
      return this.addressOf({ list: this.state.list, of: this.taskOf(sample), id: this.index.ids[sample] ?? "" });
    }

    /** Put what is seen into the address. @param {boolean} anew whether Back is to lead to what was seen before */
    keepAddress(anew) {
      const kept = { explorer: { ...this.state } };
      const address = this.addressOf(this.state);
      try {
        if (anew && address !== location.hash) history.pushState(kept, "", address);
        else history.replaceState(kept, "", address);
      } catch {
        // some viewers show the page where the address cannot change
      }
    }

    /** Note what is seen where the reader is in the history; the address stays. */
    stamp() {
      try {
        history.replaceState({ explorer: { ...this.state } }, "");
      } catch {
        // as above
      }
    }

    /** A link to samples is followed here, so that it also works when its address is there already. @param {MouseEvent} event */
    clicked(event) {
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (!link?.getAttribute("href")?.startsWith("#") || !link.hash.includes("=")) return;
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      try {
        history.pushState(null, "", link.hash);
      } catch {
        // as above
      }
      void this.follow(link.hash);
    }

    /** Show what was seen before. @param {State} state */
    async restore(state) {
      this.trouble = "";
      this.lastChanged = "";
      this.state = { ...Explorer.initialState(), ...state };
      showCut(this.state.cut);
      await this.turnTo(this.state.list);
      this.offerCategories();
      this.showControls();
      await this.apply();
    }

    /** Show what an address says. @param {string} address with its # */
    async follow(address) {
      if (!address.includes("=")) {
        if (address.length < 2) await this.restore(Explorer.initialState());
        this.stamp(); // a section of the page: the samples stay as they are
        return;
      }
      const parts = new URLSearchParams(address.slice(1));
      const state = Explorer.initialState();
      for (const name of TEXTS) state[name] = parts.get(name) ?? "";
      state.texts = parts.get("texts") === "true";
      const cut = Number(parts.get("cut") ?? this.state.cut);
      state.cut = this.index.cuts.includes(cut) ? cut : DEFAULT_CUT;
      const asked = parts.get("list") ?? "0";
      state.list = Math.max(0, this.lists.lists.findIndex((_, number) => String(number) === asked));
      const known = String(state.list) === asked;
      await this.restore(state);
      if (!known) {
        this.trouble = `This page has no comparison number ${asked}.`;
        this.openAsked();
      }
      this.stamp();
      this.bring(true);
    }

    /** Bring what is looked at into the window. @param {boolean} wide also where list and sample stand side by side */
    bring(wide) {
      if (NARROW.matches && this.state.id) this.pane.scrollIntoView();
      else if (wide) this.root.scrollIntoView();
    }

    // Controls

    /** Offer what this list has to choose from. */
    offer() {
      const { index, single } = this;
      const met = index.sides.reduce((all, side) => side.faults.reduce((bits, own) => bits | own, all), 0);
      const faults = index.faults.filter((_, bit) => met & (1 << bit));
      const [a, b] = [this.before.letter, this.now.letter];
      this.options("list", this.lists.lists.map((name, number) => [String(number), name]));
      this.options("task", [["", "all benchmarks"], ...index.tasks.map((name) => [name, name])]);
      this.offerCategories();
      this.options("flip", [["", "all samples"], ...index.directions.map((name) => [name, DIRECTIONS[name]?.[2] ?? name])]);
      const quadrants = [["", "any"], ...QUADRANTS.map((name, place) => [String(place), name])];
      this.options("qa", quadrants);
      this.options("qb", quadrants);
      this.call("qa", single ? "answer and place" : `answer and place in ${a}`);
      this.call("qb", `answer and place in ${b}`);
      this.options("fault", [
        ["", "any or none"],
        ...faults.map((name) => [name, name]),
        ...(single ? [] : faults.flatMap((name) => [[`a:${name}`, `${name} in ${a}`], [`b:${name}`, `${name} in ${b}`]])),
      ]);
      const boxed = index.sides.some((side) => side.iou.some((iou) => iou !== null));
      const of = single ? "" : ` of ${b}`;
      this.options("sort", [
        ["", "as stored"],
        ["id", "by id"],
        ...(single ? [] : [["change", "largest change first"], ["worse", "worst change first"], ["better", "best change first"]]),
        ["score", `lowest score${of} first`],
        ["score-high", `highest score${of} first`],
        ...(boxed ? [["iou", `lowest IoU${of} first`], ["iou-high", `highest IoU${of} first`]] : []),
        ...(met ? [["faults", `most faults${of} first`]] : []),
      ]);
      this.hide("list", this.lists.lists.length < 2);
      this.hide("qa", !boxed);
      this.hide("qb", !boxed || single);
      this.hide("task", index.tasks.length < 2);
      this.hide("fault", !faults.length);
      this.showControls();
    }

    /** Offer the categories that the chosen benchmark has. */
    offerCategories() {
      const { index } = this;
      const task = index.tasks.indexOf(this.state.task);
      const met = new Set(this.state.task ? index.group.filter((_, sample) => index.task[sample] === task) : index.group);
      for (const [control, level, all] of /** @type {const} */ ([["cat", 0, index.categories], ["sub", 1, index.subcategories]])) {
        const codes = new Set([...met].flatMap((group) => index.groups[group]?.[level] ?? []));
        const names = all.filter((_, code) => codes.has(code));
        this.options(control, [["", "all"], ...names.map((name) => [name, name])]);
        this.hide(control, names.length < 2);
      }
    }

    /** @param {string} name */
    control(name) {
      return /** @type {HTMLInputElement | HTMLSelectElement} */ (this.root.querySelector(`[data-filter="${name}"]`));
    }

    /** @param {string} name @param {string[][]} choices */
    options(name, choices) {
      this.control(name).replaceChildren(...choices.map(([value, text]) => make("option", { value: value ?? "" }, text ?? "")));
    }

    /** Say what a control chooses. @param {string} name @param {string} words */
    call(name, words) {
      const text = this.control(name).closest("label")?.firstChild;
      if (text) text.textContent = `${words} `;
    }

    /** @param {string} name @param {boolean} hidden */
    hide(name, hidden) {
      const label = this.control(name).closest("label");
      if (label) label.hidden = hidden;
    }

    showControls() {
      this.control("q").value = this.state.q;
      this.control("list").value = String(this.state.list);
      for (const name of CHOICES) {
        const [control, value] = [this.control(name), this.state[name]];
        if (control instanceof HTMLSelectElement && ![...control.options].some((option) => option.value === value)) {
          control.append(make("option", { value }, `${value} (not here)`));
          this.hide(name, false); // what narrows the list can be seen, and undone
        }
        control.value = value;
      }
      /** @type {HTMLInputElement} */ (this.control("texts")).checked = this.state.texts;
    }

    /** @param {string} name which control */
    async changed(name) {
      const anew = name !== "q" || this.lastChanged !== "q";
      const { task } = this.state;
      for (const choice of CHOICES) this.state[choice] = this.control(choice).value;
      this.state.q = this.control("q").value;
      this.state.list = Number(this.control("list").value || 0);
      this.state.texts = /** @type {HTMLInputElement} */ (this.control("texts")).checked;
      this.state.of = "";
      this.state.id = "";
      this.trouble = "";
      this.lastChanged = name;
      this.list.scrollTop = 0;
      await this.turnTo(this.state.list);
      if (this.state.task !== task) {
        this.offerCategories();
        for (const level of /** @type {const} */ (["cat", "sub"])) {
          const control = this.control(level);
          control.value = this.state[level];
          if (control.value !== this.state[level]) this.state[level] = control.value = ""; // none of this benchmark's
        }
      }
      this.keepAddress(anew);
      await this.apply();
    }

    /** @param {number} percent */
    cutAt(percent) {
      this.state.cut = percent;
      if (this.state.qa || this.state.qb) void this.apply();
      else if (this.current >= 0) void this.open(this.current, "");
      this.keepAddress(false);
    }
  }

  // --- the picture, large ---

  class Viewer {
    constructor() {
      this.zoom = 1;
      /** @type {HTMLElement | null} */
      this.frame = null;
      this.ratio = 1;
      this.stage = make("div", { class: "stage", tabindex: "0" });
      this.sets = make("div", { class: "sets" });
      const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) => {
        const made = make("button", { type: "button", "aria-label": name, title: name }, text);
        made.addEventListener("click", act);
        return made;
      };
      this.dialog = /** @type {HTMLDialogElement} */ (
        make(
          "dialog",
          { class: "viewer", "aria-label": "picture" },
          make(
            "div",
            { class: "tools" },
            button("−", "smaller", () => this.to(this.zoom / ZOOMS)),
            button("+", "larger", () => this.to(this.zoom * ZOOMS)),
            button("fit", "as large as the window", () => this.to(1)),
            this.sets,
            button("close", "close the picture", () => this.dialog.close()),
          ),
          this.stage,
        )
      );
      this.dialog.addEventListener("keydown", (event) => {
        const zoom = { "+": this.zoom * ZOOMS, "=": this.zoom * ZOOMS, "-": this.zoom / ZOOMS, 0: 1 }[event.key];
        if (zoom) this.to(zoom);
      });
      document.body.append(this.dialog);
    }

    /** @param {Picture} picture */
    open(picture) {
      this.frame = framed(picture);
      this.sets.replaceChildren(legend(picture.sets));
      this.stage.replaceChildren(this.frame);
      this.dialog.showModal();
      const { width, height } = picture.text;
      this.ratio = width && height ? width / height : 1;
      this.to(1);
      const image = this.frame.querySelector("img");
      image?.addEventListener("load", () => {
        if (!(width && height) && image.naturalHeight) {
          this.ratio = image.naturalWidth / image.naturalHeight;
          this.to(1);
        }
      });
    }

    /** @param {number} zoom 1: as large as the window allows */
    to(zoom) {
      this.zoom = Math.min(16, Math.max(0.25, zoom));
      const { clientWidth, clientHeight } = this.stage;
      const fitting = Math.min(clientWidth, clientHeight * this.ratio) - 4;
      if (this.frame) this.frame.style.width = `${Math.max(40, fitting * this.zoom)}px`;
    }
  }

  // --- words and drawings ---

  /** @param {number} value */
  const round = (value) => Math.round(value * 10) / 10;

  /** @param {number | null | undefined} value */
  const scoreText = (value) =>
    value === null || value === undefined ? "unscored" : value === 1 ? "✓ 1" : value === 0 ? "✗ 0" : value.toFixed(2);

  /** @param {number | null | undefined} units */
  const iouText = (units) => (units === null || units === undefined ? "" : ` · IoU ${(Math.floor(units / 10) / 1000).toFixed(3)}`);

  /** @param {number} bits */
  const bitsIn = (bits) => {
    let found = 0;
    for (let rest = bits; rest; rest &= rest - 1) found += 1;
    return found;
  };

  /** @param {[string, string | Node][]} rows */
  const facts = (rows) => {
    const list = make("dl", { class: "facts" });
    for (const [name, value] of rows) if (value) list.append(make("dt", {}, name), make("dd", {}, value));
    return list;
  };

  /**
   * Return the raw text with its stages marked: from each opening tag to its closing tag, or to the next tag.
   * @param {string} text
   */
  const staged = (text) => {
    const block = make("pre", {});
    let stage = "";
    let from = 0;
    const put = (/** @type {string} */ part) => {
      if (part) block.append(stage ? make("span", { class: `stage-${stage}` }, part) : part);
    };
    for (const found of text.matchAll(STAGE)) {
      put(text.slice(from, found.index));
      const kind = (found[2] ?? "").toLowerCase().replace(/^think$/, "thinking");
      block.append(make("span", { class: "tagtext" }, found[0]));
      stage = found[1] ? "" : kind;
      from = found.index + found[0].length;
    }
    put(text.slice(from));
    if (!text) block.append(make("span", { class: "muted" }, "(empty)"));
    return block;
  };

  /** Labels of the boxes that the reader has put away. @type {Set<string>} */
  const putAway = new Set();

  /** @param {string} label @param {boolean} on */
  const showBoxes = (label, on) => {
    if (on) putAway.delete(label);
    else putAway.add(label);
    for (const element of document.querySelectorAll("[data-boxes]")) {
      if (element.getAttribute("data-boxes") !== label) continue;
      if (element instanceof HTMLInputElement) element.checked = on;
      else if (element instanceof SVGElement) element.style.display = on ? "" : "none";
    }
  };

  /** Return the steps of a thought as one set of boxes. @param {StepText[]} steps @param {Side} side @returns {BoxSet} */
  const stepsOf = (steps, side) => ({
    kind: `run-${side.colour}`,
    label: side.letter ? `steps of ${side.letter}` : "steps",
    boxes: steps.flatMap((step) => step.boxes),
    steps,
  });

  /**
   * Return a list of steps whose buttons draw them one by one: those up to the pressed one, that one stronger.
   * @param {BoxSet} set
   */
  const track = (set) => {
    const list = make("ol", { class: "steps", "aria-label": set.label });
    const buttons = [0, ...(set.steps ?? []).map((_, place) => place + 1)].map((step) => {
      const button = make("button", { type: "button", "aria-pressed": String(step === 0) }, step ? String(step) : "all");
      button.addEventListener("click", () => {
        showStep(set.label, step);
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      });
      list.append(make("li", {}, button, step ? make("span", {}, set.steps?.[step - 1]?.words ?? "") : make("span", {}, set.label)));
      return button;
    });
    return list;
  };

  /** Draw the steps of a set up to one; 0: all alike. @param {string} label @param {number} step */
  const showStep = (label, step) => {
    for (const group of document.querySelectorAll("svg [data-step]")) {
      if (!(group instanceof SVGElement) || group.parentElement?.getAttribute("data-boxes") !== label) continue;
      const own = Number(group.dataset.step);
      group.style.display = step && own > step ? "none" : "";
      group.classList.toggle("passed", step > 0 && own < step);
    }
  };

  /** Return a line per set of boxes, with a switch that puts them away. @param {BoxSet[]} sets */
  const legend = (sets) => {
    const list = make("ul", { class: "legend" });
    for (const set of sets) {
      const line = drawn("line", { class: set.kind, x1: "0", x2: "34", y1: "5", y2: "5" });
      const box = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox", "data-boxes": set.label }));
      box.checked = !putAway.has(set.label);
      box.addEventListener("input", () => showBoxes(set.label, box.checked));
      const words = `${set.label}: ${set.boxes.length} ${set.boxes.length === 1 ? "box" : "boxes"}`;
      if (set.steps) line.setAttribute("class", `${set.kind} step`);
      list.append(make("li", {}, make("label", {}, box, drawn("svg", { viewBox: "0 0 34 10", "aria-hidden": "true" }, line), words)));
    }
    return list;
  };

  /** Return a picture with its boxes over it, or the boxes on an empty frame. @param {Picture} picture */
  const framed = ({ source, sets, text, words }) => {
    const frame = make("span", { class: source ? "picture" : "picture empty" });
    if (source) {
      const image = make("img", { alt: words, src: source });
      if (Math.max(text.width, text.height) <= 128) image.classList.add("small");
      image.addEventListener("error", () => frame.classList.add("empty"), { once: true });
      frame.append(image);
    }
    if (sets.length && text.width && text.height) frame.append(overlay(sets, text, source ? "" : words));
    return frame;
  };

  /** @param {number[][]} boxes @param {string} kind */
  const outlines = (boxes, kind) =>
    boxes.flatMap(([x1 = 0, y1 = 0, x2 = 0, y2 = 0]) => {
      const place = { x: String(x1), y: String(y1), width: String(Math.max(0, x2 - x1)), height: String(Math.max(0, y2 - y1)) };
      return [drawn("rect", { class: "halo", ...place }), drawn("rect", { class: kind, ...place })];
    });

  /**
   * Return a step's number on a tag inside of the picture, at the upper edge of its first box; each a tag further, as
   * boxes that narrow often share their corner.
   * @param {number} step @param {number} x @param {number} y @param {SampleText} text @param {string} kind
   */
  const numbered = (step, x, y, text, kind) => {
    const name = String(step);
    const size = Math.max(text.width, text.height) / 22;
    const width = size * (0.45 + 0.6 * name.length);
    const left = Math.max(0, Math.min(x + (step - 1) * width, text.width - width));
    const top = Math.max(0, Math.min(y, text.height - size));
    const tag = { x: String(left), y: String(top), width: String(width), height: String(size) };
    const label = { x: String(left + width / 2), y: String(top + size * 0.8), "font-size": String(size * 0.85) };
    return [drawn("rect", { class: `tag ${kind}`, ...tag }), drawn("text", { class: "tag", ...label }, name)];
  };

  /** @param {BoxSet[]} sets @param {SampleText} text @param {string} words */
  const overlay = (sets, text, words) => {
    const svg = drawn("svg", { class: "boxes", viewBox: `0 0 ${text.width} ${text.height}`, preserveAspectRatio: "none" });
    if (words) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", words);
      svg.classList.add("frame");
    } else svg.setAttribute("aria-hidden", "true");
    for (const set of sets) {
      const group = drawn("g", { "data-boxes": set.label });
      if (putAway.has(set.label)) group.style.display = "none";
      if (set.steps) {
        set.steps.forEach((step, place) => {
          const one = drawn("g", { "data-step": String(place + 1) }, ...outlines(step.boxes, `${set.kind} step`));
          const [x1, y1] = step.boxes[0] ?? [];
          if (x1 !== undefined && y1 !== undefined) one.append(...numbered(place + 1, x1, y1, text, set.kind));
          group.append(one);
        });
      } else group.append(...outlines(set.boxes, set.kind));
      svg.append(group);
    }
    return svg;
  };

  // --- export ---

  /**
   * @typedef {{run: string, score: number | null, iou: number | null, faults: string[], read_as: string | null, boxes: number[][], steps: number[][][], text: string, prompt: string}} ExportedAnswer
   * @typedef {{task: string, id: string, categories: string[], subcategories: string[], result: string, question: string, choices: string, accepted: string, gold_boxes: number[][], answers: ExportedAnswer[]}} ExportedRow
   */

  /** @param {Side[]} sides @returns {string[]} */
  const csvHead = (sides) => [
    ...["task", "id", "category", "second level", "result", "question", "choices", "accepted", "gold boxes"],
    ...sides.flatMap(({ letter }) =>
      ["run", "score", "IoU", "faults", "read as", "boxes", "text"].map((name) => (letter ? `${letter} ${name}` : name)),
    ),
  ];

  /** @param {ExportedRow} row @returns {(string | number | null)[]} */
  const cellsOf = (row) => [
    row.task,
    row.id,
    row.categories.join("; "),
    row.subcategories.join("; "),
    row.result,
    row.question,
    row.choices,
    row.accepted,
    JSON.stringify(row.gold_boxes),
    ...row.answers.flatMap((one) => [one.run, one.score, one.iou, one.faults.join(" "), one.read_as, JSON.stringify(one.boxes), one.text]),
  ];

  /**
   * Return a line of RFC 4180 in which no spreadsheet takes a text for a formula: `csv_cell` of reports/texts/visible.py.
   * @param {(string | number | null)[]} cells
   */
  const csvLine = (cells) =>
    cells
      .map((cell) => {
        if (cell === null) return "";
        if (typeof cell === "number") return String(cell);
        const text = cell.slice(0, MOST_CELL_CHARACTERS);
        const safe = /^[ \n]*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
        return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
      })
      .join(",");

  /** Let the browser keep a file. @param {string} name @param {string[]} parts @param {string} type */
  const save = (name, parts, type) => {
    const address = URL.createObjectURL(new Blob(parts, { type: `${type};charset=utf-8` }));
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  };

  // --- start ---

  const cutBlock = byId("cuts");
  const slider = byId("cut");
  /** @type {Explorer | null} */
  let explorer = null;
  if (cutBlock && slider instanceof HTMLInputElement) {
    cuts = JSON.parse(cutBlock.textContent ?? "{}");
    slider.disabled = false;
    slider.addEventListener("input", () => {
      showCut(Number(slider.value));
      explorer?.cutAt(Number(slider.value));
    });
  }
  const root = byId("explorer");
  const listsBlock = byId("lists");
  if (root && listsBlock) {
    const lists = /** @type {Lists} */ (JSON.parse(listsBlock.textContent ?? "{}"));
    root.hidden = false;
    void blockText("index-0", false)
      .then(unpack)
      .then(async (/** @type {Index} */ index) => {
        explorer = new Explorer(index, lists, root);
        const kept = /** @type {{explorer?: State} | null} */ (history.state)?.explorer;
        if (kept) await explorer.restore(kept); // the page was left, or loaded again
        else if (location.hash.includes("=")) await explorer.follow(location.hash);
        else await explorer.restore(Explorer.initialState()).then(() => explorer?.stamp());
        performance.mark("list-ready");
        root.dataset.ready = "yes";
        await explorer.loadQuestions();
      });
  }
})();
