/** Blank start: the expert judges the image before the presegmentation is seen; what was drawn stays. */
import type { Triple } from "../fixtures/nifti.ts";
import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

test("a slice begins blank, is drawn on, and shows the presegmentation when asked", async ({
  workbench,
  phantomCase,
  page,
}) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const [plane, other] = await workbench.firstTwo();
  await workbench.goTo(plane);
  const names = [...(await workbench.labelNames()).values()];
  const find = async (): Promise<Triple | undefined> => {
    for (const share of [0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65]) {
      const found = await workbench.probe(plane.axis, [share, share]);
      if (found && names.some((name) => found.text.endsWith(name))) return found.voxel;
    }
    return undefined;
  };
  const segmented = await find();
  if (!segmented) throw new Error("the presegmentation is not where it is looked for");
  const isSegmented = async () => {
    const text = await workbench.probeVoxel(plane.axis, segmented);
    return names.some((name) => text.endsWith(name));
  };

  await page.getByTestId("blank-start").selectOption("every new slice");
  await expect(page.getByTestId("reveal")).toBeVisible();
  expect(await isSegmented()).toBe(false);
  await workbench.takeBrush(1);
  await workbench.chooseLabel(1);
  const corner: Triple = [...segmented];
  corner[plane.axis === "sagittal" ? 1 : 0] = 2;
  await workbench.press(plane.axis, [corner]);
  await expect(workbench.slice(plane)).toHaveAttribute("data-state", "edited");
  expect(await isSegmented()).toBe(false);

  await page.keyboard.press("Shift+b");
  await expect(page.getByTestId("reveal")).toBeHidden();
  expect(await isSegmented()).toBe(true);
  expect(await workbench.probeVoxel(plane.axis, corner)).toContain(names[0] ?? "");
  await workbench.undo();
  expect(await isSegmented()).toBe(false);
  await workbench.redo();

  await workbench.goTo(other);
  await expect(page.getByTestId("reveal")).toBeVisible();
  await page.getByTestId("blank-start").selectOption("never");
  await expect(page.getByTestId("reveal")).toBeHidden();
});
