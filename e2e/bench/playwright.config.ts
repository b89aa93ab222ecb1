/** Measurements, apart from the specs that `cargo xtask test` runs. */
import { defineConfig } from "@playwright/test";

import specs from "../playwright.config.ts";

export default defineConfig({
  ...specs,
  testDir: ".",
  reporter: [["line"]],
  use: { ...specs.use, actionTimeout: 60_000 },
});
