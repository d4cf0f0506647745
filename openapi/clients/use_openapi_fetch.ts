// openapi-fetch with the types that openapi-typescript makes, used against a running service.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./convoke.js";
import { args, join, until, UUID } from "./help.js";

type Chat = components["schemas"]["Chat"];
type Problem = components["schemas"]["Problem"];

const TITLE = "Made with openapi-fetch";
const CHATS = "/api/v1/private/chats";
const CHAT = "/api/v1/private/chats/{chatId}";
const PARTICIPANT = "/api/v1/private/chats/{chatId}/participants/{participantId}";

const { url, token } = args();
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

/** What was answered, which must not be a problem. */
function good<T>(answer: { data?: T; error?: unknown; response: Response }, status: number): T {
  assert.equal(answer.response.status, status, JSON.stringify(answer.error));
  assert(answer.data !== undefined);
  return answer.data;
}

async function register(): Promise<string> {
  const body = { title: TITLE, createdBy: "node", service: "sandbox" } as const;
  const params = { header: { "Idempotency-Key": randomUUID() } };
  const answer = await client.POST(CHATS, { body, params });
  const accepted = good(answer, 202);
  // The types know two answers, which a member tells apart.
  assert("operationId" in accepted);
  assert.match(accepted.id, UUID);
  assert.match(accepted.operationId, UUID);
  assert.equal(answer.response.headers.get("Location"), `${CHATS}/${accepted.id}`);
  const again = await client.POST(CHATS, { body, params });
  const repeated = good(again, 202);
  assert("operationId" in repeated);
  assert.deepEqual([repeated.id, repeated.operationId], [accepted.id, accepted.operationId]);
  assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");

  const waiting = { body: { title: "Another" }, params: { header: { Prefer: "wait=20" } } };
  const waited = good(await client.POST(CHATS, waiting), 201);
  assert("isActive" in waited);
  assert.deepEqual([waited.isActive, waited.title[0]?.value], [true, "Another"]);
  return accepted.id;
}

const detail = async (chatId: string): Promise<Chat> =>
  good(await client.GET(CHAT, { params: { path: { chatId } } }), 200);

async function letSomebodyIn(chatId: string): Promise<{ owner: string; guest: string }> {
  const params = { path: { chatId }, header: { Prefer: "wait=20" } };
  const invitation = good(await client.GET(`${CHAT}/invitation`, { params }), 200);
  assert.equal(invitation.service, "sandbox");
  await join(invitation.invitation);
  const chat = await until(() => detail(chatId), (chat) => chat.participants.length === 2);
  // The compiler sees to the types, the assertions to the values.
  const isActive: boolean = chat.isActive;
  assert.deepEqual([chat.id, isActive, chat.status, chat.createdBy], [chatId, true, "active", "node"]);
  assert(!("description" in chat));
  assert.deepEqual(chat.title.map(({ value, contentType }) => [value, contentType]), [[TITLE, "text/plain"]]);
  assert.equal(new Date(chat.registeredAt).toISOString(), chat.registeredAt);
  const [owner, guest] = chat.participants;
  assert(owner && guest);
  assert.deepEqual(guest.userProperties, { username: "ada", firstname: "Ada" });
  assert.equal(guest.participations.length, 1);
  assert.equal(guest.participations[0]?.isActive, true);
  return { owner: owner.id, guest: guest.id };
}

async function lookAtTheList(chatId: string): Promise<void> {
  const query = { id: [chatId, randomUUID()], isActive: true, sort: ["title,asc" as const, "id" as const] };
  const found = good(await client.GET(CHATS, { params: { query } }), 200);
  assert.deepEqual(found.records.map((chat) => chat.id), [chatId]);
  assert.deepEqual(found._metadata, { currentPage: 0, pageSize: 20, totalPages: 1, totalRecords: 1 });
  assert(found._links.self.href.startsWith(`${CHATS}?`) && !found._links.next && !found._links.prev);

  const walked: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const answer: { data?: components["schemas"]["ChatList"]; error?: unknown; response: Response } =
      await client.GET(CHATS, { params: { query: { cursor, size: 1 } } });
    const step = good(answer, 200);
    walked.push(...step.records.map((chat) => chat.id));
    assert.deepEqual(step._metadata, { pageSize: 1 });
    cursor = step._links.next ? new URL(step._links.next.href, url).searchParams.get("cursor") : null;
  }
  assert(walked.includes(chatId) && new Set(walked).size === walked.length);
}

async function remove(chatId: string, { owner, guest }: { owner: string; guest: string }): Promise<void> {
  const path = { chatId, participantId: guest };
  const removal = good(await client.DELETE(PARTICIPANT, { params: { path } }), 202);
  assert.equal(removal.id, chatId);
  const params = { path: { operationId: removal.operationId } };
  const look = async () => good(await client.GET("/api/v1/private/operations/{operationId}", { params }), 200);
  const operation = await until(look, (operation) => operation.completedAt !== undefined);
  assert.deepEqual([operation.id, operation.chatId], [removal.operationId, chatId]);
  assert.deepEqual([operation.type, operation.status], ["removeParticipant", "succeeded"]);
  const stay = (await detail(chatId)).participants[1]?.participations[0];
  assert.deepEqual([stay?.isActive, stay?.endReason, stay?.removedBy], [false, "removed", owner]);
}

async function lookAtProblems(): Promise<void> {
  const chatId = randomUUID();
  const { data, error, response } = await client.GET(CHAT, { params: { path: { chatId } } });
  assert(data === undefined && error !== undefined);
  const problem: Problem = error;
  assert.equal(response.status, 404);
  assert.deepEqual([problem.code, problem.status, problem.retryable], ["chat-not-found", 404, false]);
  assert.deepEqual([problem.type, problem.instance], ["/problems/chat-not-found", `${CHATS}/${chatId}`]);

  const refused = await client.GET(CHATS, { params: { query: { fromDate: "yesterday" } } });
  assert.equal(refused.response.status, 400);
  const mistakes = refused.error?.errors?.map(({ parameter, code }) => [parameter, code]);
  assert.deepEqual(mistakes, [["fromDate", "invalidFormat"]]);
}

async function main(): Promise<void> {
  const chatId = await register();
  const people = await letSomebodyIn(chatId);
  await lookAtTheList(chatId);
  await remove(chatId, people);
  await lookAtProblems();
}

main().catch((surprise: unknown) => {
  console.error(surprise);
  process.exitCode = 1;
});
