/**
 * Pictures of every state at three sizes of screen, under e2e/screenshots, for whoever looks at them; nothing is
 * compared. `npx playwright test --config bench/playwright.config.ts photographs` takes them.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "@playwright/test";

import { screenshots } from "../fixtures/project.ts";
import { expect, test } from "../fixtures/test.ts";

const SIZES = [
  [1280, 720],
  [1920, 1080],
  [3840, 2160],
  [420, 900],
] as const;

async function photograph(page: Page, name: string): Promise<void> {
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(400);
    const folder = join(screenshots, String(width));
    await mkdir(folder, { recursive: true });
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.waitForTimeout(200);
}

test.describe("a case and what is made of it", () => {
  test.use({ startsWithCase: true });

  test("list and workbench", async ({ caseList, workbench, phantomCase, page, server }) => {
    test.setTimeout(1_200_000);
    await expect(workbench.title).toHaveText(phantomCase);
    const plane = await workbench.firstPlane();
    await workbench.goTo(plane);
    await workbench.waitUntilSaved();
    await photograph(page, "workbench");
    await page.keyboard.press("u");
    await photograph(page, "uncertainty");
    await page.keyboard.press("u");
    await page.keyboard.press("Shift+x");
    await expect(page.getByTestId("surface")).toHaveAttribute("data-ready", "true");
    await photograph(page, "four-views");
    await page.keyboard.press("Shift+x");
    await page.keyboard.press("?");
    await photograph(page, "keys");
    await page.keyboard.press("Escape");
    await workbench.edit("copy-next");
    await photograph(page, "offer");
    await page.getByTestId("leave-offer").click();
    await workbench.paintSomething(plane);
    await workbench.markDone(plane);
    await workbench.waitUntilSaved();
    await workbench.refine.click();
    await photograph(page, "refining");
    await expect(workbench.compare).toBeVisible({ timeout: 300_000 });
    await expect(workbench.suggestion).toBeVisible({ timeout: 300_000 });
    await photograph(page, "refined");
    await page.getByTestId("show-changes").click();
    await photograph(page, "changes");
    await workbench.backToList();
    await expect(caseList.heading).toBeVisible();
    await photograph(page, "list");
    await page.getByTestId("delete-case").first().click();
    await photograph(page, "delete-asked");
    await page.getByRole("button", { name: "Keep" }).click();
    await page.getByTestId("open-case").first().click();
    await workbench.waitForSlices();
    await server.die();
    await workbench.goTo(plane);
    await page.keyboard.press("b");
    await workbench.paint(plane.axis, [0.45, 0.5], [0.55, 0.5]);
    await page.waitForTimeout(3000);
    await photograph(page, "offline");
    await workbench.backToList();
    await photograph(page, "list-offline");
    await server.comeBack();
  });
});

test.describe("nothing yet", () => {
  test("empty, on its way, refused", async ({ caseList, page, largePhantomScan }, testInfo) => {
    await caseList.open();
    await photograph(page, "list-empty");
    const broken = testInfo.outputPath("broken.nii.gz");
    await writeFile(broken, "no scan");
    await caseList.send("phantom", broken, "broken");
    await expect(page.getByTestId("trouble")).toBeVisible();
    await photograph(page, "list-refused");
    await caseList.send("phantom", largePhantomScan, "on its way");
    await expect(caseList.row("on its way")).toBeVisible({ timeout: 120_000 });
    await caseList.openCase("on its way");
    await expect(page.getByTestId("job-progress").first()).toBeVisible();
    await photograph(page, "being-segmented");
    await page.goto("/case/none");
    await photograph(page, "no-case");
  });
});

test.describe("a group", () => {
  test.use({ asksEverybody: true });

  test("the first account, people, signing in", async ({ page, server }) => {
    await page.goto(server.printed("invitation"));
    await photograph(page, "invitation");
    await page.getByTestId("sign-in-name").fill("olga");
    await page.getByTestId("sign-in-password").fill("several words together");
    await page.getByTestId("sign-in-send").click();
    await page.getByTestId("open-people").click();
    await photograph(page, "people");
    await page.getByTestId("sign-out").click();
    await photograph(page, "sign-in");
  });
});
