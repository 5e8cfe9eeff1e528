/** Lets a number of users in at a time; the others wait in order. */
export class Gate {
  readonly #countMax: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** `makeRoom` is called where it is full, and may lead to a `leave`. */
  async enter(makeRoom: () => void): Promise<void> {
    if (this.#inside < this.#countMax) {
      this.#inside++;
      return;
    }
    const turn = new Promise<void>((resolve) => this.#waiting.push(resolve));
    makeRoom();
    await turn;
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#inside--;
    else next();
  }
}
