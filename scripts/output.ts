/** How scripts print: coloured where a person looks on, plain in a pipe. */

const ANSI = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Style = keyof typeof ANSI;

const PROGRESS_EVERY = 10_000;

const isColoured = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;

export function styled(style: Style, text: string): string {
  return isColoured ? `\u001b[${ANSI[style]}m${text}\u001b[0m` : text;
}

export function say(text = ""): void {
  process.stdout.write(`${text}\n`);
}

export function headline(text: string): void {
  say(`\n${styled("bold", text)}`);
}

export function remark(text: string, style: Style = "cyan"): void {
  say(`  ${" ".repeat(10)}${styled(style, text)}`);
}

export function amount(minorUnits: number, currency: string): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "code" });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(minorUnits / 10 ** digits).replace(/\u00a0/g, " ");
}

/** Columns as wide as their widest cell; the last one takes a style per row. */
export function table(
  head: readonly string[],
  rows: readonly { readonly cells: readonly string[]; readonly style: Style }[],
): void {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map(({ cells }) => (cells[column] ?? "").length)));
  const last = head.length - 1;
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => (column === last ? cell : cell.padEnd(widths[column] ?? 0)));
  say(`  ${styled("dim", line(head).join("  "))}`);
  for (const { cells, style } of rows) {
    const padded = line(cells);
    say(`  ${[...padded.slice(0, -1), styled(style, padded.at(-1) ?? "")].join("  ")}`);
  }
}

/** On a terminal one line that counts, e.g. `charges compared`; elsewhere a line now and then. Short lists show nothing. */
export function progressTo(
  stream: NodeJS.WriteStream,
  what: string,
): { readonly tell: (count: number) => void; readonly end: () => void } {
  let told = 0;
  return {
    tell: (count) => {
      if (stream.isTTY) stream.write(`\r  ${count} ${what} `);
      else if (count - told >= PROGRESS_EVERY) stream.write(`${count} ${what}\n`);
      else return;
      told = count;
    },
    end: () => {
      if (told > 0 && stream.isTTY) stream.write("\r\u001b[K");
    },
  };
}
