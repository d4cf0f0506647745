// What both clients are tried with, beside themselves.

import assert from "node:assert/strict";

const PATIENCE_MS = 20_000;

/** The URL of the service and a token. */
export function args(): { url: string; token: string } {
  const [url, token] = process.argv.slice(2);
  assert(url && token, "the URL of the service and a token are the arguments");
  return { url, token };
}

/** Posts the form of the invitation page, as a browser does. */
export async function join(link: string): Promise<void> {
  const body = new URLSearchParams({ username: "ada", firstname: "Ada" });
  const answer = await fetch(`${link}/join`, { method: "POST", body, redirect: "manual" });
  assert.equal(answer.status, 303);
}

/** Looks until what is seen is right. */
export async function until<Seen>(look: () => Promise<Seen>, isRight: (seen: Seen) => boolean): Promise<Seen> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (isRight(seen)) return seen;
    assert(Date.now() < deadline, `stays ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
