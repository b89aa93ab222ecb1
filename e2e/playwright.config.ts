import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { defineConfig } from "@playwright/test";

/** The Chromium that is installed; Playwright's own is never downloaded. `cargo xtask e2e` names it in CHROMIUM. */
function chromium(): string | undefined {
  const chosen = process.env["CHROMIUM"];
  if (chosen) return chosen;
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

const executablePath = chromium();

export default defineConfig({
  testDir: "tests",
  // Every test has its own server with its own worker, and two cores have to run the networks.
  workers: 1,
  // Presegmentation and refinement on two cores, with mirroring, and a generous rest for a busy machine.
  timeout: 600_000,
  expect: { timeout: 15_000 },
  forbidOnly: Boolean(process.env["CI"]),
  reporter: [["list"]],
  use: {
    viewport: { width: 1440, height: 900 },
    screenshot: "only-on-failure",
    // A trace takes a quarter of the time, and as long again where a page changes fast, which some specs measure.
    // Of what failed: `cargo xtask e2e -- NAME --trace on`.
    trace: "off",
    actionTimeout: 15_000,
    launchOptions: {
      ...(executablePath ? { executablePath } : {}),
      args: ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
    },
  },
});
