// @ts-check
// The sample explorer: reads the page's columnar index, lists, filters and searches samples, draws boxes over pictures.
// Everything that comes from data is set as text; nothing is ever parsed as HTML.
"use strict";

(() => {
  /**
   * @typedef {object} Side
   * @property {string} letter How the page calls it, such as A.
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
   * @property {number[]} category
   * @property {string[]} directions
   * @property {number[]} direction Which way the answer went.
   * @property {string[]} faults
   * @property {number[]} cuts IoU cuts in percent.
   * @property {string[]} ids
   * @property {number[]} image Number of the picture; -1: none.
   * @property {Side[]} sides One, or two that are compared.
   */
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
   * @property {AnswerText[]} sides
   */
  /** @typedef {{q: string, texts: boolean, task: string, cat: string, list: number, flip: string, qa: string, qb: string, fault: string, sort: string, cut: number, id: string}} State */

  const ROW_PX = 46;
  const OVERSCAN = 8;
  const BLOCKS_KEPT = 12;
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
   * @param {...Node} children
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

  // --- the page without samples: theme and the cut of the quadrants ---

  const theme = () => {
    const button = byId("theme");
    if (!button) return;
    const root = document.documentElement;
    const set = (/** @type {string} */ wanted) => {
      if (wanted) root.dataset.theme = wanted;
      else delete root.dataset.theme;
      button.textContent = wanted === "dark" ? "dark" : wanted === "light" ? "light" : "auto";
      button.setAttribute("aria-label", `colours: ${button.textContent}; press to change`);
    };
    let stored = "";
    try {
      stored = localStorage.getItem("satori-theme") ?? "";
    } catch {
      // a page opened from disk may have no storage
    }
    set(stored === "dark" || stored === "light" ? stored : "");
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = { "": "dark", dark: "light", light: "" }[root.dataset.theme ?? ""] ?? "";
      set(next);
      try {
        localStorage.setItem("satori-theme", next);
      } catch {
        // as above
      }
    });
  };

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
      (cell.querySelector("a") ?? cell).textContent = text;
      cell.dataset.level = String(level);
    }
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
      this.rows = new Int32Array(0);
      this.selected = -1;
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
      this.detail = /** @type {HTMLElement} */ (root.querySelector(".detail"));
      this.status = /** @type {HTMLElement} */ (root.querySelector(".count-now"));
      for (const control of root.querySelectorAll("[data-filter]")) {
        control.addEventListener("input", () => void this.changed());
      }
      root.querySelector("[data-reset]")?.addEventListener("click", () => {
        const { cut, list } = this.state;
        this.state = { ...Explorer.initialState(), cut, list };
        this.showControls();
        void this.apply();
      });
      this.offer();
      this.list.addEventListener("scroll", () => this.draw(), { passive: true });
      new ResizeObserver(() => this.draw()).observe(this.list);
      window.addEventListener("hashchange", () => void this.follow(true));
      document.addEventListener("keydown", (event) => this.key(event));
    }

    /** @returns {State} */
    static initialState() {
      return { q: "", texts: false, task: "", cat: "", list: 0, flip: "", qa: "", qb: "", fault: "", sort: "", cut: 50, id: "" };
    }

    /** Take up another list of samples. @param {number} number */
    async turnTo(number) {
      if (this.index.name === String(number)) return;
      const index = /** @type {Index} */ (await unpack(await blockText(`index-${number}`, false)));
      this.index = index;
      this.haystack = null;
      this.questions = null;
      this.blocks.clear();
      this.offer();
    }

    // What is compared

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

    // Filters

    /** @param {number} sample */
    passes(sample) {
      const { index, state } = this;
      if (state.task && index.tasks[index.task[sample] ?? -1] !== state.task) return false;
      if (state.cat && index.categories[index.category[sample] ?? -1] !== state.cat) return false;
      if (state.flip && this.direction(sample) !== state.flip) return false;
      if (state.qa && this.quadrant(this.before, sample) !== Number(state.qa)) return false;
      if (state.qb && this.quadrant(this.now, sample) !== Number(state.qb)) return false;
      return !state.fault || this.hasFault(sample);
    }

    /** @param {number} sample */
    hasFault(sample) {
      const [side, name] = this.state.fault.includes(":") ? this.state.fault.split(":", 2) : ["", this.state.fault];
      const bit = 1 << this.index.faults.indexOf(name ?? "");
      const sides = side === "a" ? [this.before] : side === "b" ? [this.now] : this.index.sides;
      return sides.some((one) => ((one.faults[sample] ?? 0) & bit) !== 0);
    }

    async apply() {
      const turn = (this.search += 1);
      const words = this.state.q.trim().toLowerCase();
      if (words) await this.findQuestions();
      if (turn !== this.search) return;
      const haystack = this.haystack;
      /** @type {number[]} */
      const found = [];
      /** @type {number[]} */
      const rest = [];
      for (let sample = 0; sample < this.index.samples; sample += 1) {
        if (!this.passes(sample)) continue;
        if (!words || haystack?.[sample]?.includes(words)) found.push(sample);
        else rest.push(sample);
      }
      this.show(found);
      this.keepAddress();
      if (words && this.state.texts) await this.searchTexts(turn, words, found, rest);
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

    /** @param {number} turn @param {string} words @param {number[]} found @param {number[]} rest */
    async searchTexts(turn, words, found, rest) {
      const size = this.index.rows_a_block;
      /** @type {Map<number, number[]>} */
      const byBlock = new Map();
      for (const sample of rest) {
        const block = Math.floor(sample / size);
        const members = byBlock.get(block);
        if (members) members.push(sample);
        else byBlock.set(block, [sample]);
      }
      let done = 0;
      for (const [block, members] of byBlock) {
        this.say(`searching the texts: ${done} of ${byBlock.size} blocks`);
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
      if (order) found = [...found].sort(order);
      this.rows = Int32Array.from(found);
      this.spacer.style.height = `${this.rows.length * ROW_PX}px`;
      this.list.setAttribute("aria-setsize", String(this.rows.length));
      this.say("");
      this.draw(true);
      const wanted = this.state.id ? this.rows.indexOf(this.sampleOf(this.state.id, this.state.task)) : -1;
      this.select(wanted >= 0 ? wanted : this.rows.length ? 0 : -1, wanted >= 0);
    }

    /** @returns {((left: number, right: number) => number) | null} */
    order() {
      const { before, now } = this;
      const change = (/** @type {number} */ sample) => (now.value[sample] ?? 0) - (before.value[sample] ?? 0);
      const overlap = (/** @type {number} */ sample) => (now.iou[sample] ?? 0) - (before.iou[sample] ?? 0);
      const iou = (/** @type {number} */ sample) => now.iou[sample] ?? 100_000;
      switch (this.state.sort) {
        case "worse":
          return (left, right) => change(left) - change(right) || overlap(left) - overlap(right) || left - right;
        case "better":
          return (left, right) => change(right) - change(left) || overlap(right) - overlap(left) || left - right;
        case "iou":
          return (left, right) => iou(left) - iou(right) || left - right;
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
      const direction = this.direction(sample);
      const [mark, kind, words] = DIRECTIONS[direction] ?? ["", "same", ""];
      const category = index.categories[index.category[sample] ?? -1] ?? "";
      const where = [index.tasks[index.task[sample] ?? -1] ?? "", category, index.ids[sample] ?? ""].filter(Boolean);
      const scores = make("div", { class: "scores" });
      for (const side of index.sides) {
        scores.append(make("div", {}, `${side.letter} ${scoreText(side.value[sample])}${iouText(side.iou[sample])}`));
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
      element.addEventListener("click", () => this.select(place, false));
      return element;
    }

    /** @param {number} place @param {boolean} scroll */
    select(place, scroll) {
      const before = this.shown.get(this.selected);
      if (before) before.setAttribute("aria-selected", "false");
      this.selected = place;
      if (place < 0) {
        this.list.removeAttribute("aria-activedescendant");
        this.detail.replaceChildren(make("p", { class: "muted" }, "No sample passes these filters."));
        return;
      }
      if (scroll) {
        const top = place * ROW_PX;
        const view = this.list.clientHeight;
        if (top < this.list.scrollTop) this.list.scrollTop = top;
        else if (top + ROW_PX > this.list.scrollTop + view) this.list.scrollTop = top + ROW_PX - view;
        this.draw();
      }
      this.shown.get(place)?.setAttribute("aria-selected", "true");
      this.list.setAttribute("aria-activedescendant", `row-${place}`);
      void this.open(this.rows[place] ?? 0);
    }

    /** @param {number} step */
    move(step) {
      if (!this.rows.length) return;
      const place = Math.min(this.rows.length - 1, Math.max(0, this.selected + step));
      this.state.id = this.index.ids[this.rows[place] ?? 0] ?? "";
      this.select(place, true);
      this.keepAddress();
    }

    /** @param {KeyboardEvent} event */
    key(event) {
      const target = event.target;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) {
        if (event.key === "Escape") target.blur();
        return;
      }
      const inList = target === this.list;
      const step =
        event.key === "j" || (inList && event.key === "ArrowDown")
          ? 1
          : event.key === "k" || (inList && event.key === "ArrowUp")
            ? -1
            : inList && event.key === "PageDown"
              ? 10
              : inList && event.key === "PageUp"
                ? -10
                : 0;
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

    /** @param {number} sample */
    async open(sample) {
      const block = Math.floor(sample / this.index.rows_a_block);
      /** @type {SampleText | undefined} */
      let text;
      try {
        text = (await this.block(block))[sample - block * this.index.rows_a_block];
      } catch (problem) {
        this.detail.replaceChildren(make("p", {}, String(problem)));
        return;
      }
      if (!text || this.rows[this.selected] !== sample) return;
      const { index } = this;
      const picture = await this.picture(sample, text);
      if (this.rows[this.selected] !== sample) return;
      const category = index.categories[index.category[sample] ?? -1] ?? "";
      this.detail.replaceChildren(
        make("h3", {}, `${index.tasks[index.task[sample] ?? -1] ?? ""} · ${index.ids[sample] ?? ""}`),
        make("p", { class: "note" }, [category, DIRECTIONS[this.direction(sample)]?.[2] ?? ""].filter(Boolean).join(" · ")),
        make("p", { class: "question" }, text.question),
        ...(text.choices ? [make("p", { class: "question note" }, text.choices)] : []),
        facts([
          ["accepted", text.answers],
          ["caption", text.caption],
        ]),
        ...picture,
        make("div", { class: "answers" }, ...index.sides.map((side, number) => this.answer(sample, side, text.sides[number]))),
      );
      this.detail.scrollTop = 0;
    }

    /** @param {number} sample @param {Side} side @param {AnswerText | undefined} said */
    answer(sample, side, said) {
      const bits = side.faults[sample] ?? 0;
      const faults = this.index.faults.filter((_, bit) => (bits & (1 << bit)) !== 0);
      const quadrant = QUADRANTS[this.quadrant(side, sample)] ?? "";
      const title = make("h4", {}, make("span", { class: `tag tag-${side.colour}` }, side.letter), ` ${side.name}`);
      return make(
        "section",
        { class: "answer" },
        title,
        facts([
          ["score", scoreText(side.value[sample])],
          ["read as", said?.extracted ?? "nothing"],
          ["IoU", iouText(side.iou[sample]).replace(" · IoU ", "")],
          ["place", quadrant],
          ["faults", faults.join(", ")],
          ["more", said?.facts ?? ""],
        ]),
        staged(said?.text ?? ""),
        ...(said?.prompt ? [make("details", {}, make("summary", {}, "prompt as sent"), make("pre", { class: "raw" }, said.prompt))] : []),
      );
    }

    /** @param {number} sample @param {SampleText} text @returns {Promise<Node[]>} */
    async picture(sample, text) {
      const predicted = this.index.sides.map((side, number) => ({
        kind: `run-${side.colour}`,
        label: side.letter,
        boxes: text.sides[number]?.boxes ?? [],
      }));
      const sets = [{ kind: "gold", label: "gold", boxes: text.boxes }, ...predicted].filter((set) => set.boxes.length);
      const source = await this.source(this.index.image[sample] ?? -1);
      if (!source && !(sets.length && text.width && text.height)) return [];
      const told = sets.map((set) => `${set.label}: ${set.boxes.map((box) => `[${box.map(round).join(", ")}]`).join(" ")}`);
      const frame = make("div", { class: source ? "picture" : "picture empty" });
      const words = [`Question: ${text.question}`, `accepted: ${text.answers}`, ...told].join(". ");
      if (source) {
        const image = /** @type {HTMLImageElement} */ (make("img", { alt: words, src: source }));
        if (Math.max(text.width, text.height) <= 128) image.classList.add("small");
        image.addEventListener("error", () => frame.classList.add("empty"), { once: true });
        frame.append(image);
      }
      if (sets.length && text.width && text.height) frame.append(overlay(sets, text, source ? "" : words));
      const legend = make("ul", { class: "legend" });
      for (const set of sets) {
        const line = drawn("line", { class: set.kind, x1: "0", x2: "34", y1: "5", y2: "5" });
        const sample_line = drawn("svg", { viewBox: "0 0 34 10", "aria-hidden": "true" }, line);
        legend.append(make("li", {}, sample_line, `${set.label}: ${set.boxes.length} ${set.boxes.length === 1 ? "box" : "boxes"}`));
      }
      const note = source ? [] : [make("p", { class: "note" }, "No picture in this page; boxes are drawn on an empty frame.")];
      return [frame, legend, ...note];
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

    // Address: every state is a link

    keepAddress() {
      const parts = new URLSearchParams();
      const initial = Explorer.initialState();
      for (const [name, value] of Object.entries(this.state)) {
        if (value !== initial[/** @type {keyof State} */ (name)]) parts.set(name, String(value));
      }
      try {
        history.replaceState(null, "", `#${parts.toString()}`);
      } catch {
        // some viewers show the page where the address cannot change
      }
    }

    /** @param {string} id @param {string} task @returns {number} */
    sampleOf(id, task) {
      const { index } = this;
      for (let sample = 0; sample < index.samples; sample += 1) {
        if (index.ids[sample] === id && (!task || index.tasks[index.task[sample] ?? -1] === task)) return sample;
      }
      return -1;
    }

    /** @param {boolean} scroll whether to bring the explorer into view */
    async follow(scroll) {
      const address = location.hash.slice(1);
      if (!address.includes("=")) {
        if (!scroll) await this.apply();
        return;
      }
      const parts = new URLSearchParams(address);
      const state = Explorer.initialState();
      for (const name of /** @type {const} */ (["q", "task", "cat", "flip", "qa", "qb", "fault", "sort", "id"])) {
        state[name] = parts.get(name) ?? "";
      }
      state.texts = parts.get("texts") === "true";
      const list = Number(parts.get("list") ?? 0);
      state.list = Number.isInteger(list) && list >= 0 && list < this.lists.lists.length ? list : 0;
      const cut = Number(parts.get("cut") ?? this.state.cut);
      state.cut = this.index.cuts.includes(cut) ? cut : 50;
      this.state = state;
      showCut(state.cut);
      await this.turnTo(state.list);
      this.showControls();
      if (scroll) this.root.scrollIntoView();
      await this.apply();
    }

    // Controls

    /** Offer what this list has to choose from. */
    offer() {
      const { index } = this;
      const single = index.sides.length === 1;
      const met = index.sides.reduce((all, side) => side.faults.reduce((bits, own) => bits | own, all), 0);
      const faults = index.faults.filter((_, bit) => met & (1 << bit));
      this.options("list", this.lists.lists.map((name, number) => [String(number), name]));
      this.options("task", [["", "all tasks"], ...index.tasks.map((name) => [name, name])]);
      this.options("cat", [["", "all categories"], ...[...index.categories].filter(Boolean).sort().map((name) => [name, name])]);
      this.options("flip", [["", "all samples"], ...index.directions.map((name) => [name, DIRECTIONS[name]?.[2] ?? name])]);
      const quadrants = [["", "any"], ...QUADRANTS.map((name, place) => [String(place), name])];
      this.options("qa", quadrants);
      this.options("qb", quadrants);
      this.options("fault", [
        ["", "any or none"],
        ...faults.map((name) => [name, name]),
        ...(single ? [] : faults.flatMap((name) => [[`a:${name}`, `${name} before`], [`b:${name}`, `${name} now`]])),
      ]);
      this.options("sort", [["", "as stored"], ...(single ? [] : [["worse", "worst change first"], ["better", "best change first"]]), ["iou", "lowest IoU first"]]);
      const boxed = index.sides.some((side) => side.iou.some((iou) => iou !== null));
      this.hide("list", this.lists.lists.length < 2);
      this.hide("qa", !boxed);
      this.hide("qb", !boxed || single);
      this.hide("task", index.tasks.length < 2);
      this.hide("cat", index.categories.filter(Boolean).length < 2);
      this.hide("fault", !faults.length);
      this.showControls();
    }

    /** @param {string} name */
    control(name) {
      return /** @type {HTMLInputElement | HTMLSelectElement} */ (this.root.querySelector(`[data-filter="${name}"]`));
    }

    /** @param {string} name @param {string[][]} choices */
    options(name, choices) {
      this.control(name).replaceChildren(...choices.map(([value, text]) => make("option", { value: value ?? "" }, text ?? "")));
    }

    /** @param {string} name @param {boolean} hidden */
    hide(name, hidden) {
      const label = this.control(name).closest("label");
      if (label) label.hidden = hidden;
    }

    showControls() {
      for (const name of /** @type {const} */ (["q", "list", "task", "cat", "flip", "qa", "qb", "fault", "sort"])) {
        this.control(name).value = String(this.state[name]);
      }
      /** @type {HTMLInputElement} */ (this.control("texts")).checked = this.state.texts;
    }

    async changed() {
      for (const name of /** @type {const} */ (["q", "task", "cat", "flip", "qa", "qb", "fault", "sort"])) {
        this.state[name] = this.control(name).value;
      }
      this.state.list = Number(this.control("list").value || 0);
      this.state.texts = /** @type {HTMLInputElement} */ (this.control("texts")).checked;
      this.state.id = "";
      this.list.scrollTop = 0;
      await this.turnTo(this.state.list);
      await this.apply();
    }

    /** @param {number} percent */
    cutAt(percent) {
      this.state.cut = percent;
      if (this.state.qa || this.state.qb) void this.apply();
      else this.keepAddress();
      if (this.selected >= 0) void this.open(this.rows[this.selected] ?? 0);
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

  /** @param {[string, string][]} rows */
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

  /** @param {{kind: string, boxes: number[][]}[]} sets @param {SampleText} text @param {string} words */
  const overlay = (sets, text, words) => {
    const svg = drawn("svg", { class: "boxes", viewBox: `0 0 ${text.width} ${text.height}`, preserveAspectRatio: "none" });
    if (words) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", words);
      svg.classList.remove("boxes");
      svg.classList.add("frame", "boxes");
      svg.style.position = "static";
      svg.style.height = "auto";
    } else svg.setAttribute("aria-hidden", "true");
    for (const set of sets) {
      for (const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] of set.boxes) {
        const place = { x: String(x1), y: String(y1), width: String(Math.max(0, x2 - x1)), height: String(Math.max(0, y2 - y1)) };
        svg.append(drawn("rect", { class: "halo", ...place }), drawn("rect", { class: set.kind, ...place }));
      }
    }
    return svg;
  };

  // --- start ---

  theme();
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
        await explorer.follow(false);
        performance.mark("list-ready");
        root.dataset.ready = "yes";
        await explorer.loadQuestions();
      });
  }
})();
