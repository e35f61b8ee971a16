// Makes the page's folder: one script, one style sheet, the page and its picture, and the list that builds them into
// aerostat-web. Usage: node build.mjs [FOLDER] (default: dist)
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { PurgeCSS } from "purgecss";

const root = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(root, "dist");
const COPIED = ["index.html", "logo.svg"];

/** Pico has rules for far more than this page: those that nothing here can match stay out. */
const onlyUsed = {
  name: "only-used",
  setup(builder) {
    builder.onLoad({ filter: /pico\.min\.css$/ }, async ({ path }) => {
      const [used] = await new PurgeCSS().purge({
        content: [join(root, "src/**/*.{js,html}")],
        css: [path],
        safelist: [":root", "dialog", "open", "article", "footer"],
      });
      return { contents: used.css, loader: "css" };
    });
  },
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: [join(root, "src/app.js"), join(root, "src/style.css")],
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  legalComments: "none",
  plugins: [onlyUsed],
  logLevel: "warning",
});
for (const name of COPIED) copyFileSync(join(root, "src", name), join(out, name));
writeFileSync(join(out, "dashboard.gresource.xml"), `<?xml version="1.0" encoding="UTF-8"?>
<gresources>
  <gresource prefix="/org/aerostat/dashboard">
${["app.js", "style.css", ...COPIED].map((name) => `    <file>${name}</file>`).join("\n")}
  </gresource>
</gresources>
`);
