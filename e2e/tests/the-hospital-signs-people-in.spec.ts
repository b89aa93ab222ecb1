/** People sign in with the account that they have in the hospital: OpenID Connect, against a real provider. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { models } from "../fixtures/project.ts";
import { CLIENT, SignInProvider } from "../fixtures/provider.ts";
import { Server } from "../fixtures/server.ts";
import { test as base, expect } from "../fixtures/test.ts";

interface Fixtures {
  provider: SignInProvider;
}

const test = base.extend<Fixtures>({
  // The provider's pages wait for a font of another machine.
  page: async ({ page }, use) => {
    await page.route("https://fonts.googleapis.com/**", (route) => route.abort());
    await use(page);
  },

  provider: async ({}, use) => {
    const provider = await SignInProvider.choosePlace();
    await use(provider);
    await provider.stop();
  },

  startServer: async ({ provider }, use) => {
    const folder = await mkdtemp(join(tmpdir(), "i3deep-e2e-secret-"));
    const secret = join(folder, "secret");
    await writeFile(secret, `${CLIENT.secret}\n`);
    const given = ["--oidc-issuer", provider.issuer, "--oidc-client", CLIENT.id, "--oidc-secret", secret];
    const more = ["--accounts", ...given, "--oidc-new-people", "annotator", "--oidc-label", "Sign in with the clinic"];
    const start = async () => {
      const server = await Server.start(undefined, { models, env: process.env, more });
      provider.start(server.url);
      return server;
    };
    let started: Promise<Server> | undefined;
    await use(() => (started ??= start()));
    await (await started?.catch(() => undefined))?.stop();
    await rm(folder, { recursive: true });
  },
});

test("one signs in with the clinic's account, by keyboard", async ({ page }) => {
  await page.goto("/");
  await expect(page.getByTestId("provider")).toHaveText("Sign in with the clinic");
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.filter(({ impact }) => impact !== "minor").map(({ id }) => id)).toEqual([]);
  await throughTheProvider(page, "Anna");
  await expect(page.getByTestId("signed-in")).toHaveText("anna");
  await expect(page.getByTestId("open-people")).toBeHidden();
  expect(new URL(page.url()).search).toBe("");

  // Signed out here, and still signed in there: a way without questions.
  await page.getByTestId("sign-out").click();
  await expect(page.getByTestId("provider")).toBeVisible();
  await page.getByTestId("provider").focus();
  await page.keyboard.press("Enter");
  await expect(page.getByTestId("signed-in")).toHaveText("anna");
  await page.reload();
  await expect(page.getByTestId("signed-in")).toHaveText("anna");
});

test("whoever is not let in is told why", async ({ page }) => {
  await page.goto("/");
  await page.getByTestId("provider").click();
  await page.getByText("Cancel").click();
  await expect(page.getByTestId("sign-in-trouble")).toContainText("has let nobody in");
  await page.goto("/api/session/provider/back?code=guess&state=guess");
  await expect(page.getByTestId("sign-in-trouble")).toContainText("begun elsewhere");
  await expect(page.getByTestId("sign-in")).toBeVisible();
});

/** Types a name and a password where the provider asks for them, and agrees. */
async function throughTheProvider(page: Page, name: string): Promise<void> {
  await page.getByTestId("provider").focus();
  await page.keyboard.press("Enter");
  await page.locator('input[name="login"]').focus();
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type("any");
  await page.keyboard.press("Enter");
  const agree = page.getByRole("button", { name: "Continue" });
  await agree.focus();
  await page.keyboard.press("Enter");
}
