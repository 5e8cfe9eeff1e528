#!/usr/bin/env node
/**
 * The executable. CommonJS, because the size of libuv's pool counts only until something has used it, and loading an ES
 * module as the entry has: 16 threads let sync, write and read of several volumes go on side by side.
 */
"use strict";

process.env.UV_THREADPOOL_SIZE ??= "16";

const { existsSync } = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const main = path.join(__dirname, "..", "dist", "cli", "main.js");
if (existsSync(main)) {
  void import(pathToFileURL(main).href);
} else {
  process.stderr.write("data-putter: not built yet (dist/cli/main.js is missing); run: npm run setup\n");
  process.exitCode = 1;
}
