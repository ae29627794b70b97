// Where the page goes when the member that serves it is gone: to the first other one that answers.
//
// Owns: that search and the move. The others are only asked whether they answer (the answer itself
// is opaque to this page); then the browser goes there, so that the new page is its member's own.
// Must never do: go to an address that is not http(s), or that no cluster event named.

const ASK_MS = 1_500;

/** The address of a member's page, or null: what the server says is checked before it is used. */
export function pageOf(member) {
  try {
    const url = new URL(member.ui_url);
    return url.protocol === "http:" || url.protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}

/** Those with a page of their own, the ones seen alive last first. */
export function others(cluster) {
  const rest = cluster.members.filter((member) => member.id !== cluster.me && pageOf(member));
  return rest.sort((a, b) => Number(b.reachable) - Number(a.reachable));
}

async function answers(member) {
  // Opaque: whether somebody answers is all that can be learnt from another origin.
  await fetch(pageOf(member), {
    mode: "no-cors",
    cache: "no-store",
    signal: AbortSignal.timeout(ASK_MS),
  });
  return member;
}

/** The member that answers first, or null when none does. */
export async function findOther(cluster) {
  try {
    return await Promise.any(others(cluster).map(answers));
  } catch {
    return null;
  }
}

/** Leaves for that member's page; `fragment` is what it shall show. */
export function moveTo(member, fragment) {
  const url = pageOf(member);
  url.hash = fragment;
  location.replace(url);
}
