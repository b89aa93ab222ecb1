/** "Open from PACS" on the page of cases, and "Send to PACS" in the workbench. */
import { expect } from "@playwright/test";
import type { Locator, Page } from "@playwright/test";

/** What one may look for. */
export interface Wanted {
  patient?: string;
  accession?: string;
  from?: string;
  until?: string;
  modality?: string;
}

export class PacsCard {
  private readonly page: Page;
  readonly card: Locator;
  readonly studies: Locator;
  readonly series: Locator;
  readonly nothing: Locator;
  readonly imports: Locator;
  /** A slice of what is on its way. */
  readonly picture: Locator;
  readonly send: Locator;

  constructor(page: Page) {
    this.page = page;
    this.card = page.getByTestId("pacs");
    this.studies = page.getByTestId("pacs-study");
    this.series = page.getByTestId("pacs-series");
    this.nothing = page.getByTestId("pacs-none");
    this.imports = page.getByTestId("import");
    this.picture = page.getByTestId("import-picture");
    this.send = page.getByTestId("send-to-pacs");
  }

  async search({ patient = "", accession = "", from = "", until = "", modality = "" }: Wanted): Promise<void> {
    await this.page.getByTestId("pacs-patient").fill(patient);
    await this.page.getByTestId("pacs-accession").fill(accession);
    await this.page.getByTestId("pacs-from").fill(from);
    await this.page.getByTestId("pacs-until").fill(until);
    await this.page.getByTestId("pacs-modality").fill(modality);
    const button = this.page.getByTestId("pacs-search");
    await button.click();
    await expect(button).toHaveText("Search");
  }

  /** Asks for a study's only series, to be segmented with a bundle. */
  async begin(bundle: string): Promise<void> {
    await this.page.getByTestId("pacs-bundle").selectOption(bundle);
    await this.page.getByTestId("show-study").click();
    await this.page.getByTestId("open-series").click();
  }

  /** The same; the case, once it is in the list. */
  async open(bundle: string): Promise<void> {
    await this.begin(bundle);
    await expect(this.imports).toHaveAttribute("data-state", "done", { timeout: 60_000 });
  }
}
