/** Corrections survive full disks, lost answers, reloads and second windows; and they stay with their patient. */
import { expect, test } from "../fixtures/test.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

test.use({ startsWithCase: true });

const SAVES = "**/api/cases/*/corrections/*/*";

test("a correction that the server cannot take is told, kept and sent again", async ({
  workbench,
  phantomCase,
  page,
}) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  const refuse = async (status: number, message: string) =>
    page.route(SAVES, (route) => route.fulfill({ status, json: { code: "refused", message } }));

  await test.step("a full disk is told, and the correction is saved when there is room again", async () => {
    await refuse(507, "The disk is full; make room.");
    await workbench.takeBrush(3);
    await workbench.paintSomething(plane);
    await workbench.seeSaveStatus("refused");
    await expect(workbench.refusal).toContainText("The disk is full");
    await page.unroute(SAVES);
    await workbench.waitUntilSaved();
    await expect(workbench.refusal).toBeHidden();
  });

  await test.step("what is refused for good waits for the expert", async () => {
    await refuse(422, "This correction does not fit.");
    await workbench.undo();
    await workbench.seeSaveStatus("refused");
    await expect(workbench.refusal).toContainText("does not fit");
    await page.unroute(SAVES);
    await workbench.retrySaving();
    await workbench.waitUntilSaved();
    await expect(workbench.refusal).toBeHidden();
  });
});

test("after a reload the expert is in no conflict with themselves", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  await workbench.takeBrush(3);

  // The server saves the first stroke, and its answer never comes.
  const saved = new Promise<void>((resolve) => {
    void page.route(SAVES, async (route) => {
      await route.fetch();
      resolve();
    });
  });
  await workbench.paintSomething(plane);
  await saved;
  await workbench.takeEraser();
  await workbench.paint(plane.axis, [0.45, 0.45], [0.55, 0.55]);
  await page.unroute(SAVES);
  await page.reload();
  await workbench.waitForSlices();
  await workbench.waitUntilSaved();
  await expect(workbench.conflict).toBeHidden();
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "edited");
});

test("a second window learns what the first has saved", async ({ workbench, phantomCase, page, browser }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  // Another browser: windows of one share their journal of unsent corrections.
  const context = await browser.newContext();
  const other = new WorkbenchPage(await context.newPage());
  await other.openAddress(page.url());
  await other.waitForSlices();
  await workbench.goTo(plane);
  await workbench.markDone(plane);
  await workbench.waitUntilSaved();
  await expect(other.slice(plane)).toHaveAttribute("data-state", "done");
  await context.close();
});

test("a late answer does not bring another patient to the screen", async ({
  caseList,
  workbench,
  phantomCase,
  phantomScan,
  page,
}) => {
  const other = "another patient";
  const late = new URL(page.url()).pathname.split("/").at(-1);
  await workbench.backToList();
  await caseList.send("phantom", phantomScan, other);
  await caseList.waitForPresegmentation(other);

  let answer: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await page.route(`**/api/cases/${late}`, async (route) => {
    const response = await route.fetch();
    await released;
    await route.fulfill({ response });
  });
  await caseList.openCase(phantomCase);
  await workbench.backToList();
  await caseList.openCase(other);
  await workbench.waitForSlices();
  const arrived = page.waitForResponse(`**/api/cases/${late}`);
  answer();
  await arrived;
  await expect(workbench.title).toHaveText(other);
  await workbench.waitForSlices();
  await expect(workbench.title).toHaveText(other);
});
