//! Records of 5.5 kB, made on demand, and a source that has nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use snowfeed::prelude::*;

/// Texts that bodies are; no two are alike within a compressor's window.
const TEXTS: usize = 64;

/// The size of a text, in bytes.
const TEXT: usize = 1_300;

/// Records in a batch.
const BATCH: u32 = 100;

/// Makes records like GitHub's issues: of their size, and as compressible.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    texts: Arc<Vec<String>>,
    words: Arc<Vec<String>>,
}

impl Records {
    pub(crate) fn new() -> Self {
        let mut chance = fastrand::Rng::with_seed(3);
        let words: Vec<String> =
            (0..3_000).map(|_| (0..chance.usize(2..10)).map(|_| chance.lowercase()).collect()).collect();
        let mut text = || {
            let mut text = String::new();
            while text.len() < TEXT {
                text.push_str(&words[chance.usize(..words.len())]);
                text.push(if chance.u8(..12) == 0 { '"' } else { ' ' });
            }
            text.replace('"', "\\\"")
        };
        Self { texts: Arc::new((0..TEXTS).map(|_| text()).collect()), words: Arc::new(words) }
    }

    /// The record with this number.
    pub(crate) fn record(&self, number: u32) -> Record {
        let text = &self.texts[number as usize % TEXTS];
        let word = |seed: u32| &*self.words[number.wrapping_mul(seed) as usize % self.words.len()];
        let issue = format!("https://api.github.example/repos/acme/widgets/issues/{number}");
        let mut json = String::with_capacity(6_000);
        json += &format!(
            r#"{{"url":"{issue}","repository_url":"https://api.github.example/repos/acme/widgets","labels_url":"{issue}/labels{{/name}}","comments_url":"{issue}/comments","events_url":"{issue}/events","html_url":"https://github.example/acme/widgets/issues/{number}","id":{id},"node_id":"I_kwDO{number:08x}","number":{number},"title":"{} {} {}","#,
            word(7),
            word(11),
            word(13),
            id = 2_000_000_000_u64 + u64::from(number),
        );
        for (member, seed) in [("user", 17), ("assignee", 19), ("closed_by", 23)] {
            json += &format!(r#""{member}":{},"#, user(word(seed), number % 5_000 + seed));
        }
        let second = number % 60;
        json += &format!(
            r#""labels":[{{"id":{0},"node_id":"LA_{0}","url":"https://api.github.example/repos/acme/widgets/labels/{1}","name":"{1}","color":"ededed","default":false,"description":null}}],"state":"open","locked":false,"milestone":null,"comments":{0},"created_at":"2026-01-02T03:04:{second:02}Z","updated_at":"2026-02-03T04:05:{second:02}Z","closed_at":null,"author_association":"NONE","active_lock_reason":null,"body":"{text}","reactions":{{"url":"{issue}/reactions","total_count":0,"+1":0,"-1":0,"laugh":0,"hooray":0,"confused":0,"heart":0,"rocket":0,"eyes":0}},"timeline_url":"{issue}/timeline","performed_via_github_app":null,"state_reason":null}}"#,
            number % 97,
            word(29),
        );
        Record::upsert(number.to_string(), Version(i64::from(number)), json)
    }
}

/// A user as GitHub describes one.
fn user(login: &str, id: u32) -> String {
    let url = format!("https://api.github.example/users/{login}");
    format!(
        r#"{{"login":"{login}","id":{id},"node_id":"U_{id:07}","avatar_url":"https://avatars.github.example/u/{id}?v=4","gravatar_id":"","url":"{url}","html_url":"https://github.example/{login}","followers_url":"{url}/followers","following_url":"{url}/following{{/other_user}}","gists_url":"{url}/gists{{/gist_id}}","starred_url":"{url}/starred{{/owner}}{{/repo}}","subscriptions_url":"{url}/subscriptions","organizations_url":"{url}/orgs","repos_url":"{url}/repos","events_url":"{url}/events{{/privacy}}","received_events_url":"{url}/received_events","type":"User","user_view_type":"public","site_admin":false}}"#
    )
}

/// Returns this many records, in batches.
#[derive(Debug, Clone)]
pub(crate) struct Source(pub(crate) u32);

pub(crate) const TABLE: &str = "records";

#[async_trait]
impl snowfeed::Source for Source {
    fn spec(&self) -> SourceSpec {
        SourceSpec::new("bench", "1").stream(StreamSpec::new(TABLE).column("title", "title", ColumnType::Text))
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl snowfeed::Reader for Source {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, _: ReadRequest) -> BatchStream {
        let (records, all) = (Records::new(), self.0);
        let batches = stream::iter((0..all).step_by(BATCH as usize)).map(move |from| {
            let to = all.min(from + BATCH);
            let batch = Batch::new().records((from..to).map(|number| records.record(number)));
            Ok(batch.checkpoint(Checkpoint::new(&to)?))
        });
        batches.boxed()
    }
}
