/** A group shares a server: the first administrator, an account for a colleague, and the way out. */
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { expect, test } from "../fixtures/test.ts";

const PASSWORD = "several words together";

test.use({ asksEverybody: true });

test("an administrator lets a colleague in, and shuts them out, by keyboard", async ({ server, page, browser }) => {
  await page.goto(server.printed("invitation"));
  await signIn(page, "olga", "Make the account");
  await expect(page.getByTestId("signed-in")).toHaveText("olga");
  await seeNoFinding(page);

  await page.getByTestId("open-people").focus();
  await page.keyboard.press("Enter");
  await page.getByTestId("new-name").focus();
  await page.keyboard.type("anna");
  await page.keyboard.press("Tab");
  await page.keyboard.type("short");
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("people-trouble")).toContainText("a password has 12 to 256 characters");
  await page.getByTestId("new-password").focus();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("people-done")).toHaveText(/^anna has an account/);
  await seeNoFinding(page);

  const context = await browser.newContext({ baseURL: server.url });
  const annas = await context.newPage();
  await annas.goto("/");
  await seeNoFinding(annas);
  await signIn(annas, "anna", "Sign in");
  await expect(annas.getByTestId("signed-in")).toHaveText("anna");
  await expect(annas.getByTestId("open-people")).toBeHidden();

  const row = page.locator('[data-testid="person"][data-name="anna"]');
  await row.getByTestId("person-role").focus();
  await page.keyboard.press("ArrowDown");
  await expect(page.getByTestId("people-done")).toHaveText("anna is reviewer now, and was signed out.");
  await annas.goto("/");
  await signIn(annas, "anna", "Sign in");
  await expect(annas.getByTestId("signed-in")).toHaveText("anna");
  await row.getByTestId("person-shut-out").focus();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("people-done")).toHaveText("anna is shut out, and was signed out.");
  await annas.goto("/");
  await annas.getByTestId("sign-in-name").fill("anna");
  await annas.getByTestId("sign-in-password").fill(PASSWORD);
  await annas.getByTestId("sign-in-send").click();
  await expect(annas.getByTestId("sign-in-trouble")).toContainText("the name or the password is not right");
  await context.close();

  // Somebody has to be able to let others in.
  const own = page.locator('[data-testid="person"][data-name="olga"]');
  await own.getByTestId("person-shut-out").click();
  await expect(page.getByTestId("people-trouble")).toContainText("this is the last administrator");
  await page.getByTestId("sign-out").click();
  await expect(page.getByTestId("sign-in")).toBeVisible();
  await page.goto("/people");
  await expect(page.getByTestId("sign-in")).toBeVisible();
});

async function signIn(page: Page, name: string, button: string): Promise<void> {
  await page.getByTestId("sign-in-name").focus();
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: button })).toBeFocused();
  await page.keyboard.press("Enter");
}

async function seeNoFinding(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations.filter(({ impact }) => impact !== "minor");
  expect(grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([]);
}
