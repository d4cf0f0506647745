//! `GET /api/v1/private/chats`: many chats, by page or as a walk through all of them.

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use convoke_domain::{
    Chat, ChatFilter, ChatQuery, Mistake, MistakeCode, PageNumber, PageSize, Scope, Sort, SortField, SortKey,
    Timestamp, WalkPosition,
};
use convoke_store::StoreError;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use crate::{
    auth::Caller,
    input::Mistakes,
    links::{Links, href},
    position,
    problem::{InputError, Problem},
    query_string::{Known, Query},
    state::ApiState,
};

const PATH: &str = "/api/v1/private/chats";

const PARAMETERS: [Known; 8] = [
    Known::once("page"),
    Known::once("size"),
    Known::repeatable("sort"),
    Known::once("isActive"),
    Known::repeatable("id"),
    Known::once("fromDate"),
    Known::once("toDate"),
    Known { name: "cursor", repeatable: false, may_be_empty: true },
];

/// A page of chats, or the next chats of a walk.
// For the document only: documents of chats are put together as they were stored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer in the OpenAPI document")]
pub(crate) struct ChatList {
    /// The chats.
    #[schema(max_items = 200)]
    records: Vec<Chat>,
    /// Which page it is, and of how many.
    _metadata: ListMetadata,
    /// Where other pages are: `self`, `first` and `last` always, `next` and `prev` where there are such; in a walk `self`
    /// and `next`.
    _links: ListLinks,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    /// The page, from 0; not in a walk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    current_page: Option<u32>,
    /// How many pages there are; not in a walk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    total_pages: Option<u64>,
    /// How many chats are on a page.
    #[schema(minimum = 1, maximum = 200)]
    page_size: u32,
    /// How many chats match; not in a walk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    total_records: Option<u64>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer in the OpenAPI document")]
struct ListLinks {
    /// This page.
    #[schema(rename = "self")]
    this: ListLink,
    /// The first page.
    first: Option<ListLink>,
    /// The last page.
    last: Option<ListLink>,
    /// The next page, or the next chats of the walk.
    next: Option<ListLink>,
    /// The page before.
    prev: Option<ListLink>,
}

/// A link.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer in the OpenAPI document")]
struct ListLink {
    /// A path of this service, with its query.
    #[schema(format = "uri-reference", example = "/api/v1/private/chats?page=1&size=20")]
    href: String,
}

/// `field`, `field,asc` or `field,desc`.
pub(crate) struct SortOrder;

impl ToSchema for SortOrder {}

impl PartialSchema for SortOrder {
    fn schema() -> RefOr<Schema> {
        let orders = SortField::ALL.map(SortField::as_str).into_iter();
        let orders = orders.flat_map(|field| ["", ",asc", ",desc"].map(|direction| format!("{field}{direction}")));
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(orders)).into()
    }
}

/// What is asked for.
#[derive(Debug, PartialEq)]
pub enum Question {
    /// A page of the list.
    Page(ChatQuery),
    /// The next chats of a walk.
    Walk {
        /// Which chats count.
        filter: ChatFilter,
        /// Behind which one; the newest, if behind none.
        after: Option<WalkPosition>,
        /// How many of them.
        size: PageSize,
    },
}

