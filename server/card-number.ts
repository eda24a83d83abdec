/**
 * Finds what looks like a card's number, so that none is ever stored by mistake: 13 to 19 digits, perhaps
 * grouped, that begin like a card network's numbers (2–6) and pass Luhn's check.
 */
export function hasCardNumber(text: string): boolean {
  for (const [candidate] of text.matchAll(/(?<!\d)[2-6](?:[ -]?\d){12,18}(?!\d)/g)) {
    if (passesLuhn(candidate.replaceAll(/[ -]/g, ""))) return true;
  }
  return false;
}

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += i % 2 === 0 ? digit : doubled;
  }
  return sum % 10 === 0;
}
