// `History`: the last so many moments of some numbers, in the columns that charts draw. It must not know what the numbers
// are.

export class History {
  /** Seconds since 1970, oldest first. */
  readonly times: number[] = [];
  /** A column of values each series; null: not known at that moment. */
  readonly columns: (number | null)[][];

  constructor(
    series: number,
    private readonly length: number,
  ) {
    this.columns = Array.from({ length: series }, () => []);
  }

  /** A moment's values, one each series. */
  push(seconds: number, values: readonly (number | null | undefined)[]): void {
    this.times.push(seconds);
    for (const [i, column] of this.columns.entries()) column.push(values[i] ?? null);
    if (this.times.length <= this.length) return;
    this.times.shift();
    for (const column of this.columns) column.shift();
  }

  /** As uPlot takes it. */
  data(): [number[], ...(number | null)[][]] {
    return [this.times, ...this.columns];
  }
}