/// List chats
///
/// By page, in any order, with exact totals; or with `cursor`, as a walk through all chats, the newest first, that sees
/// every chat once whatever is registered meanwhile. The path may end with a slash.
#[utoipa::path(
    tag = "chats",
    security(("bearer" = ["chats:read"])),
    params(
        ("page" = Option<i32>, Query, minimum = 0, maximum = 2_147_483_647,
            description = "Which page, from 0, which is the default. Not with `cursor`.", example = 0),
        ("size" = Option<i32>, Query, minimum = 1, maximum = 200,
            description = "How many chats on a page: 20 where nothing is said.", example = 20),
        ("sort" = Option<Vec<SortOrder>>, Query, style = Form, explode, max_items = 7,
            description = "`field`, `field,asc` or `field,desc`; several make an order of several keys, each field once. \
                Fields are `registeredAt`, `updatedAt`, `title`, `createdBy`, `service`, `isActive` and `id`. Without \
                it: `registeredAt,desc`. Not with `cursor`.",
            example = json!(["title,asc"])),
        ("isActive" = Option<bool>, Query, description = "Only chats that are active, or only others."),
        ("id" = Option<Vec<convoke_domain::ChatId>>, Query, style = Form, explode, max_items = 200,
            description = "Only these chats."),
        ("fromDate" = Option<String>, Query,
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?$",
            description = "Only chats registered at this instant or later: a date-time (RFC 3339; without a zone: UTC), \
                or a date, which is its first instant."),
        ("toDate" = Option<String>, Query,
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?$",
            description = "Only chats registered at this instant or earlier; a date is its last instant."),
        ("cursor" = Option<String>, Query, allow_reserved = false, max_length = 50, pattern = r"^(-?[0-9a-f]+\.[0-9a-f]{32})?$",
            description = "Empty to begin a walk; then as the link `next` has it."),
        ("Convoke-Position" = Option<String>, Header, min_length = 16, max_length = 16, pattern = "^[0-9a-f]{16}$",
            description = "The position that the answer to a write told: what is read is at or after it."),
    ),
    responses(
        (status = 200, description = "The chats.", body = ChatList,
            headers(("Link" = String, description = "The same links as in `_links` (RFC 8288). Where it would be longer than \
                4 KiB, `last`, then `first`, then `prev` are left out of it; if that does not do, it is not there."))),
    )
)]
#[get("/chats")]
pub(crate) async fn list_chats(state: web::Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = Caller::with_scope(&request, Scope::ChatsRead)?;
    let mut mistakes = Mistakes::default();
    let (query, question) = parse(request.query_string(), &mut mistakes);
    let position = position::sent(request.headers(), &mut mistakes);
    mistakes.accept(Some(()))?;
    let reader = state.store.as_fresh_as(position::freshness(&state, &caller, position));
    let (documents, metadata, links) = match question {
        Question::Page(asked) => {
            let page = match reader.list_chats(&caller.tenant, &asked).await {
                Err(StoreError::Busy) => return Err(state.admission.refuse(&request)),
                page => page?,
            };
            let pages = page.total.div_ceil(asked.size.get().into());
            (page.documents, page_metadata(&asked, page.total, pages), page_links(&query, asked.page, pages))
        }
        Question::Walk { filter, after, size } => {
            let walk = reader.walk_chats(&caller.tenant, &filter, after, size).await?;
            (walk.documents, walk_metadata(size), walk_links(&query, walk.next))
        }
    };
    let mut response = HttpResponse::Ok();
    if let Some(link) = links.header_value() {
        response.insert_header((header::LINK, link));
    }
    Ok(response
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .content_type("application/json")
        .body(put_together(&documents, &metadata, &links)))
}

/// Reads a query, every mistake in it collected.
pub(crate) fn parse(query: &str, mistakes: &mut Mistakes) -> (Query, Question) {
    let query = Query::parse(query, &PARAMETERS, mistakes);
    let size = query.read_one("size", str::parse, mistakes).unwrap_or_default();
    let filter = ChatFilter {
        is_active: query.read_one("isActive", parse_bool, mistakes),
        ids: parse_ids(&query, mistakes),
        registered_from: query.read_one("fromDate", Timestamp::parse_from_bound, mistakes),
        registered_to: query.read_one("toDate", Timestamp::parse_to_bound, mistakes),
    };
    let question = match query.get("cursor") {
        Some(cursor) => {
            for name in ["page", "sort"] {
                if query.get(name).is_some() {
                    let mistake = Mistake::new(MistakeCode::NotAllowed, "is not possible together with 'cursor'");
                    mistakes.add(InputError::at_parameter(name, mistake));
                }
            }
            let after = (!cursor.is_empty()).then(|| mistakes.at_parameter("cursor", cursor.parse())).flatten();
            Question::Walk { filter, after, size }
        }
        None => Question::Page(ChatQuery {
            filter,
            sort: parse_sort(&query, mistakes),
            page: query.read_one("page", str::parse, mistakes).unwrap_or_default(),
            size,
        }),
    };
    (query, question)
}

