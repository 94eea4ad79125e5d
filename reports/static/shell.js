// @ts-check
// What every page does: colours by a button, folded sections that open for a link into them and for the printer.
"use strict";

(() => {
  const theme = () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const root = document.documentElement;
    const set = (/** @type {string} */ wanted) => {
      if (wanted) root.dataset.theme = wanted;
      else delete root.dataset.theme;
      button.textContent = wanted || "auto";
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

  /** Open what a link's target lies in, or, where it is a section, the fold that it consists of. */
  const unfold = () => {
    const name = location.hash.slice(1);
    const target = name && !name.includes("=") ? document.getElementById(name) : null;
    if (!target) return;
    if (target instanceof HTMLDetailsElement) target.open = true;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement?.closest("details") ?? null) fold.open = true;
    target.scrollIntoView();
  };

  theme();
  window.addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link && link.hash && link.hash === location.hash) unfold(); // no hashchange follows
  });
  unfold();

  /** @type {HTMLDetailsElement[]} */
  let unfolded = [];
  window.addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details")].filter((fold) => !fold.open);
    for (const fold of unfolded) fold.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const fold of unfolded) fold.open = false;
  });
})();
