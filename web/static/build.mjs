// Bundles each entry of js/ into dist/, for the browsers of the last four years. Nothing is fetched at run time.
import { build } from "esbuild";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const entries = readdirSync(join(here, "js")).filter((name) => name.endsWith(".js"));

await build({
  entryPoints: entries.map((name) => join(here, "js", name)),
  outdir: join(here, "dist"),
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  legalComments: "linked",
  logLevel: "info",
});