fn parse_bool(text: &str) -> Result<bool, Mistake> {
    text.parse().map_err(|_| Mistake::new(MistakeCode::InvalidFormat, "must be 'true' or 'false'"))
}

fn parse_ids(query: &Query, mistakes: &mut Mistakes) -> Vec<convoke_domain::ChatId> {
    let count = query.get_all("id").count();
    if count > ChatFilter::MAX_IDS {
        let detail = format!("may be given at most {} times", ChatFilter::MAX_IDS);
        mistakes.add(InputError::at_parameter("id", Mistake::new(MistakeCode::OutOfRange, detail)));
    }
    query.get_all("id").filter_map(|id| mistakes.at_parameter("id", id.parse())).collect()
}

fn parse_sort(query: &Query, mistakes: &mut Mistakes) -> Sort {
    let keys: Vec<SortKey> =
        query.get_all("sort").filter_map(|key| mistakes.at_parameter("sort", key.parse())).collect();
    mistakes.at_parameter("sort", Sort::new(&keys)).unwrap_or_default()
}

fn page_metadata(asked: &ChatQuery, total: u64, pages: u64) -> ListMetadata {
    ListMetadata {
        current_page: Some(asked.page.get()),
        total_pages: Some(pages),
        page_size: asked.size.get(),
        total_records: Some(total),
    }
}

fn walk_metadata(size: PageSize) -> ListMetadata {
    ListMetadata { current_page: None, total_pages: None, page_size: size.get(), total_records: None }
}

/// The links of a page, of so many pages.
pub(crate) fn page_links(query: &Query, page: PageNumber, pages: u64) -> Links {
    let (page, last) = (u64::from(page.get()), pages.saturating_sub(1));
    let to = |page: u64| {
        let page = format!("page={page}");
        href(PATH, std::iter::once(page.as_str()).chain(query.sent_without("page")))
    };
    let mut links = Links::default();
    links.add("self", to(page));
    links.add("first", to(0));
    links.add("last", to(last));
    if page < last {
        links.add("next", to(page + 1));
    }
    if page > 0 {
        links.add("prev", to((page - 1).min(last)));
    }
    links
}

/// The links of a part of a walk.
pub(crate) fn walk_links(query: &Query, next: Option<WalkPosition>) -> Links {
    let cursor = format!("cursor={}", query.get("cursor").unwrap_or_default());
    let to = |cursor: &str| href(PATH, std::iter::once(cursor).chain(query.sent_without("cursor")));
    let mut links = Links::default();
    links.add("self", to(&cursor));
    if let Some(next) = next {
        links.add("next", to(&format!("cursor={next}")));
    }
    links
}

