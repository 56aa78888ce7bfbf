//! What a description says, read and checked: the types that the driver goes by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Digest, FieldPath, Kind, KindRules, KindTable, Value};

use super::{AfterRule, BodyTemplate, Splat, Template, WaitRule};

/// What a YAML file says about one HTTP API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiDescription {
    /// The API's name.
    pub name: String,
    /// Before every path that does not begin with `//`.
    pub base: Template,
    /// How a request proves who sends it.
    pub auth: AuthRule,
    /// A GET that must be answered with 2xx before anything is planned.
    pub health: Option<Template>,
    /// Who answers at this endpoint.
    pub identity: Option<IdentityRule>,
    /// Values that the target must supply.
    pub params: Vec<String>,
    /// Sent with every request.
    pub headers: Vec<(String, Template)>,
    /// Added to every request's query.
    pub query: Vec<(String, Template)>,
    /// Where a 4xx names the field that it means.
    pub errors: Option<ErrorRule>,
    /// What each answer must say, besides its status. A write may say otherwise for itself.
    pub ok: Vec<(FieldPath, Value)>,
    /// How often it may be asked.
    pub retry: RetryRule,
    /// The header that carries the number of a leader's tenure, where the API refuses an older one.
    pub fence: Option<String>,
    /// What the API wants once after writes, where a kind says nothing else.
    pub after_apply: Option<ApiOperation>,
    /// The kinds.
    pub types: BTreeMap<Kind, ApiType>,
    pub(super) digest: Digest,
    pub(super) table: Arc<KindTable>,
}

impl ApiDescription {
    /// SHA-256 of the text that it was read from: what an operator pins.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What diff and plan must know of its kinds.
    pub fn table(&self) -> &KindTable {
        &self.table
    }

    /// Most requests per second that the API takes, if the description says so.
    pub fn rps(&self) -> Option<u32> {
        self.retry.rps
    }

    /// The same, shared.
    pub fn shared_table(&self) -> Arc<KindTable> {
        Arc::clone(&self.table)
    }
}

/// How often an API may be asked, and by how many at once. `Retry-After` is always honoured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetryRule {
    /// How often a request is sent again, at most; never more often than `ctl` would by itself.
    pub max: Option<u32>,
    /// Requests per second, at most.
    pub rps: Option<u32>,
    /// Writes under way at once, at most; reads are as many as the target allows.
    pub writes: Option<u32>,
}

/// How a request proves who sends it. The secret itself is the operator's; this says where it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthRule {
    /// As the operator's file says.
    Unsaid,
    /// HTTP basic.
    Basic,
    /// `Authorization: Bearer …`
    Bearer,
    /// A header, with a text before the value.
    Header {
        /// Its name.
        name: String,
        /// Before the value: `Token `.
        prefix: String,
    },
    /// A call that answers with a token.
    Login(Box<LoginRule>),
}

/// A call that answers with a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRule {
    /// Where it is POSTed.
    pub path: Template,
    /// What is sent.
    pub body: BodyTemplate,
    /// Sent as a form instead of JSON.
    pub form: bool,
    /// Where the token is in the answer.
    pub token: TokenPlace,
    /// The header that carries it.
    pub header: String,
    /// Before the token: `Bearer `.
    pub prefix: String,
    /// Where the answer says for how many seconds the token lives.
    pub expires: Option<FieldPath>,
}

/// Where a login's answer holds the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenPlace {
    /// In the body.
    Body(FieldPath),
    /// The value of a header.
    Header(String),
    /// A cookie of this name; it is sent back as such.
    Cookie(String),
}

/// Who answers at an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityRule {
    /// What is asked for.
    pub get: Template,
    /// Where the answer says it.
    pub at: FieldPath,
}

/// Where a 4xx names the field that it means, and says why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorRule {
    /// The field.
    pub pointer: Option<FieldPath>,
    /// The reason: the first of these that is a text.
    pub message: Vec<FieldPath>,
}

