// The client that openapi-generator makes for TypeScript (typescript-fetch), used against a running service.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import * as convoke from "./fetch/index.js";
import { args, join, until, UUID } from "./help.js";

const TITLE = "Made with typescript-fetch";

const { url, token } = args();
const configuration = new convoke.Configuration({ basePath: url, accessToken: token });
const chats = new convoke.ChatsApi(configuration);
const participants = new convoke.ParticipantsApi(configuration);
const operations = new convoke.OperationsApi(configuration);

/**
 * Registers without waiting. This generator knows one answer of an operation alone, that of the lowest status: the 201
 * of `Prefer: wait`. The 202 is read from the raw answer, as the generated type that it is.
 */
async function acceptedChat(request: convoke.RegisterChatRequest): Promise<convoke.AcceptedChat> {
  const { raw } = await chats.registerChatRaw(request);
  assert.equal(raw.status, 202);
  const body: object = await raw.json();
  assert(convoke.instanceOfAcceptedChat(body));
  return convoke.AcceptedChatFromJSON(body);
}

async function register(): Promise<string> {
  const newChat: convoke.NewChat = { title: TITLE, createdBy: "node", service: convoke.Service.Sandbox };
  const request: convoke.RegisterChatRequest = { newChat, idempotencyKey: randomUUID() };
  const accepted = await acceptedChat(request);
  assert.match(accepted.id, UUID);
  assert.match(accepted.operationId, UUID);
  const again = await acceptedChat(request);
  assert.deepEqual([again.id, again.operationId], [accepted.id, accepted.operationId]);

  const waited = await chats.registerChat({ newChat: { title: "Another" }, prefer: "wait=20" });
  assert.deepEqual([waited.isActive, waited.title[0]?.value], [true, "Another"]);
  return accepted.id;
}

async function letSomebodyIn(chatId: string): Promise<{ owner: string; guest: string }> {
  const invitation = await chats.getChatInvitation({ chatId, prefer: "wait=20" });
  assert.equal(invitation.service, convoke.Service.Sandbox);
  await join(invitation.invitation);
  const chat = await until(() => chats.getChat({ chatId }), (chat) => chat.participants.length === 2);
  // The compiler sees to the types, the assertions to the values.
  const isActive: boolean = chat.isActive;
  assert.deepEqual([chat.id, isActive, chat.status], [chatId, true, convoke.ChatStatus.Active]);
  assert.deepEqual([chat.createdBy, chat.description], ["node", undefined]);
  assert.deepEqual(chat.title.map(({ value, contentType }) => [value, contentType]), [[TITLE, "text/plain"]]);
  assert(chat.registeredAt instanceof Date && Math.abs(Date.now() - chat.registeredAt.getTime()) < 300_000);
  const [owner, guest] = chat.participants;
  assert(owner && guest);
  assert.deepEqual([guest.userProperties.username, guest.userProperties.firstname], ["ada", "Ada"]);
  assert.equal(guest.participations.length, 1);
  assert.equal(guest.participations[0]?.isActive, true);
  return { owner: owner.id, guest: guest.id };
}

async function lookAtTheList(chatId: string): Promise<void> {
  const sort = [convoke.SortOrder.Titleasc, convoke.SortOrder.Id];
  const found = await chats.listChats({ id: [chatId, randomUUID()], isActive: true, sort });
  assert.deepEqual(found.records.map((chat) => chat.id), [chatId]);
  assert.deepEqual(found.metadata, { currentPage: 0, pageSize: 20, totalPages: 1, totalRecords: 1 });
  assert.deepEqual([found.links.next, found.links.prev], [undefined, undefined]);

  const walked: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const step: convoke.ChatList = await chats.listChats({ cursor, size: 1 });
    walked.push(...step.records.map((chat) => chat.id));
    assert.equal(step.metadata.totalRecords, undefined);
    cursor = step.links.next ? new URL(step.links.next.href, url).searchParams.get("cursor") : null;
  }
  assert(walked.includes(chatId) && new Set(walked).size === walked.length);
}

async function remove(chatId: string, { owner, guest }: { owner: string; guest: string }): Promise<void> {
  const removal = await participants.removeParticipant({ chatId, participantId: guest });
  assert.equal(removal.id, chatId);
  const { operationId } = removal;
  const look = () => operations.getOperation({ operationId });
  const operation = await until(look, (operation) => operation.completedAt !== undefined);
  assert.deepEqual([operation.id, operation.chatId, operation.error], [operationId, chatId, undefined]);
  assert.equal(operation.type, convoke.OperationType.RemoveParticipant);
  assert.equal(operation.status, convoke.OperationStatus.Succeeded);
  const stay = (await chats.getChat({ chatId })).participants[1]?.participations[0];
  assert.deepEqual([stay?.isActive, stay?.endReason, stay?.removedBy], [false, convoke.EndReason.Removed, owner]);
  assert(stay?.leftAt instanceof Date && stay.leftAt >= stay.joinedAt);
}

/** The problem that a call ends with. */
async function problem(call: Promise<unknown>, status: number): Promise<convoke.Problem> {
  const refused = await call.then(
    (surprise) => assert.fail(`answered ${JSON.stringify(surprise)}`),
    (error: unknown) => error,
  );
  assert(refused instanceof convoke.ResponseError);
  assert.equal(refused.response.status, status);
  const body: object = await refused.response.json();
  assert(convoke.instanceOfProblem(body));
  return convoke.ProblemFromJSON(body);
}

async function lookAtProblems(): Promise<void> {
  const chatId = randomUUID();
  const unknown = await problem(chats.getChat({ chatId }), 404);
  assert.deepEqual([unknown.code, unknown.status], [convoke.ProblemCode.ChatNotFound, 404]);
  assert.deepEqual([unknown.type, unknown.retryable], ["/problems/chat-not-found", false]);
  const { errors } = await problem(chats.listChats({ fromDate: "yesterday" }), 400);
  const expected = [["fromDate", convoke.MistakeCode.InvalidFormat]];
  assert.deepEqual(errors?.map(({ parameter, code }) => [parameter, code]), expected);
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