/// The answer's body: documents as they were stored, with commas between.
fn put_together(documents: &str, metadata: &ListMetadata, links: &Links) -> String {
    let write = |json: serde_json::Result<String>| json.expect("numbers and texts are always written");
    let (metadata, links) = (write(serde_json::to_string(metadata)), write(serde_json::to_string(links)));
    let mut body = String::with_capacity(documents.len() + metadata.len() + links.len() + 48);
    body.push_str("{\"records\":[");
    body.push_str(documents);
    body.push_str("],\"_metadata\":");
    body.push_str(&metadata);
    body.push_str(",\"_links\":");
    body.push_str(&links);
    body.push('}');
    body
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::{Value, json};

    use super::*;

    fn read(uri: &str) -> Result<(Query, Question), Problem> {
        let mut mistakes = Mistakes::default();
        let asked = parse(TestRequest::with_uri(uri).to_http_request().query_string(), &mut mistakes);
        mistakes.accept(Some(asked))
    }

    fn links(uri: &str, pages: u64) -> Value {
        let (query, question) = read(uri).unwrap();
        let links = match question {
            Question::Page(asked) => page_links(&query, asked.page, pages),
            Question::Walk { .. } => walk_links(&query, Some("1.9a98378917094543aa31a02867680017".parse().unwrap())),
        };
        let links = serde_json::to_value(links).unwrap();
        links.as_object().unwrap().iter().map(|(name, link)| (name.clone(), link["href"].clone())).collect()
    }

    fn errors(uri: &str) -> Vec<(String, String)> {
        let Err(problem) = read(uri) else { return vec![] };
        let body = serde_json::to_value(problem.body("/", "r")).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        body["errors"].as_array().unwrap().iter().map(|e| (text(&e["parameter"]), text(&e["code"]))).collect()
    }

    #[test]
    fn links_lead_to_the_neighbours_with_the_parameters_as_given() {
        assert_eq!(
            links("/api/v1/private/chats?sort=title%2Casc&page=1&size=2&sort=id", 3),
            json!({
                "self": "/api/v1/private/chats?page=1&sort=title%2Casc&size=2&sort=id",
                "first": "/api/v1/private/chats?page=0&sort=title%2Casc&size=2&sort=id",
                "last": "/api/v1/private/chats?page=2&sort=title%2Casc&size=2&sort=id",
                "next": "/api/v1/private/chats?page=2&sort=title%2Casc&size=2&sort=id",
                "prev": "/api/v1/private/chats?page=0&sort=title%2Casc&size=2&sort=id",
            })
        );
    }

    #[test]
    fn the_ends_of_a_list_have_their_links() {
        let page = |number| format!("/api/v1/private/chats?page={number}");
        assert_eq!(links("/", 0), json!({"self": page(0), "first": page(0), "last": page(0)}));
        assert_eq!(links("/", 1), json!({"self": page(0), "first": page(0), "last": page(0)}));
        let past = json!({"self": page(9), "first": page(0), "last": page(2), "prev": page(2)});
        assert_eq!(links("/?page=9", 3), past);
        assert_eq!(links("/?page=9", 0), json!({"self": page(9), "first": page(0), "last": page(0), "prev": page(0)}));
    }

    #[test]
    fn a_walk_goes_on_with_its_filters() {
        assert_eq!(
            links("/?size=5&cursor=&isActive=true", 0),
            json!({
                "self": "/api/v1/private/chats?cursor=&size=5&isActive=true",
                "next": "/api/v1/private/chats?cursor=1.9a98378917094543aa31a02867680017&size=5&isActive=true",
            })
        );
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let error = |name: &str, code: &str| (name.to_owned(), code.to_owned());
        assert_eq!(
            errors("/?page=-1&size=201&sort=name&isActive=TRUE&id=1&fromDate=x&limit=1"),
            [
                error("limit", "unknown"),
                error("size", "outOfRange"),
                error("isActive", "invalidFormat"),
                error("id", "invalidFormat"),
                error("fromDate", "invalidFormat"),
                error("sort", "unknown"),
                error("page", "outOfRange"),
            ]
        );
        assert_eq!(errors("/?cursor=&page=0&sort=id"), [error("page", "notAllowed"), error("sort", "notAllowed")]);
        assert_eq!(errors("/?cursor=x"), [error("cursor", "invalidFormat")]);
        assert_eq!(errors("/?sort=title&sort=title,desc"), [error("sort", "duplicate")]);
        let ids = |count| format!("/?{}", vec!["id=9a983789-1709-4543-aa31-a02867680017"; count].join("&"));
        assert_eq!(errors(&ids(200)), []);
        assert_eq!(errors(&ids(201)), [error("id", "outOfRange")]);
    }

    #[test]
    fn documents_are_put_together_unparsed() {
        let metadata = walk_metadata(PageSize::default());
        let body = put_together(r#"{"id":1},{"id":2}"#, &metadata, &Links::default());
        assert_eq!(body, r#"{"records":[{"id":1},{"id":2}],"_metadata":{"pageSize":20},"_links":{}}"#);
    }
}
