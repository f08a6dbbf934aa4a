//! What the name of a setting implies when its schema does not say.

/// Whether a text can be the name of a setting, dotted or not.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Returns the words of a name's last part, in lower case.
fn words(name: &str) -> Vec<String> {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.split(['_', '-']).map(str::to_ascii_lowercase).filter(|word| !word.is_empty()).collect()
}

/// Whether a name suggests a secret: `password`, `client_secret`, `api_key`. The name of a count or a size (`token_limit`) does
/// not.
pub(super) fn is_secret(name: &str) -> bool {
    const SECRETS: [&str; 12] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "passphrase",
        "passwd",
        "password",
        "pat",
        "pin",
        "pwd",
        "secret",
        "token",
    ];
    const KEYS: [&str; 6] = ["access", "api", "auth", "private", "secret", "signing"];
    let words = words(name);
    match words.as_slice() {
        [.., before, last] if last == "key" => KEYS.contains(&before.as_str()),
        [.., last] => SECRETS.contains(&last.as_str()),
        [] => false,
    }
}

/// Whether a name suggests a server: `url`, `proxy_host`, `endpoint`.
pub(super) fn is_route(name: &str) -> bool {
    const ROUTES: [&str; 11] =
        ["address", "domain", "endpoint", "host", "hostname", "instance", "origin", "proxy", "server", "uri", "url"];
    words(name).last().is_some_and(|word| ROUTES.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_and_servers_are_recognized() {
        for name in ["password", "client_secret", "retry.api_key", "API-TOKEN", "pin"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["token_limit", "page_size", "key", "primary_key", "compass", ""] {
            assert!(!is_secret(name), "{name}");
        }
        for name in ["api_url", "proxy", "database.host", "base-endpoint"] {
            assert!(is_route(name) && is_name(name), "{name}");
        }
        for name in ["page_size", "hosts_count", "url_length"] {
            assert!(!is_route(name), "{name}");
        }
        assert!(!is_name("a b") && !is_name(&"x".repeat(65)));
    }
}
