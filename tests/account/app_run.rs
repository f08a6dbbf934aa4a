//! Shared by the app's steps: the app, its container, and calls of its procedures as its page makes them.

use std::sync::Mutex;

use serde_json::Value;
use snowfeed::Source;
use snowfeed::internals::snowflake::{Client, Session, Sql, Statement};
use snowfeed::native_app::deploy::Account;
use snowfeed::native_app::image::Image;
use snowfeed::native_app::{App, Name};

use crate::endpoints::{Container, Part};
use crate::scene::{Scene, cell};
use crate::step::{Stop, ensure};

/// State shared by the app's steps.
#[derive(Debug, Default)]
pub(crate) struct AppRun {
    /// A job that has ended.
    pub(crate) job: Mutex<Option<String>>,
}

/// An argument of a procedure, as the page sends it.
pub(crate) enum Argument {
    Text(String),
    /// A VARIANT: Snowflake does not convert a text by itself.
    Json(Value),
}

impl Scene<'_> {
    /// The app, whose texts may differ from one version to the next.
    pub(crate) fn app(&self, description: &str) -> App {
        let mut spec = snowfeed::sources::github::GithubIssues::default().spec();
        spec.version = "0.1.0".into();
        App::from(&spec)
            .title("snowfeed acceptance run")
            .description(description)
            .package(self.name("PACKAGE"))
            .application(self.application())
            .program("github_issues")
            .image_repository(format!("/{}/public/images", self.name("OBJECTS").to_lowercase()))
            .without_container(matches!(self.run.endpoints.container(), Container::Absent(_)))
    }

    pub(crate) fn application(&self) -> String {
        self.name("APP")
    }

    /// The database of the image, the secrets and the network rule.
    pub(crate) fn objects(&self) -> Result<(Name, Name), Stop> {
        Ok((Name::stored(self.name("OBJECTS"))?, Name::stored("PUBLIC")?))
    }

    /// The image to push; its folder lives as long as the value returned with it.
    pub(crate) fn image(&self) -> Result<Option<(Image, tempfile::TempDir)>, Stop> {
        let Container::Program(program) = self.run.endpoints.container() else { return Ok(None) };
        let folder = tempfile::tempdir().map_err(|error| Stop::NotHeld(format!("no folder for the image: {error}")))?;
        let image =
            Image::builder(program).name("github_issues").version("0.1.0").write(folder.path().join("image"))?;
        Ok(Some((image, folder)))
    }

    /// Ends the step as skipped where there is no container.
    pub(crate) fn needs_container(&self) -> Result<(), Stop> {
        match self.run.endpoints.container() {
            Container::Absent(why) => Err(Stop::Skipped(why)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn app_session(&self) -> Result<Box<dyn Session>, Stop> {
        Ok(self.client_with(Part::App, |connection| connection)?.open().await?)
    }

    pub(crate) async fn app_account(&self) -> Result<Account, Stop> {
        Ok(snowfeed::internals::app_account(self.app_session().await?))
    }

    /// Calls a procedure of the app as its page does, with bound values, and returns the result, which must be OK.
    pub(crate) async fn call(&self, procedure: &str, arguments: Vec<Argument>) -> Result<Value, Stop> {
        let mark = |argument: &Argument| match argument {
            Argument::Text(_) => "?",
            Argument::Json(_) => "PARSE_JSON(?)",
        };
        let marks: Vec<&str> = arguments.iter().map(mark).collect();
        let sql = format!("CALL \"{}\".PUBLIC.{procedure}({})", self.application(), marks.join(", "));
        let statement =
            arguments.into_iter().fold(Statement::new(Sql::assert_safe(sql)), |statement, argument| match argument {
                Argument::Text(text) => statement.bind(text),
                Argument::Json(value) => statement.bind(value.to_string()),
            });
        let mut session = self.app_session().await?;
        let text = cell(&session.execute(statement).await?)?;
        session.close().await?;
        let answer: Value = serde_json::from_str(&text)
            .map_err(|_| Stop::NotHeld(format!("{procedure} answers {text:?}, which is not JSON")))?;
        ensure!(
            answer["response_code"] == "OK",
            "{procedure} answers {}: {}",
            answer["response_code"],
            answer["message"]
        );
        Ok(answer)
    }
}
