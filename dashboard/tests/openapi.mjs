// Holds the description of the HTTP interface against its own rules, and real answers against it.
// Usage: node tests/openapi.mjs ../src/web/openapi.json [ANSWERS.json]
// ANSWERS.json: [{"method", "path" (as in the description), "status", "body"}, ...]
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020.js";

const [file, answersFile] = process.argv.slice(2);
const document = JSON.parse(readFileSync(file, "utf8"));
const problems = [];

const { valid, errors } = await new Validator().validate(structuredClone(document));
if (!valid) problems.push(`the description itself: ${JSON.stringify(errors)}`);

const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addFormat("int64", true);
ajv.addSchema({ $id: "document", components: document.components });

/** References within the document, as the validator knows it. @param {any} schema @returns {any} */
const located = (schema) => JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components'));

for (const answer of answersFile ? JSON.parse(readFileSync(answersFile, "utf8")) : []) {
  const where = `${answer.method} ${answer.path} ${answer.status}`;
  const operation = document.paths[answer.path]?.[answer.method.toLowerCase()];
  const response = operation?.responses[answer.status] ?? (answer.status >= 400 ? operation?.responses.default : undefined);
  if (!response) {
    problems.push(`${where}: not described`);
    continue;
  }
  const schema = Object.values(response.content ?? {})[0]?.schema;
  if (!schema || answer.body == null) continue;
  const check = ajv.compile(located(schema));
  if (!check(answer.body)) problems.push(`${where}: ${ajv.errorsText(check.errors)}`);
}
for (const problem of problems) console.error(problem);
process.exit(problems.length ? 1 : 0);
