"""The client that openapi-generator makes for Python, used against a running service: its URL and a token are the
arguments. Whatever is not as the document says ends it with an error."""

import sys
import time
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from uuid import UUID, uuid4

import convoke_generated as convoke
from convoke_generated.exceptions import ApiException, BadRequestException, NotFoundException

PATIENCE_SECONDS = 20


def main(url: str, token: str) -> None:
    with convoke.ApiClient(convoke.Configuration(host=url, access_token=token)) as client:
        chats = convoke.ChatsApi(client)
        chat_id = register(chats)
        owner, guest = let_somebody_in(chats, chat_id)
        look_at_the_list(chats, chat_id)
        remove(client, chats, chat_id, owner, guest)
        look_at_problems(chats)


def register(chats: convoke.ChatsApi) -> UUID:
    new_chat = convoke.NewChat(title="Made in Python 🐍", createdBy="python", service=convoke.Service.SANDBOX)
    key = str(uuid4())
    answer = chats.register_chat_with_http_info(new_chat, idempotency_key=key)
    accepted = answer.data
    same(answer.status_code, 202)
    # Its signature names the 201 of `Prefer: wait` alone; what it gives is of the class that belongs to the status.
    same(type(accepted), convoke.AcceptedChat)
    same((type(accepted.id), type(accepted.operation_id)), (UUID, UUID))
    same(answer.headers["location"], f"/api/v1/private/chats/{accepted.id}")
    again = chats.register_chat_with_http_info(new_chat, idempotency_key=key)
    same((again.data.id, again.data.operation_id), (accepted.id, accepted.operation_id))
    same(again.headers["idempotency-replayed"], "true")

    waited = chats.register_chat_with_http_info(convoke.NewChat(title="Another"), prefer="wait=20")
    same((waited.status_code, type(waited.data)), (201, convoke.Chat))
    same((waited.data.is_active, waited.data.title[0].value), (True, "Another"))
    return accepted.id


def let_somebody_in(chats: convoke.ChatsApi, chat_id: UUID) -> tuple[UUID, UUID]:
    invitation = chats.get_chat_invitation(chat_id, prefer="wait=20")
    same((type(invitation), invitation.service), (convoke.Invitation, convoke.Service.SANDBOX))
    join(invitation.invitation)
    chat = until(lambda: chats.get_chat(chat_id), lambda chat: len(chat.participants) == 2)
    same((type(chat), chat.id, chat.is_active, chat.status), (convoke.Chat, chat_id, True, convoke.ChatStatus.ACTIVE))
    same((chat.service, chat.created_by, chat.description), (convoke.Service.SANDBOX, "python", None))
    same([(title.value, title.content_type) for title in chat.title], [("Made in Python 🐍", "text/plain")])
    same(type(chat.registered_at), datetime)
    same(chat.registered_at.utcoffset(), timedelta(0))
    same(abs(datetime.now(timezone.utc) - chat.registered_at) < timedelta(minutes=5), True)
    owner, guest = chat.participants
    same((guest.user_properties.username, guest.user_properties.firstname), ("ada", "Ada"))
    same(guest.user_properties.lastname, None)
    stay, = guest.participations
    same((stay.is_active, stay.invited_by, stay.left_at, type(stay.joined_at)), (True, None, None, datetime))
    return owner.id, guest.id


def look_at_the_list(chats: convoke.ChatsApi, chat_id: UUID) -> None:
    found = chats.list_chats(id=[chat_id, uuid4()], is_active=True, sort=["title,asc", convoke.SortOrder.ID])
    same([chat.id for chat in found.records], [chat_id])
    same(len(found.records[0].participants), 2)
    metadata = found.metadata
    same((metadata.current_page, metadata.page_size, metadata.total_pages, metadata.total_records), (0, 20, 1, 1))
    same((found.links.next, found.links.prev), (None, None))

    pages = [chats.list_chats(size=1, page=page) for page in (0, 1)]
    same([page.metadata.total_records == page.metadata.total_pages for page in pages], [True, True])
    same(pages[0].links.next is None, False)
    same(pages[0].records[0].id == pages[1].records[0].id, False)

    # A walk: the cursor of the next step is in the link.
    walked, cursor = [], ""
    while cursor is not None:
        step = chats.list_chats(cursor=cursor, size=1)
        walked += [chat.id for chat in step.records]
        same(step.metadata.total_records, None)
        following = step.links.next and urllib.parse.parse_qs(urllib.parse.urlsplit(step.links.next.href).query)
        cursor = following["cursor"][0] if following else None
    same((chat_id in walked, len(set(walked))), (True, len(walked)))


def remove(client: convoke.ApiClient, chats: convoke.ChatsApi, chat_id: UUID, owner: UUID, guest: UUID) -> None:
    removal = convoke.ParticipantsApi(client).remove_participant(chat_id, guest)
    same((type(removal), removal.id, type(removal.operation_id)), (convoke.AcceptedRemoval, chat_id, UUID))
    operations = convoke.OperationsApi(client)
    operation = until(lambda: operations.get_operation(removal.operation_id), lambda one: one.completed_at is not None)
    same((operation.id, operation.chat_id), (removal.operation_id, chat_id))
    same(operation.type, convoke.OperationType.REMOVEPARTICIPANT)
    same((operation.status, operation.error), (convoke.OperationStatus.SUCCEEDED, None))

    answer = chats.get_chat_with_http_info(chat_id)
    stay, = answer.data.participants[1].participations
    same((stay.is_active, stay.end_reason, stay.removed_by), (False, convoke.EndReason.REMOVED, owner))
    same(stay.left_at >= stay.joined_at, True)
    # Nothing is new: the generated client tells of it as of any status without a body.
    told = problem(ApiException, 304, lambda: chats.get_chat(chat_id, if_none_match=answer.headers["etag"]))
    same(told, None)


def look_at_problems(chats: convoke.ChatsApi) -> None:
    unknown = uuid4()
    told = problem(NotFoundException, 404, lambda: chats.get_chat(unknown))
    same((type(told), told.code, told.status), (convoke.Problem, convoke.ProblemCode.CHAT_MINUS_NOT_MINUS_FOUND, 404))
    same((told.type, told.retryable, told.errors), ("/problems/chat-not-found", False, None))
    same((told.instance, bool(told.request_id)), (f"/api/v1/private/chats/{unknown}", True))

    told = problem(BadRequestException, 400, lambda: chats.list_chats(from_date="yesterday"))
    mistake, = told.errors
    same((mistake.parameter, mistake.code), ("fromDate", convoke.MistakeCode.INVALIDFORMAT))


def problem(kind, status, call):
    """What the exception of this kind carries, which the call has to end with."""
    try:
        surprise = call()
    except kind as refused:
        same(refused.status, status)
        return refused.data
    raise AssertionError(f"expected {kind.__name__}, got {surprise!r}")


def join(link: str) -> None:
    """Posts the form of the invitation page, as a browser does."""
    form = urllib.parse.urlencode({"username": "ada", "firstname": "Ada"}).encode()
    # No proxy: the service is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{link}/join", form, timeout=PATIENCE_SECONDS) as page:
        same(page.status, 200)


def until(look, is_right):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_right(seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"stays {seen}")
        time.sleep(0.05)
    return seen


def same(is_, should_be) -> None:
    if is_ != should_be:
        raise AssertionError(f"{is_!r} should be {should_be!r}")


main(*sys.argv[1:])
