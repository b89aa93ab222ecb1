/** Nobody vouches for a slice that was not on the screen. */
import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

test("only a slice in view is marked done", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const [first, second] = await workbench.firstTwo();

  await test.step("Enter that is held down marks one slice, not the list", async () => {
    await workbench.goTo(first);
    await page.keyboard.down("Enter");
    await page.keyboard.down("Enter");
    await page.keyboard.down("Enter");
    await page.keyboard.up("Enter");
    await expect(workbench.slice(first)).toHaveAttribute("data-state", "done");
    await expect(workbench.slice(second)).toHaveAttribute("data-state", "todo");
  });

  await test.step("under the sheet of keys Enter does nothing", async () => {
    await page.keyboard.press("?");
    await expect(page.getByTestId("shortcut-sheet")).toBeVisible();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await expect(page.getByTestId("shortcut-sheet")).toBeHidden();
    await expect(workbench.slice(second)).toHaveAttribute("data-state", "todo");
  });

  await test.step("a slice that was scrolled away is shown first", async () => {
    await workbench.goTo(second);
    await page.keyboard.press("PageUp");
    await expect(workbench.view(second.axis)).toHaveAttribute("data-target", "false");
    await page.keyboard.press("Enter");
    await expect(workbench.notice).toContainText("Look at the slice");
    await expect(workbench.view(second.axis)).toHaveAttribute("data-target", "true");
    await expect(workbench.slice(second)).toHaveAttribute("data-state", "todo");
  });

  await test.step("so is a segmentation that was hidden", async () => {
    await page.keyboard.press("h");
    await expect(page.getByTestId("toggle-segmentation")).not.toBeChecked();
    await page.keyboard.press("Enter");
    await expect(page.getByTestId("toggle-segmentation")).toBeChecked();
    await expect(workbench.slice(second)).toHaveAttribute("data-state", "todo");
    await page.keyboard.press("Enter");
    await expect(workbench.slice(second)).toHaveAttribute("data-state", "done");
  });
});
