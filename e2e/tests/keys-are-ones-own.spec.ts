/** Every act has a key; hands from elsewhere bring theirs, and anybody may choose others. */
import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

test("keys of other programs, keys of one's own, kept in this browser", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const segmentation = page.getByTestId("toggle-segmentation");
  const pressed = (tool: string) => expect(page.getByTestId(`tool-${tool}`)).toHaveAttribute("aria-pressed", "true");

  await test.step("presets by the arrow keys", async () => {
    await page.keyboard.press("?");
    await page.getByTestId("preset-Reader").focus();
    await page.keyboard.press("ArrowDown");
    await expect(page.getByTestId("preset-ITK-SNAP")).toBeChecked();
    await page.keyboard.press("Escape");
    await expect(page.getByTestId("shortcut-sheet")).toBeHidden();
    await page.keyboard.press("s");
    await expect(segmentation).not.toBeChecked();
    await page.keyboard.press("s");
    await expect(segmentation).toBeChecked();
    await page.keyboard.press("3");
    await pressed("polygon");
    await page.keyboard.press("4");
    await pressed("brush");
    await page.keyboard.press("?");
    await page.getByTestId("preset-3D-Slicer").check();
    await page.keyboard.press("Escape");
    await page.keyboard.press("3");
    await pressed("eraser");
    await page.keyboard.press("g");
    await expect(segmentation).not.toBeChecked();
    await page.keyboard.press("g");
  });

  await test.step("a key of one's own takes it from what it did before, and says so", async () => {
    await page.keyboard.press("?");
    await page.getByTestId("preset-Reader").check();
    await page.getByTestId("key-toggle-uncertainty").click();
    await expect(page.getByTestId("key-told")).toContainText("Press the key for: Uncertainty");
    await page.keyboard.press("h");
    await expect(page.getByTestId("key-told")).toContainText("Hide or show the segmentation");
    await expect(page.getByTestId("key-toggle-segmentation")).toContainText("none");
    await page.keyboard.press("Escape");
    await page.keyboard.press("h");
    await expect(page.getByTestId("toggle-uncertainty")).toBeChecked();
    await expect(segmentation).toBeChecked();
  });

  await test.step("the next visit finds them, and the way back", async () => {
    await page.reload();
    await workbench.waitForSlices();
    await page.keyboard.press("h");
    await expect(page.getByTestId("toggle-uncertainty")).toBeChecked();
    await page.keyboard.press("?");
    await page.getByTestId("reset-keys").click();
    await expect(page.getByTestId("reset-keys")).toBeHidden();
    await page.keyboard.press("Escape");
    await page.keyboard.press("h");
    await expect(segmentation).not.toBeChecked();
  });
});

test("a whole session without a mouse: open, paint, finish, refine, look through", async ({
  workbench,
  phantomCase,
  page,
  caseList,
}) => {
  await expect(workbench.title).toHaveText(phantomCase);
  await page.getByTestId("back").focus();
  await page.keyboard.press("Enter");
  await caseList.row(phantomCase).getByTestId("open-case").focus();
  await page.keyboard.press("Enter");
  await workbench.waitForSlices();
  await page.locator("body").press("e");
  const plane = await workbench.firstPlane();
  await expect(workbench.view(plane.axis)).toHaveAttribute("data-target", "true");
  await page.keyboard.press("e");
  for (let step = 0; step < 5; step += 1) await page.keyboard.press("]");
  await page.keyboard.press(".");
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "edited");
  await page.keyboard.press("Shift+g");
  await page.keyboard.press("Control+z");
  await page.keyboard.press("Enter");
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "done");
  await workbench.waitUntilSaved();
  await page.keyboard.press("Shift+Enter");
  await expect(workbench.compare).toBeVisible({ timeout: 300_000 });
  await expect(page.getByTestId("show-changes")).toBeVisible();
  await page.keyboard.press("j");
  await expect(page.getByTestId("change-panel")).toBeVisible();
  await page.keyboard.press("c");
  await expect(workbench.compare).toHaveText(/Before/);
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Control+s")]);
  expect(download.suggestedFilename()).toContain(".nii.gz");
});
