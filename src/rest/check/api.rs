//! What a description says about the API as a whole.

use std::collections::BTreeSet;

use super::super::api::{Api, Auth, OAuth2};
use super::super::place::Place;
use super::errors::errors;
use super::headers::{headers, http_name};
use super::placeholders::{Uses, doubled, identifies, reserved, signs_in, words};
use super::problem::Problems;
use crate::stream::{PLAIN_NAME, is_plain};

pub(super) fn check(problems: &mut Problems<'_>) {
    let (api, at) = (problems.api, Place::api());
    if !is_plain(&api.name) {
        let help = format!("name it with {PLAIN_NAME}; it prefixes environment variables");
        problems.error(at.clone().key("name"), format!("the name {:?} is not allowed", api.name), help);
    }
    base_url(problems, &api.base_url, at.clone().key("base_url"));
    settings(problems);
    let uses = Uses::settings_only();
    uses.check(problems, &api.base_url, at.clone().key("base_url"));
    headers(problems, &api.headers, &at.clone().key("headers"), &uses);
    if let Some(auth) = &api.auth {
        check_auth(problems, auth, &at.clone().key("auth"));
    }
    errors(problems, &api.errors, &at.clone().key("errors"), !api.errors.code.is_empty());
    if let Some(list) = &api.resource {
        let at = at.clone().key("resource");
        problems.pointer(&list.id, at.clone().key("id"));
        problems.optional_pointer(list.name.as_ref(), at.clone().key("name"));
        if let Some(stream) = problems.named(&list.stream, &at.clone().key("stream"))
            && (stream.parent.is_some() || stream.deletes.is_some())
        {
            let help = "name a stream that is read once for the source";
            let message = format!("the stream {:?} cannot list the resources: it depends on another one", list.stream);
            problems.error(at.key("stream"), message, help);
        }
    }
    if api.streams.is_empty() {
        problems.error(at, "the description has no stream", "add a [[stream]] with `name` and `path`");
        return;
    }
    if api.streams.iter().all(|stream| !stream.default) {
        let at = Place::stream(0, &api.streams[0].name).key("default");
        problems.error(at, "no stream is read by default", "remove `default = false` from at least one stream");
    }
    let mut names = BTreeSet::new();
    for (index, stream) in api.streams.iter().enumerate() {
        if !names.insert(&stream.name) {
            let at = Place::stream(index, &stream.name).key("name");
            problems.error(at, format!("there are two streams {:?}", stream.name), "rename one of them");
        }
    }
}

