//! A source with several streams, and its program: this test's own binary.
//!
//! A resource is a project. Its stream `issues` is the file `{project}.issues.jsonl`: a line is a record, or `fail` and the kind of an
//! error. Everything else is a reject. A missing file is an empty stream.

use std::fs;
use std::io::Write;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use serde_json::Value;
use snowfeed::ErrorKind;
use snowfeed::prelude::*;

use crate::support::{ARGUMENTS, BEGIN, Program, SEPARATOR};

/// The variable with the declared streams: `+` marks the default ones, `*` source-wide ones, `child<parent` child streams.
const STREAMS: &str = "PROJECTS_STREAMS";

/// The program over a source with one default stream and two others.
pub(crate) fn projects() -> Program {
    declaring("+issues,comments,events")
}

/// The program over a source that declares these streams.
pub(crate) fn declaring(streams: &str) -> Program {
    Program::of_test("streams::projects::program").variable(STREAMS, streams)
}

impl Program {
    /// Replaces the declared streams, as another version of the source.
    pub(crate) fn redeclaring(self, streams: &str) -> Self {
        self.variable(STREAMS, streams)
    }

    /// Writes the file of a stream.
    pub(crate) fn write(&self, project: &str, stream: &str, lines: &[&str]) {
        fs::write(self.folder().join(format!("{project}.{stream}.jsonl")), lines.join("\n")).unwrap();
    }
}

/// Not a test of its own: does nothing unless another test starts it.
#[test]
fn program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments = std::iter::once("projects").chain(arguments.split(SEPARATOR));
    print!("{BEGIN}");
    std::io::stdout().flush().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let exit = runtime.block_on(snowfeed::cli::run_from(Projects, arguments));
    std::process::exit(exit.code().into());
}

#[derive(Debug, Clone)]
struct Projects;

fn declared(stream: &str) -> StreamSpec {
    let (name, is_default) = stream.strip_prefix('+').map_or((stream, false), |name| (name, true));
    let (name, is_source_wide) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
    let spec = match name.split_once('<') {
        Some((child, parent)) => StreamSpec::child(child, parent),
        None => StreamSpec::new(name),
    };
    let spec = spec.column("id", "id", ColumnType::Integer);
    let spec = if is_source_wide { spec.source_wide() } else { spec };
    if is_default { spec } else { spec.optional() }
}

#[async_trait]
impl Source for Projects {
    fn spec(&self) -> SourceSpec {
        let streams = std::env::var(STREAMS).unwrap();
        let spec = SourceSpec::new("projects", "1").resource_kind("project").authoritative();
        streams.split(',').map(declared).fold(spec, SourceSpec::stream)
    }

    async fn connect(&self, _: &Settings, _: ConnectContext) -> Result<Box<dyn Reader>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Reader for Projects {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn discover(&self) -> ResourceStream {
        stream::empty().boxed()
    }

    fn read(&self, request: ReadRequest) -> BatchStream {
        let file = format!("{}.{}.jsonl", request.resource, request.stream);
        let text = fs::read_to_string(file).unwrap_or_default();
        let known = request.checkpoint.map_or(0, |checkpoint| checkpoint.parse::<usize>().unwrap());
        let lines: Vec<&str> = text.lines().collect();
        let mut batch = Batch::new();
        let mut failure = None;
        for (number, line) in (1..).zip(&lines).skip(known) {
            let id = serde_json::from_str::<Value>(line).ok().and_then(|document| document["id"].as_i64());
            batch = match (line.strip_prefix("fail "), id) {
                (Some(kind), _) => {
                    failure = Some(failed(kind, &request.stream));
                    break;
                }
                (None, Some(id)) => batch.record(Record::upsert(id.to_string(), Version(number), *line)),
                (None, None) => batch.reject("it has no id", *line),
            };
        }
        let failed = match failure {
            None => return stream::iter([Ok(batch.checkpoint(Checkpoint::new(&lines.len()).unwrap()))]).boxed(),
            Some(error) => Err(error),
        };
        // An empty batch would be committed.
        let before = (batch.offered() > 0).then_some(Ok(batch));
        stream::iter(before.into_iter().chain([failed])).boxed()
    }
}

fn failed(kind: &str, stream: &str) -> Error {
    let kind = match kind {
        "unavailable" => ErrorKind::Unavailable,
        "not_found" => ErrorKind::NotFound,
        "authentication" => ErrorKind::Authentication,
        kind => panic!("{kind} is not prepared"),
    };
    Error::new(kind, format!("{stream} cannot be read"))
}
