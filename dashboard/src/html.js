// HTML in template strings, for every component.
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
