// Places within the page: its path, and links that change it without loading anything.
import { useLayoutEffect, useState } from "preact/hooks";
import { html } from "./html.js";

/** @param {string} path */
export function go(path) {
  if (path !== location.pathname) history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  scrollTo(0, 0);
}

export function usePath() {
  const [path, set] = useState(location.pathname);
  useLayoutEffect(() => {
    const take = () => set(location.pathname);
    addEventListener("popstate", take);
    return () => removeEventListener("popstate", take);
  }, []);
  return path;
}

/** @param {{href: string, children?: any, [name: string]: any}} props */
export function Link({ href, children, ...more }) {
  const here = location.pathname === href || (href !== "/" && location.pathname.startsWith(`${href}/`) && more.section);
  delete more.section;
  return html`<a href=${href} aria-current=${here ? "page" : undefined} ...${more}
    onClick=${(/** @type {MouseEvent} */ event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      go(href);
    }}>${children}</a>`;
}