fn base_url(problems: &mut Problems<'_>, url: &str, at: Place) {
    // A setting at the beginning holds the scheme and the host.
    let is_setting = words(url).next().is_some_and(|word| {
        let rest = url.strip_prefix('{').and_then(|rest| rest.strip_prefix(word)?.strip_prefix('}'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if !is_setting && !url.starts_with("https://") && !url.starts_with("http://") {
        let help = "write `https://HOST/PATH`; a setting may stand in it: `https://{name}.example.com`";
        problems.error(at, format!("{url:?} is not the URL of an API"), help);
    } else if url.contains(['?', '#']) {
        problems.error(at, "the base URL has a query", "move the parameters to `query` in the streams");
    } else if url.chars().any(char::is_whitespace) {
        problems.error(at, "the base URL has a space", "remove it");
    } else if let Some(word) = doubled(url).next() {
        let message = format!("`{{{{{word}}}}}` is the text `{{{word}}}`, and no placeholder");
        problems.error(at, message, format!("write `{{{word}}}` for the value"));
    }
}

fn settings(problems: &mut Problems<'_>) {
    for name in problems.api.settings.keys() {
        let at = Place::api().key("settings").key(name);
        if let Some((what, other)) = reserved(name) {
            let help = format!("give the setting another name: `{{{other}}}`");
            problems.error(at, format!("`{{{name}}}` is reserved for {what}"), help);
        } else if !is_plain(name) {
            problems.error(at, format!("the name {name:?} is not allowed"), format!("name it with {PLAIN_NAME}"));
        } else if let Some((message, help)) = secrecy(problems.api, name) {
            problems.error(at.key("secret"), message.to_owned(), help.to_owned());
        }
    }
}

/// What is wrong with what a setting says about its secrecy.
fn secrecy(api: &Api, name: &str) -> Option<(&'static str, &'static str)> {
    let signs_in = api.auth.as_ref().is_some_and(|auth| signs_in(auth, name));
    match api.settings.get(name)?.secret? {
        true if !signs_in => Some(("only settings in `auth` are secrets", "move it to `auth`, or remove `secret`")),
        false if signs_in && !api.auth.as_ref().is_some_and(|auth| identifies(auth, name)) => Some((
            "what signs in is a secret",
            "remove `secret`: only the user name in `basic`, and a `client_id`, may be none",
        )),
        _ => None,
    }
}

fn check_auth(problems: &mut Problems<'_>, auth: &Auth, at: &Place) {
    let uses = Uses::settings_only().in_auth();
    let mut texts: Vec<(&str, Place)> = Vec::new();
    match auth {
        Auth::Bearer(token) => texts.push((token, at.clone().key("bearer"))),
        Auth::Basic(user, password) => {
            texts.push((user, at.clone().key("basic").key(0)));
            texts.push((password, at.clone().key("basic").key(1)));
        }
        Auth::Header(map) | Auth::Query(map) => {
            let at = at.clone().key(if matches!(auth, Auth::Header(_)) { "header" } else { "query" });
            if map.is_empty() {
                problems.error(
                    at.clone(),
                    "it names nothing to send",
                    "write a name and a value: { NAME = \"{token}\" }",
                );
            }
            for (name, value) in map {
                let at = at.clone().key(name);
                if matches!(auth, Auth::Header(_)) && !http_name(name) {
                    let help = "write letters, digits and `-`";
                    problems.error(at.clone(), format!("{name:?} is not the name of a header"), help);
                }
                texts.push((value, at));
            }
        }
        Auth::Oauth2(oauth2) => oauth2_texts(problems, oauth2, &at.clone().key("oauth2"), &mut texts),
    }
    for (text, at) in &texts {
        uses.check(problems, text, at.clone());
    }
    if let Auth::Oauth2(oauth2) = auth {
        Uses::settings_only().check(problems, &oauth2.token_url, at.clone().key("oauth2").key("token_url"));
    }
    let has_setting = texts.iter().any(|(text, _)| words(text).next().is_some());
    if !has_setting && !texts.is_empty() {
        let help = "write a placeholder such as `{token}`; its setting is a secret";
        problems.error(at.clone(), "the credential stands in the description", help);
    }
}

fn oauth2_texts<'o>(problems: &mut Problems<'_>, oauth2: &'o OAuth2, at: &Place, texts: &mut Vec<(&'o str, Place)>) {
    let OAuth2 { token_url, grant, client_id, client_secret, refresh_token, scope } = oauth2;
    base_url(problems, token_url, at.clone().key("token_url"));
    texts.push((client_id, at.clone().key("client_id")));
    let optional = [(client_secret, "client_secret"), (refresh_token, "refresh_token"), (scope, "scope")];
    for (text, key) in optional {
        texts.extend(text.as_deref().map(|text| (text, at.clone().key(key))));
    }
    let has = |text: &Option<String>| text.is_some();
    let (message, help) = match grant.as_deref() {
        Some("refresh_token") if !has(refresh_token) => {
            ("the grant `refresh_token` needs a refresh token", "add `refresh_token = \"{refresh_token}\"`")
        }
        Some("client_credentials") if has(refresh_token) => (
            "the grant `client_credentials` uses no refresh token",
            "remove `refresh_token`, or write `grant = \"refresh_token\"`",
        ),
        Some("client_credentials") | None if !has(client_secret) && !has(refresh_token) => {
            ("the grant `client_credentials` needs a secret", "add `client_secret = \"{client_secret}\"`")
        }
        None | Some("refresh_token" | "client_credentials") => return,
        Some(_) => ("the grant is unknown", "write \"client_credentials\" or \"refresh_token\""),
    };
    problems.error(at.clone().key("grant"), message, help);
}
