//! A server that repeats what it was sent. The credential is taken out of whatever may end up in an error or a log: messages
//! of refusals, and headers. The data of a good answer is passed on as it is.

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{SHORTEST_SECRET, STAND_IN};

/// The text without the credential, also where it is written as in JSON or in a URL.
pub(super) fn without<'a>(credential: &SecretString, text: &'a str) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for form in forms(credential) {
        if text.contains(&form) {
            text = text.replace(&form, STAND_IN).into();
        }
    }
    text
}

/// Takes the credential out of headers.
pub(super) fn purge(credential: &SecretString, headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let text = String::from_utf8_lossy(value.as_bytes());
        if let Cow::Owned(clean) = without(credential, &text) {
            *value = HeaderValue::try_from(clean).unwrap_or(HeaderValue::from_static(STAND_IN));
        }
    }
}

/// The credential as a server may write it: without its scheme, such as `Bearer`, the longest form first.
fn forms(credential: &SecretString) -> Vec<String> {
    let header = credential.expose_secret();
    let secret = header.split_once(' ').map_or(header, |(_, secret)| secret).trim();
    if secret.len() < SHORTEST_SECRET {
        return Vec::new();
    }
    let json = serde_json::Value::from(secret).to_string();
    let mut url = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>();
    let mut forms = vec![secret.to_owned(), json[1..json.len() - 1].to_owned(), url.clone()];
    url.make_ascii_lowercase();
    forms.push(url);
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_taken_out_in_every_form() {
        let credential = SecretString::from("Bearer hush+\"hush\"");
        for text in ["hush+\"hush\"", "hush+\\\"hush\\\"", "hush%2B%22hush%22", "hush%2b%22hush%22"] {
            assert_eq!(without(&credential, &format!("<{text}>")), "<***>", "{text}");
        }
        assert_eq!(without(&credential, "nothing of it"), "nothing of it");
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_stays() {
        assert_eq!(without(&"Bearer t".into(), "that"), "that");
    }

    #[test]
    fn headers_are_purged() {
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_static("/x?token=hushhush"));
        headers.insert("etag", HeaderValue::from_static("W/\"x\""));
        purge(&"Bearer hushhush".into(), &mut headers);
        assert_eq!(
            (&headers["location"], &headers["etag"]),
            (&"/x?token=***".parse().unwrap(), &"W/\"x\"".parse().unwrap())
        );
    }
}
