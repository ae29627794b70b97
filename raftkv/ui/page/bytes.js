// Keys and values are bytes: how they travel (base64url) and how they are shown.
//
// Owns: the changes between base64url, bytes, text and hex. Must never do: guess an encoding; what
// is no UTF-8 is shown as hex or base64, never as broken text.

const ROW = 16;
const STRICT = new TextDecoder("utf-8", { fatal: true });

export function toBase64url(octets) {
  let letters = "";
  for (let at = 0; at < octets.length; at += 8192) {
    letters += String.fromCharCode(...octets.subarray(at, at + 8192));
  }
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromBase64url(text) {
  const letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

/** The text of UTF-8 bytes, or null. */
export function textOf(octets) {
  try {
    return STRICT.decode(octets);
  } catch {
    return null;
  }
}

const twoDigits = (octet) => octet.toString(16).padStart(2, "0");

/** Rows of an offset, 16 bytes and their printable letters. */
export function hexDump(octets) {
  const rows = [];
  for (let at = 0; at < octets.length; at += ROW) {
    const row = [...octets.subarray(at, at + ROW)];
    const digits = row
      .map(twoDigits)
      .join(" ")
      .padEnd(ROW * 3 - 1);
    const letters = row.map((o) => (o >= 32 && o < 127 ? String.fromCharCode(o) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${digits}  ${letters}`);
  }
  return rows.join("\n");
}

/**
 * Text with every letter visible: what would hide, turn the line's direction or break it is
 * written as its code point.
 */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (letter) => {
    return `\\u{${letter.codePointAt(0).toString(16)}}`;
  });
}

/** A key in one line: its text; where its bytes are none, those that are no letters as `\xff`. */
export function keyWords(base64url) {
  const octets = fromBase64url(base64url);
  const text = textOf(octets);
  if (text !== null) return visible(text);
  return [...octets]
    .map((octet) =>
      octet >= 32 && octet < 127 ? String.fromCharCode(octet) : `\\x${twoDigits(octet)}`,
    )
    .join("");
}

/** What a person typed for a prefix: text, in which `\xff` stands for a byte. */
export function typedKey(text) {
  const parts = text.split(/(\\x[0-9a-f]{2})/i);
  const octets = parts.flatMap((part, at) =>
    at % 2 ? [parseInt(part.slice(2), 16)] : [...new TextEncoder().encode(part)],
  );
  return toBase64url(Uint8Array.from(octets));
}
