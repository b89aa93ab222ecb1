/** What has failed or was stopped is asked for again; what waits says how long; refining waits for something new. */
import { expect, test } from "../fixtures/test.ts";

test.describe("in the list", () => {
  test("a scan that was stopped is segmented after all, and the one behind it knows its place", async ({
    caseList,
    phantomScan,
    largePhantomScan,
    page,
    workbench,
  }) => {
    await caseList.open();
    await caseList.send("phantom", largePhantomScan, "first");
    await expect(caseList.row("first")).toHaveAttribute("data-job", "running");
    await caseList.send("phantom", phantomScan, "second");
    await expect(caseList.row("second").getByTestId("job-progress")).toContainText("1 job before it");
    await caseList.row("first").getByTestId("cancel-job").click();
    await expect(caseList.row("first")).toHaveAttribute("data-job", "cancelled");

    await test.step("the workbench says so, and tries again", async () => {
      await caseList.openCase("first");
      await expect(page.getByRole("heading", { name: "The scan was not segmented" })).toBeVisible();
      await page.getByTestId("retry-job").click();
      await expect(page.getByRole("heading", { name: "The scan is being segmented" })).toBeVisible();
      await workbench.backToList();
    });
    await expect(caseList.row("first")).toHaveAttribute("data-job", /queued|running/);
    await expect(caseList.row("first").getByTestId("retry-job")).toBeHidden();
    await caseList.waitForPresegmentation("second");
  });
});

test.describe("in the workbench", () => {
  test.use({ startsWithCase: true });

  test("refining is offered when there is something new to refine with", async ({ workbench, phantomCase, page }) => {
    await expect(workbench.title).toHaveText(phantomCase);
    const why = page.getByTestId("refine-explained");
    await expect(workbench.refine).toBeDisabled();
    await expect(why).toContainText("at least one slice that is done");
    const [first, second] = await workbench.firstTwo();
    await workbench.goTo(first);
    await workbench.markDone(first);
    await expect(workbench.refine).toBeEnabled();
    await workbench.waitUntilSaved();
    await workbench.refineAndWait();
    await expect(workbench.refine).toBeDisabled();
    await expect(why).toContainText("Nothing has changed since this version was refined");
    await page.keyboard.press("Shift+Enter");
    await expect(workbench.notice).toContainText("Nothing has changed");

    await test.step("also after a reload; another slice arms it", async () => {
      await page.reload();
      await workbench.waitForSlices();
      await expect(workbench.refine).toBeDisabled();
      await workbench.goTo(second);
      await workbench.markDone(second);
      await expect(workbench.refine).toBeEnabled();
      await workbench.undo();
      await expect(workbench.refine).toBeDisabled();
    });
  });
});
