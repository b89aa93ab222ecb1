/**
 * A group works on a case: it is given to an annotator, handed in, sent back with a note on a slice, corrected again,
 * read a second time by somebody who does not see the first reading, and approved.
 */
import type { Browser, BrowserContext, Page } from "@playwright/test";

import { expect, test } from "../fixtures/test.ts";
import type { Server } from "../fixtures/server.ts";
import { CaseListPage } from "../pages/case-list.ts";
import { WorkbenchPage } from "../pages/workbench.ts";

const PASSWORD = "several words together";

test.use({ asksEverybody: true, startsWithCase: true });

test("a case goes back, comes again and is approved", async ({ server, browser, prepare }) => {
  test.slow();
  const olga = await first(browser, server);
  for (const [name, role] of [
    ["anna", "annotator"],
    ["bert", "annotator"],
    ["carla", "reviewer"],
  ] as const)
    await olga.request.post(`/api/people/${name}`, { data: { role, password: PASSWORD }, headers: own(server) });
  const contexts = await Promise.all(["anna", "bert", "carla"].map((name) => signedIn(browser, server, name)));
  const [anna, bert, carla] = await Promise.all(contexts.map((context) => context.newPage()));
  if (!anna || !bert || !carla) throw new Error("three people are needed");
  const address = `/case/${(await prepare()).caseId}`;

  // Given, with a note for whom it is given to.
  await carla.goto("/");
  await anna.goto("/");
  await expect(anna.getByTestId("no-cases")).toBeVisible();
  await carla.getByTestId("assign").selectOption("anna");
  await carla.getByTestId("case-note").fill("Second molar, please");
  await carla.getByTestId("case-note").blur();
  const annas = new CaseListPage(anna);
  await expect(annas.rows).toHaveCount(1);
  await expect(anna.getByTestId("assigned")).toHaveText("For anna");
  await expect(anna.getByTestId("case-note")).toHaveValue("Second molar, please");

  // Corrected and handed in.
  await anna.goto(address);
  const hers = new WorkbenchPage(anna);
  await hers.waitForSlices();
  const [plane] = await hers.offered();
  if (!plane) throw new Error("a slice is needed");
  await hers.takeBrush(6);
  await hers.paintSomething(plane);
  await hers.markDone(plane);
  await hers.waitUntilSaved();
  await panel(anna);
  await anna.getByTestId("hand-in").click();
  await expect(anna.getByTestId("review")).toHaveAttribute("data-state", "handed-in");
  await expect(carla.getByTestId("case-review")).toHaveText("Handed in");

  // Sent back with a note on the slice.
  await carla.goto(address);
  const reviewers = new WorkbenchPage(carla);
  await reviewers.waitForSlices();
  await panel(carla);
  await expect(carla.getByTestId("corrected-by")).toContainText("anna");
  await expect(carla.getByTestId("send-back")).toBeDisabled();
  await carla.getByTestId("corrected-by").getByTestId("review-jump").click();
  await expect(reviewers.view(plane.axis)).toHaveAttribute("data-index", String(plane.index));
  await carla.getByTestId("note-on-slice").fill("The tip is missing");
  await carla.getByTestId("send-back").click();
  await expect(anna.getByTestId("review")).toHaveAttribute("data-state", "sent-back");
  await expect(anna.getByTestId("slice-note")).toContainText("The tip is missing");

  // Corrected again; the note leads to its slice.
  await anna.getByTestId("slice-note").getByTestId("review-jump").click();
  await expect(hers.view(plane.axis)).toHaveAttribute("data-index", String(plane.index));
  await anna.getByTestId("reopen").click();
  await hers.paintSomething(plane);
  await hers.markDone(plane);
  await hers.waitUntilSaved();
  await anna.getByTestId("hand-in").click();
  await expect(carla.getByTestId("review")).toHaveAttribute("data-state", "handed-in");

  // Read a second time, blind.
  await carla.getByTestId("second-reader").selectOption("bert");
  await carla.getByTestId("reading-share").selectOption("1");
  await carla.getByTestId("ask-reading").click();
  await expect(carla.getByTestId("reading")).toHaveText("bert reads 1 slice");
  await bert.goto(address);
  await expect(bert.getByTestId("no-case")).toBeVisible();
  await bert.goto("/");
  await expect(bert.getByTestId("case-review")).toHaveText("Second reading");
  await new CaseListPage(bert).rows.getByTestId("open-case").click();
  const his = new WorkbenchPage(bert);
  await his.waitForSlices();
  expect(await his.offered()).toEqual([plane]);
  await expect(his.slice(plane)).toHaveAttribute("data-state", "todo");
  await his.markDone(plane);
  await his.waitUntilSaved();
  await panel(bert);
  await expect(bert.getByTestId("corrected-by")).not.toContainText("anna");
  await bert.getByTestId("hand-in").click();
  await expect(bert.getByTestId("review")).toHaveAttribute("data-state", "handed-in");
  // Carla hears of it where she is.
  await expect(carla.getByTestId("slice-agreement")).toHaveText(/^(axial|coronal|sagittal) \d+ 0\.\d{3}$/);

  // Approved, until somebody goes on.
  await carla.getByTestId("approve").click();
  await expect(carla.getByTestId("review")).toHaveAttribute("data-state", "approved");
  await anna.goto("/");
  await expect(anna.getByTestId("case-review")).toHaveText("Approved");
  await anna.goto(address);
  await hers.waitForSlices();
  await hers.goTo(plane);
  await anna.getByTestId("reopen").click();
  await hers.paintSomething(plane);
  await hers.waitUntilSaved();
  await carla.goto("/");
  await expect(carla.getByText("Changed since approved")).toBeVisible();
  await Promise.all([olga, ...contexts].map((context) => context.close()));
});

test("a program's key is made, shown once and revoked", async ({ server, browser }) => {
  const olga = await first(browser, server);
  const page = await olga.newPage();
  await page.goto("/people");
  await page.getByTestId("key-label").fill("nightly export");
  await page.getByTestId("make-key").click();
  const key = await page.getByTestId("key-made").innerText();
  const asks = async () => {
    const answer = await fetch(`${server.url}/api/cases`, { headers: { Authorization: `Bearer ${key}` } });
    return answer.status;
  };
  expect(await asks()).toBe(200);
  await page.reload();
  await expect(page.getByTestId("program-key")).toContainText("nightly export");
  await expect(page.getByTestId("key-made")).toBeHidden();
  await page.getByTestId("revoke-key").click();
  await expect(page.getByTestId("program-key")).toHaveCount(0);
  expect(await asks()).toBe(401);
  await olga.close();
});

/** The first administrator, who has used the printed link. */
async function first(browser: Browser, server: Server): Promise<BrowserContext> {
  const context = await browser.newContext({ baseURL: server.url });
  const invitation = new URL(server.printed("invitation")).searchParams.get("invitation");
  const data = { name: "olga", password: PASSWORD, invitation };
  expect((await context.request.post("/api/session", { data, headers: own(server) })).status()).toBe(200);
  return context;
}

async function signedIn(browser: Browser, server: Server, name: string): Promise<BrowserContext> {
  const context = await browser.newContext({ baseURL: server.url });
  const answer = await context.request.post("/api/session", {
    data: { name, password: PASSWORD },
    headers: own(server),
  });
  expect(answer.status()).toBe(200);
  return context;
}

/** As the server's own pages ask. */
function own(server: Server): Record<string, string> {
  return { Origin: server.url };
}

/** Unfolds what is said about the case. */
async function panel(page: Page): Promise<void> {
  await page.getByTestId("review").locator("summary").click();
}
