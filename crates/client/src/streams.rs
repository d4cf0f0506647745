//! Lists that are longer than a page, as streams.

use convoke_domain::Chat;
use futures_util::{Stream, TryStreamExt, stream};

use crate::{ChatPage, Client, Error, ListChats};

/// Which page a stream fetches next.
enum Next {
    First,
    Linked(String),
    None,
}

/// What a stream begins with.
#[derive(Clone, Copy)]
enum Begin {
    Page,
    Walk,
}

impl Client {
    /// The pages of a list from `asked.page` on, each with its totals. Chats that are registered meanwhile can move others
    /// from one page to the next; a [walk](Self::walk_chats) sees each exactly once. Ends after the last page, or with the
    /// first error.
    pub fn pages(&self, asked: ListChats) -> impl Stream<Item = Result<ChatPage, Error>> + Send + 'static {
        linked(self.clone(), asked, Begin::Page)
    }

    /// Every chat that matches, the newest first, each exactly once, whatever is registered meanwhile. Ends after the last
    /// chat, or with the first error.
    pub fn walk_chats(&self, asked: ListChats) -> impl Stream<Item = Result<Chat, Error>> + Send + 'static {
        linked(self.clone(), asked, Begin::Walk)
            .map_ok(|page| stream::iter(page.records.into_iter().map(Ok)))
            .try_flatten()
    }
}

fn linked(client: Client, asked: ListChats, begin: Begin) -> impl Stream<Item = Result<ChatPage, Error>> + Send {
    stream::try_unfold((client, asked, Next::First), move |(client, asked, next)| async move {
        let page = match (&next, begin) {
            (Next::First, Begin::Page) => client.list_chats(&asked).await?,
            (Next::First, Begin::Walk) => client.begin_walk(&asked).await?,
            (Next::Linked(query), _) => client.follow(query).await?,
            (Next::None, _) => return Ok(None),
        };
        let next = page.links.next.as_ref().map_or(Next::None, |link| Next::Linked(link.query().to_owned()));
        Ok(Some((page, (client, asked, next))))
    })
}
