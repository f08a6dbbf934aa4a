//! The builder of a server.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::data::{RecordCounts, ServerData};
use crate::generate;
use crate::handle::GithubServer;
use crate::issue::Issue;
use crate::mutations::Mutations;
use crate::server;
use crate::table::RecordKind;

/// 15 January 2026, noon: the default time of the clock.
const NOON: i64 = 1_768_478_400;

/// Settings of an [`GithubServer`]; every one has a default.
#[derive(Debug)]
#[must_use = "nothing runs before `start`"]
pub struct GithubServerBuilder {
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) oddities: bool,
    repositories: Vec<(String, Issues)>,
    organizations: Vec<String>,
    counts: RecordCounts,
    pulls: Option<u32>,
    mutated: Vec<RecordKind>,
    pub(crate) settings: Settings,
}

#[derive(Debug)]
enum Issues {
    Generated(u32),
    Loaded(Vec<String>),
}

/// The settings of each request.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) latency: Duration,
    pub(crate) page_limit: usize,
    pub(crate) page_depth: Option<usize>,
    pub(crate) cursor_links: bool,
    pub(crate) links: Links,
    pub(crate) since_inclusive: bool,
    pub(crate) token: Option<String>,
    pub(crate) quota: u64,
    pub(crate) quota_window: Duration,
    pub(crate) token_lifetime: Duration,
    pub(crate) most_at_once: Option<usize>,
    pub(crate) path_prefix: String,
    pub(crate) mutations: Mutations,
}

/// Which links reach the client.
#[derive(Debug, Clone)]
pub(crate) enum Links {
    Own,
    /// A gateway drops them.
    Dropped,
    /// A gateway passes them on as the server behind it wrote them.
    Behind(String),
}

impl Default for GithubServerBuilder {
    fn default() -> Self {
        Self {
            seed: 0,
            clock: Clock::fixed(Timestamp::from_second(NOON).unwrap_or(Timestamp::UNIX_EPOCH)),
            oddities: true,
            repositories: Vec::new(),
            organizations: Vec::new(),
            counts: RecordCounts::default(),
            pulls: None,
            mutated: Vec::new(),
            settings: Settings {
                latency: Duration::ZERO,
                page_limit: 100,
                page_depth: None,
                cursor_links: false,
                links: Links::Own,
                since_inclusive: true,
                token: None,
                quota: 1_000_000,
                quota_window: Duration::from_secs(3_600),
                token_lifetime: Duration::from_secs(3_600),
                most_at_once: None,
                path_prefix: String::new(),
                mutations: Mutations::NONE,
            },
        }
    }
}

impl GithubServerBuilder {
    /// The seed of all data and all randomness; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a repository, `owner/name`, with this many generated issues. Zero is fine, for one that
    /// [`put`](GithubServer::put) fills later.
    pub fn repository(mut self, name: impl Into<String>, issues: u32) -> Self {
        self.repositories.push((name.into(), Issues::Generated(issues)));
        self
    }

    /// Adds a repository with issues as GitHub sent them, one JSON object each.
    pub fn repository_from(
        mut self,
        name: impl Into<String>,
        issues: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let issues = issues.into_iter().map(Into::into).collect();
        self.repositories.push((name.into(), Issues::Loaded(issues)));
        self
    }

    /// Generates this many records of a kind in each repository: none unless set, but 12 labels and 6 milestones, which
    /// generated issues bear. Records that belong to an issue or a pull request need some to be there. [Some](Self::pulls)
    /// generated issues are pull requests.
    pub fn records(mut self, kind: RecordKind, count: u32) -> Self {
        self.counts.set(kind, count);
        self
    }

    /// Makes this many of the generated issues of each repository pull requests, evenly spread; three in ten, at random, unless
    /// set.
    pub fn pulls(mut self, count: u32) -> Self {
        self.pulls = Some(count);
        self
    }

    /// Makes an owner an organisation; the others are users.
    pub fn organization(mut self, owner: impl Into<String>) -> Self {
        self.organizations.push(owner.into());
        self
    }

    /// How long every answer takes; nothing unless set.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// The most records on a page, whatever `per_page` asks for; 100 unless set.
    pub fn page_limit(mut self, records: usize) -> Self {
        self.settings.page_limit = records.max(1);
        self
    }