/// One kind: how it is listed, read and written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiType {
    /// Its name.
    pub kind: Kind,
    /// Where one object is, if it has an address.
    pub path: Option<Template>,
    /// How all of them are asked for.
    pub list: ListRule,
    /// How one is asked for; `None` if only the list shows it.
    pub get: Option<GetRule>,
    /// `None` where the API cannot make one.
    pub create: Option<ApiOperation>,
    /// `None` where nothing can be changed in place.
    pub update: Option<ApiOperation>,
    /// `None` where the API cannot delete one.
    pub delete: Option<ApiOperation>,
    /// Asks whether a create or an update would go through, and writes nothing.
    pub validate: Option<ApiOperation>,
    /// Items and objects live under this pointer in answers.
    pub envelope: FieldPath,
    /// Bodies of writes are wrapped so.
    pub wrap: FieldPath,
    /// Inside an item, the stated fields live here; key fields and [`ApiType::root`] at the item's root.
    pub spec: FieldPath,
    /// Where they live in a body: there too, unless the description's bodies place them themselves.
    pub spec_sent: FieldPath,
    /// Stated fields that stay at the item's root though the others live under [`ApiType::spec`].
    pub root: BTreeSet<String>,
    /// Fields that stand in an address and never in a body.
    pub path_only: BTreeSet<String>,
    /// Whether writes carry `If-Match`, and where else the ETag is found.
    pub etag: EtagRule,
    /// A field whose value guards a write.
    pub version: Option<FieldPath>,
    /// A field that changes when an object of the same key is made anew.
    pub uid: Option<FieldPath>,
    /// What means that an object is not there.
    pub absent: AbsentRule,
    /// What is sent for a field that is no longer stated; see [`ApiType::clears`].
    pub cleared: BTreeMap<FieldPath, Value>,
    /// Sent with every request of this kind.
    pub headers: Vec<(String, Template)>,
    /// Added to the query of every request of this kind.
    pub query: Vec<(String, Template)>,
    /// Of references that travel as an object: where in it the id stands, by field.
    pub link_within: BTreeMap<FieldPath, FieldPath>,
    /// The header in which a create says which attempt it belongs to, where the API makes nothing twice for one attempt.
    pub idempotency_key: Option<String>,
    /// In what form bodies of writes travel.
    pub content: Content,
    /// What is wanted once after writes of this kind.
    pub after_apply: AfterRule,
}

/// How a kind is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListRule {
    /// GET, or POST with a body.
    pub method: Method,
    /// Where.
    pub path: Template,
    /// What a POST sends.
    pub body: Option<BodyTemplate>,
    /// The query.
    pub query: Vec<(String, Template)>,
    /// Where the items are in the answer.
    pub items: FieldPath,
    /// A list, or a mapping by name.
    pub shape: Shape,
    /// Where the address is in an element of a list of addresses.
    pub link: FieldPath,
    /// A missing list means an empty one. Never assumed.
    pub missing_is_empty: bool,
    /// Statuses that mean an empty list. Never assumed.
    pub empty_statuses: Vec<u16>,
    /// How the next page is asked for.
    pub page: PageRule,
    /// Where the number of all items is announced.
    pub total: Option<Place>,
    /// An item of the list is not the whole object: each one is asked for by `get` too.
    pub summary: bool,
    /// Whether a list that was read before may be answered with 304.
    pub revalidate: Revalidate,
    /// How what changed since the last list is asked for, instead of the whole.
    pub since: Option<SinceRule>,
}

impl ApiType {
    /// What is sent for a field that is no longer stated, if the description says so for it, or for all like it (`*`).
    pub fn clears(&self, path: &FieldPath) -> Option<&Value> {
        let like = || self.cleared.iter().find(|(rule, _)| rule.matches(path)).map(|(_, value)| value);
        self.cleared.get(path).or_else(like)
    }

    /// True if an update that takes this field away has nothing to say so with: it names only what changes, or has a place
    /// for the field, and nothing says what stands for a field that is no longer stated.
    pub fn cannot_clear(&self, rules: &KindRules, path: &FieldPath) -> bool {
        let Some(update) = &self.update else { return false };
        if self.clears(path).is_some() || rules.field(path).is_some_and(|rule| rule.default.is_some()) {
            return false;
        }
        let is_top = path.segments().len() == 1;
        match (&update.body, update.body.choice()) {
            (_, Choice::Changes) => update.method != Method::Patch,
            (_, Choice::Fields) => update.method != Method::Patch && is_top,
            (Body::Template(body), Choice::Stated) => body.holes().iter().any(|hole| &hole.path() == path),
            (_, Choice::Stated | Choice::Merged | Choice::Nothing) => false,
        }
    }

