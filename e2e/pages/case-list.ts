/** The page at `/`: send a scan, watch how far it is, open it. */
import { expect } from "@playwright/test";
import type { Locator, Page } from "@playwright/test";

/** Presegmentation and refinement on two busy cores. */
const JOB_LIMIT_MS = 300_000;

/** A job that waits or runs. */
export const UNDER_WAY = '[data-testid="job-progress"]:is([data-state="queued"], [data-state="running"])';

/** What a job's bar has said, in the order it said it. */
export interface Progress {
  state: string;
  percent: number;
}

/** A file made in the test. */
export interface MadeFile {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

export class CaseListPage {
  private readonly page: Page;
  readonly trouble: Locator;
  readonly surplus: Locator;

  constructor(page: Page) {
    this.page = page;
    this.trouble = page.getByTestId("trouble");
    this.surplus = page.getByTestId("upload-surplus");
  }

  async open(): Promise<void> {
    await this.page.goto("/");
    await expect(this.page.getByRole("heading", { name: "New case" })).toBeVisible();
  }

  /** Chooses a bundle and a file, gives the case a name and sends it. */
  async send(bundle: string, file: string | MadeFile, name: string): Promise<void> {
    await this.chooseBundle(bundle);
    await this.page.getByTestId("upload-input").setInputFiles(file);
    await this.page.getByTestId("upload-name").fill(name);
    await this.page.getByTestId("upload-start").click();
  }

  async chooseBundle(bundle: string): Promise<void> {
    const choice = this.page.getByTestId("bundle");
    const option = choice.locator("option", { hasText: bundle });
    await expect(option).toHaveCount(1);
    await choice.selectOption(await option.getAttribute("value"));
  }

  /** Where the first channel's file is dropped. */
  get box(): Locator {
    return this.page.locator("label.drop", { has: this.page.getByTestId("upload-input") });
  }

  get heading(): Locator {
    return this.page.getByRole("heading", { name: "Cases" });
  }

  get start(): Locator {
    return this.page.getByTestId("upload-start");
  }

  /**
   * Lets go of files above something; returns whether the page has dealt with them, so that the browser does not leave
   * it for them.
   */
  async drop(on: Locator, files: MadeFile[]): Promise<boolean> {
    const dropped = files.map(({ name, buffer }) => ({ name, base64: buffer.toString("base64") }));
    return on.evaluate((element, dropped) => {
      const dataTransfer = new DataTransfer();
      for (const { name, base64 } of dropped) {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        dataTransfer.items.add(new File([bytes], name));
      }
      const events = ["dragover", "drop"].map(
        (type) => new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }),
      );
      return events.every((event) => !element.dispatchEvent(event));
    }, dropped);
  }

  row(name: string): Locator {
    return this.page.getByTestId("case-row").filter({ hasText: name });
  }

  get rows(): Locator {
    return this.page.getByTestId("case-row");
  }

  /** What the list says of corrections that this computer has and the server has not. */
  unsent(name: string): Locator {
    return this.row(name).getByTestId("unsent");
  }

  /** What the list says is odd about a case's scan. */
  warnings(name: string): Locator {
    return this.row(name).getByTestId("scan-warnings");
  }

  /** Deletes a case, and means it. */
  async delete(name: string): Promise<void> {
    await this.row(name).getByTestId("delete-case").click();
    await this.row(name).getByTestId("confirm-delete").click();
    await expect(this.row(name)).toBeHidden();
  }

  /** What the list says of the case that was deleted last. */
  get binned(): Locator {
    return this.page.getByTestId("binned");
  }

  /** Takes it out of the bin. */
  async bringBack(): Promise<void> {
    await this.page.getByTestId("bring-case-back").click();
  }

  /**
   * Holds once the list has told how far the case is; to be called before there is something to tell, because a small
   * scan is quickly done.
   */
  async seeProgress(name: string): Promise<void> {
    await this.row(name).locator(UNDER_WAY).waitFor({ state: "attached" });
  }

  /** Begins to write down what job bars say; the answer tells what they have said since. */
  async watchProgress(): Promise<() => Promise<Progress[]>> {
    const log = await this.page.evaluateHandle(() => {
      const log: { state: string; percent: number }[] = [];
      new MutationObserver(() => {
        const bar = document.querySelector<HTMLElement>('[data-testid="job-progress"]');
        if (bar) log.push({ state: bar.dataset["state"] ?? "", percent: Number(bar.dataset["progress"]) });
      }).observe(document.body, {
        subtree: true,
        childList: true,
        attributes: true,
        attributeFilter: ["data-state", "data-progress"],
      });
      return log;
    });
    return () => log.jsonValue();
  }

  async waitForPresegmentation(name: string): Promise<void> {
    await expect(this.row(name)).toHaveAttribute("data-stage", "correcting", { timeout: JOB_LIMIT_MS });
  }

  async openCase(name: string): Promise<void> {
    await this.row(name).getByTestId("open-case").click();
  }
}
