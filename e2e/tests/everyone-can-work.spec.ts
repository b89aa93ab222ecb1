/** Nobody is left out: no finding of axe, everything by keyboard, a page at 200 %, colours that the system forces. */
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

test("axe finds nothing serious or moderate", async ({ caseList, workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  await seeNoFinding(page, "workbench");
  await page.keyboard.press("?");
  await expect(page.getByTestId("shortcut-sheet")).toBeVisible();
  await seeNoFinding(page, "sheet of keys");
  await page.keyboard.press("Escape");
  await expect(page.getByTestId("shortcut-sheet")).toBeHidden();
  await workbench.backToList();
  await expect(caseList.row(phantomCase)).toBeVisible();
  await seeNoFinding(page, "case list");
});

test("a slice is painted and finished without a mouse", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  const labels = page.getByRole("radiogroup", { name: "Label to paint" });
  await labels.locator('[tabindex="0"]').focus();
  await page.keyboard.press("ArrowDown");
  await expect(labels.locator('[aria-checked="true"]')).toBeFocused();
  await workbench.slice(plane).focus();
  await page.keyboard.press("Enter");
  await expect(workbench.view(plane.axis)).toHaveAttribute("data-target", "true");
  await workbench.view(plane.axis).focus();
  await page.keyboard.press("b");
  for (let step = 0; step < 12; step += 1) await page.keyboard.press("Shift+ArrowLeft");
  for (let step = 0; step < 4; step += 1) {
    await page.keyboard.press("Shift+ArrowUp");
    await page.keyboard.press(".");
  }
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "edited");
  await page.keyboard.press("Control+z");
  await page.keyboard.press("Control+Shift+z");
  await page.keyboard.press("Enter");
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
  await workbench.waitUntilSaved();
});

test("undo takes back Done, also after a reload", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  await workbench.takeBrush(3);
  await workbench.paintSomething(plane);
  await workbench.markDone(plane);
  await workbench.waitUntilSaved();
  await page.reload();
  await workbench.waitForSlices();
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
  await workbench.undo();
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "edited");
  await workbench.undo();
  await expect(page.getByTestId("undo")).toBeDisabled();
  await workbench.redo();
  await workbench.redo();
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
});

test("the page works at 200 % and in forced colours", async ({ workbench, phantomCase, page, photograph }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  // 1280 × 720 at 200 % is 640 × 360.
  await page.setViewportSize({ width: 640, height: 360 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(640);
  for (const name of ["mark-done", "tool-brush", "download", "refine"]) {
    await page.getByTestId(name).scrollIntoViewIfNeeded();
    await expect(page.getByTestId(name)).toBeInViewport();
  }
  await photograph("zoomed");
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ forcedColors: "active" });
  // Contrast is the system's then; axe measures the page's own backgrounds, which nobody sees.
  await seeNoFinding(page, "forced colours", ["color-contrast"]);
  await photograph("forced-colours");
});

async function seeNoFinding(page: Page, where: string, without: string[] = []): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).disableRules(without).analyze();
  const grave = violations.filter((violation) => violation.impact !== "minor");
  const words = grave.map(
    (violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`,
  );
  expect(words, where).toEqual([]);
}