    /// True if something is sent, and each body names all that is in it: then a field that none names is never sent.
    pub fn names_what_it_sends(&self) -> bool {
        let mut writes = [&self.create, &self.update].into_iter().flatten().peekable();
        writes.peek().is_some() && writes.all(|op| op.body.names_all())
    }
}

impl ListRule {
    /// How the object is asked for that is all there is in this list; none if it takes a body to ask.
    pub fn as_get(&self) -> Option<GetRule> {
        (self.method == Method::Get).then(|| GetRule {
            path: self.path.clone(),
            query: self.query.clone(),
            item: self.items.clone(),
            missing_is_absent: self.missing_is_empty,
        })
    }
}

/// How a list is asked for what changed in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinceRule {
    /// The ETag of the list that is known goes into the query under this name.
    pub name: String,
    /// An item that is gone comes with its key and this field, which is true.
    pub gone: FieldPath,
    /// Where the number of all items is announced, changed or not.
    pub total: FieldPath,
}

/// Whether the list's ETag tells that nothing changed since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Revalidate {
    /// It is not asked.
    #[default]
    No,
    /// It stands for the page that carries it: useful where one page holds everything.
    Page,
    /// The first page's ETag stands for the whole list.
    Whole,
}

/// What a list looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A list.
    Array,
    /// A mapping whose keys are the last key field.
    Map,
    /// The one object itself.
    One,
    /// A list of bare texts: each is the last key field, and nothing else is told.
    Names,
    /// A list of addresses, each bare or in [`ListRule::link`] of an element: its last segment is the last key field.
    Links,
}

/// Where something stands in an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a header.
    Header(String),
    /// In the body.
    Body(FieldPath),
}

/// How the next page of a list is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PageRule {
    /// Nothing is said of pages: one answer holds everything, unless it says itself that there is more.
    Unsaid,
    /// One answer holds everything.
    Whole,
    /// `Link: <…>; rel="next"`.
    Link {
        /// How many to ask for.
        size: Option<(String, u64)>,
    },
    /// A URL in a header.
    Header {
        /// Its name.
        name: String,
        /// How many to ask for.
        size: Option<(String, u64)>,
    },
    /// A URL in the body. With `query_only` just its query is taken (its host may be wrong behind a proxy).
    Next {
        /// Where.
        at: FieldPath,
        /// Whether only the query is taken.
        query_only: bool,
        /// How many to ask for.
        size: Option<(String, u64)>,
    },
    /// A token in the body that goes into the query.
    Token {
        /// Where.
        at: FieldPath,
        /// The query's name for it.
        name: String,
        /// How many to ask for.
        size: Option<(String, u64)>,
    },
    /// Page numbers.
    Number {
        /// The query's name for it.
        name: String,
        /// The number of the first page.
        start: u64,
        /// How many to ask for.
        size: Option<(String, u64)>,
        /// How the last page is known.
        end: PageEnd,
    },
    /// How many items to skip.
    Offset {
        /// The query's name for it.
        name: String,
        /// What the first item is called: 0, or 1 where the query names the item to begin with.
        start: u64,
        /// How many to ask for.
        size: (String, u64),
        /// How the last page is known.
        end: PageEnd,
    },
    /// The last item says where the next page begins.
    After {
        /// The name of what is sent.
        name: String,
        /// What is sent, filled in from the last item.
        value: BodyTemplate,
        /// How many to ask for.
        size: Option<(String, u64)>,
        /// Where the answer says that there is more; missing is `false`.
        more: Option<FieldPath>,
        /// Without `more`: a page with fewer items than asked for is the last. Otherwise an empty one is.
        short: bool,
    },
}

