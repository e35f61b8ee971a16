import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["dist/", "node_modules/"] },
  js.configs.recommended,
  { files: ["src/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["*.mjs", "tests/**/*.mjs"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  { rules: { eqeqeq: ["error", "smart"], "no-var": "error", "prefer-const": "error" } },
];
