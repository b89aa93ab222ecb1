/** Keys are found on every layout; fingers paint until there is a pen; a palm never does. */
import { point, stroke, type } from "../fixtures/hands.ts";
import type { Pointer } from "../fixtures/hands.ts";
import { expect, test } from "../fixtures/test.ts";

test.use({ startsWithCase: true });

test("keys do the same on every keyboard", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const tool = (id: string) => page.getByTestId(`tool-${id}`);
  const press = async (keys: [string, string][], id: string) => {
    for (const [key, code] of keys) {
      await page.keyboard.press("x");
      await expect(tool("crosshair")).toHaveAttribute("aria-pressed", "true");
      await type(page, key, code);
      await expect(tool(id), `${key} on ${code}`).toHaveAttribute("aria-pressed", "true");
    }
  };
  await test.step("tools by their letters: Latin, Cyrillic, Greek, Hebrew", async () => {
    await press(
      [
        ["b", "KeyB"],
        ["и", "KeyB"],
        ["β", "KeyB"],
        ["נ", "KeyB"],
      ],
      "brush",
    );
    await press(
      [
        ["e", "KeyE"],
        ["у", "KeyE"],
        ["ε", "KeyE"],
      ],
      "eraser",
    );
  });
  await test.step("labels by digits: where they stand, where they are typed, on the number pad", async () => {
    await page.keyboard.press("b");
    const last = page.locator('[role="radio"][data-testid^="label-"]').last();
    const value = (await last.getAttribute("data-testid"))?.slice("label-".length) ?? "";
    const french = ["à", "&", "é", '"', "'", "(", "-", "è", "_", "ç"][Number(value)] ?? "";
    for (const [key, code, shiftKey] of [
      [value, `Digit${value}`, false],
      [french, `Digit${value}`, false],
      [value, `Digit${value}`, true],
      [value, `Numpad${value}`, false],
    ] as const) {
      await page.getByTestId("label-1").click();
      await type(page, key, code, { shiftKey });
      await expect(last, `${key} on ${code}`).toHaveAttribute("aria-checked", "true");
    }
  });
  await test.step("the brush by brackets and signs", async () => {
    const size = page.getByTestId("brush-size");
    for (const [key, code] of [
      ["]", "BracketRight"],
      ["+", "NumpadAdd"],
      ["+", "BracketRight"],
      ["ъ", "BracketRight"],
      ["]", "Digit9"],
    ] as const) {
      await size.fill("6");
      await type(page, key, code);
      await expect(size, `${key} on ${code}`).not.toHaveValue("6");
    }
    // AZERTY types the minus where others have a 6.
    await size.fill("6");
    await type(page, "-", "Digit6");
    await expect(size).toHaveValue(/^5/);
  });
  await test.step("undo and the sheet of keys", async () => {
    const plane = await workbench.firstPlane();
    await workbench.takeBrush(3);
    await workbench.paintSomething(plane);
    await type(page, "я", "KeyZ", { ctrlKey: true });
    await expect(page.getByTestId("undo")).toBeDisabled();
    await type(page, "?", "Digit7", { shiftKey: true });
    await expect(page.getByTestId("shortcut-sheet")).toBeVisible();
  });
});

test("a finger paints until a pen has been seen, and a palm never does", async ({ workbench, phantomCase, page }) => {
  await expect(workbench.title).toHaveText(phantomCase);
  const plane = await workbench.firstPlane();
  await workbench.goTo(plane);
  await workbench.takeBrush(5);
  const view = workbench.view(plane.axis);
  const finger: Pointer = { id: 11, type: "touch" };
  const other: Pointer = { id: 12, type: "touch" };
  const pen: Pointer = { id: 21, type: "pen" };
  const undo = page.getByTestId("undo");
  const origin = () => view.getAttribute("data-origin");
  const scale = () => view.getAttribute("data-scale");

  await test.step("one finger paints", async () => {
    await stroke(view, finger, [60, 60], [110, 80]);
    await expect(undo).toBeEnabled();
    await workbench.undo();
    await expect(undo).toBeDisabled();
  });
  await test.step("two fingers move and spread; what the first had begun is taken back", async () => {
    const [before, size] = [await origin(), await scale()];
    await point(view, "pointerdown", finger, [200, 200]);
    await point(view, "pointermove", finger, [210, 200]);
    await point(view, "pointerdown", other, [300, 200]);
    await point(view, "pointermove", other, [400, 260]);
    await point(view, "pointerup", other, [400, 260]);
    await point(view, "pointermove", finger, [250, 200]);
    await point(view, "pointerup", finger, [250, 200]);
    await workbench.nextFrame();
    expect(await origin()).not.toBe(before);
    expect(await scale()).not.toBe(size);
    await expect(undo).toBeDisabled();
  });
  await test.step("a palm that was first gives way to the pen", async () => {
    await page.keyboard.press("w");
    await point(view, "pointerdown", finger, [60, 60]);
    await point(view, "pointermove", finger, [120, 60]);
    await point(view, "pointerdown", pen, [60, 200]);
    await point(view, "pointermove", pen, [120, 200]);
    await point(view, "pointermove", finger, [180, 60]);
    await point(view, "pointerup", finger, [180, 60]);
    await point(view, "pointerup", pen, [120, 200]);
    await expect(undo).toBeEnabled();
    await workbench.undo();
    await expect(undo, "only the pen has painted").toBeDisabled();
  });
  await test.step("a pen's pressure widens the brush, if that is wished for", async () => {
    const box = await view.boundingBox();
    const [perVoxel = 1] = ((await scale()) ?? "").split(",").map(Number);
    const at: [number, number] = [140, 140];
    const [width, height] = [box?.width ?? 1, box?.height ?? 1];
    const beside = async () =>
      (await workbench.probe(plane.axis, [(at[0] + 3 * perVoxel) / width, at[1] / height]))?.text;
    await page.getByTestId("tool-brush").click();
    const unpainted = await beside();
    const dot = async (pressure: number): Promise<string | undefined> => {
      await point(view, "pointerdown", { ...pen, pressure }, at);
      await point(view, "pointerup", { ...pen, pressure }, at);
      const text = await beside();
      await workbench.undo();
      return text;
    };
    expect(await dot(1), "not wished for").toBe(unpainted);
    await page.getByTestId("pen-presses").check({ force: true });
    expect(await dot(0.1)).toBe(unpainted);
    expect(await dot(1)).not.toBe(unpainted);
    await page.getByTestId("pen-presses").uncheck({ force: true });
  });
  await test.step("beside a pen a finger moves the plane", async () => {
    const before = await origin();
    await stroke(view, finger, [60, 60], [110, 90]);
    await workbench.nextFrame();
    expect(await origin()).not.toBe(before);
    await expect(undo).toBeDisabled();
  });
});