/// How the last page is known, where pages are counted. Where the answers say how many items there are, that decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PageEnd {
    /// The answer says here how many pages there are.
    At(FieldPath),
    /// It has fewer items than were asked for. A server that gives fewer than it is asked for is not understood so.
    Short,
    /// It has no items.
    Empty,
}

/// How one object is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetRule {
    /// Where.
    pub path: Template,
    /// The query.
    pub query: Vec<(String, Template)>,
    /// Where the object is in the answer.
    pub item: FieldPath,
    /// A missing object at `item` means that it is absent.
    pub missing_is_absent: bool,
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiOperation {
    /// The method.
    pub method: Method,
    /// Where.
    pub path: Template,
    /// What is sent.
    pub body: Body,
    /// What the answer must say, besides 2xx.
    pub ok: Vec<(FieldPath, Value)>,
    /// The query.
    pub query: Vec<(String, Template)>,
    /// Headers.
    pub headers: Vec<(String, Template)>,
    /// What is waited for after the answer, where the API goes on behind it.
    pub wait: Option<WaitRule>,
    /// In what form the body travels, if not in that of its type.
    pub content: Option<Content>,
}

/// In what form the body of a write travels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Content {
    /// `application/json`
    #[default]
    Json,
    /// JSON under another name: `application/merge-patch+json`.
    JsonAs(String),
    /// `application/x-www-form-urlencoded`: lists as a name that is repeated, mappings as `name[member]`.
    Form,
    /// `text/plain`: the one value that the body is.
    Text,
}

impl Content {
    /// The media type.
    pub fn media(&self) -> &str {
        match self {
            Self::Json => "application/json",
            Self::JsonAs(media) => media,
            Self::Form => "application/x-www-form-urlencoded",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// HTTP methods that a description may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// As it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a write sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Nothing.
    None,
    /// What is stated, and the defaults.
    All,
    /// What is there, overlaid with what is stated.
    Merged,
    /// Only what differs.
    Changes,
    /// The top fields in which something differs, each of them whole.
    Fields,
    /// As the template says.
    Template(BodyTemplate),
}

impl Body {
    /// True if it names all that is in it: it pours nothing.
    pub fn names_all(&self) -> bool {
        match self {
            Self::None => true,
            Self::Template(template) => template.splat().is_none(),
            Self::All | Self::Merged | Self::Changes | Self::Fields => false,
        }
    }

    /// The values that are sent as the description says them, whatever a manifest states, and where they stand.
    pub fn fixed(&self) -> Vec<(FieldPath, Value)> {
        match self {
            Self::Template(template) => template.fixed(),
            Self::None | Self::All | Self::Merged | Self::Changes | Self::Fields => Vec::new(),
        }
    }

    /// How what it holds is chosen: a template is as what it pours.
    pub fn choice(&self) -> Choice {
        match self {
            Self::None => Choice::Nothing,
            Self::All => Choice::Stated,
            Self::Merged => Choice::Merged,
            Self::Changes => Choice::Changes,
            Self::Fields => Choice::Fields,
            Self::Template(template) => match template.splat() {
                None | Some(Splat::All | Splat::Rest) => Choice::Stated,
                Some(Splat::Merged) => Choice::Merged,
                Some(Splat::Changes) => Choice::Changes,
                Some(Splat::Fields) => Choice::Fields,
            },
        }
    }
}

/// Which fields a body is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// None.
    Nothing,
    /// What is stated, and the defaults.
    Stated,
    /// What is there, overlaid with what is stated.
    Merged,
    /// Only what differs.
    Changes,
    /// The top fields in which something differs, whole.
    Fields,
}

/// Whether writes carry `If-Match`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EtagRule {
    /// No: many servers send ETags that they ignore.
    None,
    /// Yes. With a field, an item of a list carries its own.
    IfMatch {
        /// That field, a pointer into the item.
        field: Option<FieldPath>,
        /// Weak ETags guard too: the API compares them, though HTTP has no use for them here.
        weak: bool,
    },
}

/// What means that an object is not there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AbsentRule {
    /// Statuses.
    pub statuses: Vec<u16>,
    /// The body `null` with a 2xx.
    pub null: bool,
    /// Values at pointers of the object.
    pub values: Vec<(FieldPath, Value)>,
}
