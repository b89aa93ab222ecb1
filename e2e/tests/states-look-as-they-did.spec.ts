/** The main states of both pages look as they did when they were looked at last; `look.ts` says how it is compared. */
import { seeLook } from "../fixtures/look.ts";
import { expect, test } from "../fixtures/test.ts";

test.describe("without a case", () => {
  test("an empty list, and a case that does not exist", async ({ caseList, page }, testInfo) => {
    await caseList.open();
    await expect(page.getByTestId("no-cases")).toBeVisible();
    await seeLook(page, "list-empty", testInfo);
    await page.goto("/case/none");
    await expect(page.getByTestId("no-case")).toBeVisible();
    await seeLook(page, "case-missing", testInfo);
  });
});

test.describe("with a case", () => {
  test.use({ startsWithCase: true });

  test("the list, the workbench and what it shows on demand", async ({
    caseList,
    workbench,
    phantomCase,
    page,
  }, testInfo) => {
    await expect(workbench.title).toHaveText(phantomCase);
    const plane = await workbench.firstPlane();
    await workbench.goTo(plane);
    await workbench.waitUntilSaved();
    await seeLook(page, "workbench", testInfo);

    await page.keyboard.press("u");
    await seeLook(page, "uncertainty", testInfo);
    await page.keyboard.press("u");
    await page.keyboard.press("h");
    await seeLook(page, "segmentation-hidden", testInfo);
    await page.keyboard.press("h");
    await page.keyboard.press("q");
    await seeLook(page, "one-view", testInfo);
    await page.keyboard.press("Shift+x");
    await expect(page.getByTestId("surface")).toHaveAttribute("data-ready", "true");
    await seeLook(page, "four-views", testInfo);
    await page.keyboard.press("Shift+x");
    await page.keyboard.press("t");
    await seeLook(page, "neurological", testInfo);
    await page.keyboard.press("t");
    await page.keyboard.press("?");
    await expect(page.getByTestId("shortcut-sheet")).toBeVisible();
    await seeLook(page, "keys", testInfo);
    await page.keyboard.press("Escape");
    await workbench.edit("copy-next");
    await expect(page.getByTestId("offer")).toBeVisible();
    await seeLook(page, "offer", testInfo);
    await page.getByTestId("leave-offer").click();

    for (const [width, height] of [
      [1280, 720],
      [1920, 1080],
      [3840, 2160],
    ] as const) {
      await page.setViewportSize({ width, height });
      await workbench.nextFrame();
      await seeLook(page, `workbench-${width}`, testInfo);
    }
    await page.setViewportSize({ width: 1440, height: 900 });

    // What is refined is the network's, of which another machine's processor may decide some voxels otherwise: the
    // picture is too coarse to tell.
    await workbench.markDone(plane);
    await workbench.waitUntilSaved();
    await workbench.refineAndWait();
    await page.getByTestId("show-changes").click();
    await seeLook(page, "refined", testInfo);
    await workbench.backToList();
    await expect(caseList.heading).toBeVisible();
    await expect(page.getByTestId("case-row")).toHaveAttribute("data-stage", "refined");
    await seeLook(page, "list", testInfo);
  });
});