    /// Answers 422 to a `page` greater than this one; any page is fine unless set.
    pub fn page_depth(mut self, pages: usize) -> Self {
        self.settings.page_depth = Some(pages);
        self
    }

    /// Whether links use an opaque `after` instead of a page number, as GitHub's do for large repositories.
    pub fn cursor_links(mut self, yes: bool) -> Self {
        self.settings.cursor_links = yes;
        self
    }

    /// Sends no `Link` header, as behind some gateways.
    pub fn without_links(mut self) -> Self {
        self.settings.links = Links::Dropped;
        self
    }

    /// Sends links to this base URL, such as `https://api.github.com`, as behind a gateway that passes them on.
    pub fn links_to(mut self, base_url: impl Into<String>) -> Self {
        self.settings.links = Links::Behind(base_url.into());
        self
    }

    /// Whether a record updated in the very second of `since` is listed; it is unless set. GitHub's documentation says
    /// both.
    pub fn since_inclusive(mut self, yes: bool) -> Self {
        self.settings.since_inclusive = yes;
        self
    }

    /// Requires this token. Another one gets 401; no token at all gets the anonymous quota of 60 requests.
    /// Unless set, requests with any token or none are equal.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// How many requests each token has in a [window](Self::quota_window); a million unless set.
    pub fn quota(mut self, requests: u64) -> Self {
        self.settings.quota = requests;
        self
    }

    /// How long a quota lasts; an hour unless set.
    pub fn quota_window(mut self, window: Duration) -> Self {
        self.settings.quota_window = window;
        self
    }

    /// How long an installation token lives; an hour unless set.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.token_lifetime = lifetime;
        self
    }

    /// Answers with the secondary limit while more requests than this are in flight; GitHub allows 100. Off unless set.
    pub fn most_at_once(mut self, requests: usize) -> Self {
        self.settings.most_at_once = Some(requests);
        self
    }

    /// A path before every other, such as `/api/v3` of GitHub Enterprise.
    pub fn path_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.path_prefix = prefix.into().trim_end_matches('/').to_owned();
        self
    }

    /// The changes between requests; none unless set.
    pub fn mutations(mut self, mutations: Mutations) -> Self {
        self.settings.mutations = mutations;
        self
    }

    /// The kinds of records that mutations change besides issues; none unless set.
    pub fn mutate_records(mut self, kinds: impl IntoIterator<Item = RecordKind>) -> Self {
        self.mutated = kinds.into_iter().collect();
        self
    }

    /// This many changes before each list is sent.
    pub fn changes_per_request(self, changes: u32) -> Self {
        self.mutations(Mutations::per_request(changes))
    }

    /// Whether some generated issues hold what breaks connectors: NUL characters, 64 KB of text, no user. They do
    /// unless set.
    pub fn oddities(mut self, yes: bool) -> Self {
        self.oddities = yes;
        self
    }

    /// The time of the clock; noon of 15 January 2026 (UTC) unless set.
    pub fn clock_at(mut self, time: Timestamp) -> Self {
        self.clock = Clock::fixed(time);
        self
    }

    /// Lets the clock run with the machine's, for demonstrations; two such servers never have equal data.
    pub fn live_clock(mut self) -> Self {
        self.clock = Clock::live();
        self
    }

    /// Generates the data and starts to serve on a free port of 127.0.0.1, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When no port is free, or when a loaded issue is invalid.
    pub async fn start(self) -> io::Result<GithubServer> {
        let mut data = ServerData::new(self.seed, self.oddities, self.organizations, self.counts);
        data.mutated = self.mutated;
        let now = self.clock.second();
        for (name, issues) in self.repositories {
            let index = data.add(&name, now);
            let repository = &mut data.repositories[index];
            match issues {
                Issues::Generated(count) => {
                    let mut issues = generate::issues(count, repository.seed, |number| repository.id_of(number), now);
                    if let Some(pulls) = self.pulls {
                        generate::spread_pulls(&mut issues, pulls);
                    }
                    repository.fill(issues);
                }
                Issues::Loaded(texts) => {
                    for text in texts {
                        repository.put(Issue::from_raw(&text)?);
                    }
                }
            }
            data.populate(index, now);
        }
        server::start(self.settings, self.clock, data, self.seed).await
    }
}
