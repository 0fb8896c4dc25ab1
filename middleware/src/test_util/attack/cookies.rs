//! Pages of others that have a browser send the cookie of its user, and cookies that could be read in two ways.

use http::Method;

use super::target::{Attempt, Jar, Target};

impl Jar {
    /// The good request with the token in the cookie, as a page of the service sends it.
    pub(super) fn own(&self, target: &Target) -> Attempt {
        self.sent(target, &target.token)
            .header("sec-fetch-site", "same-origin")
            .header("origin", &self.origin)
    }

    fn sent(&self, target: &Target, token: &str) -> Attempt {
        target.with(None).header("cookie", format!("theme=dark; {}={token}", self.name))
    }

    pub(super) fn attacks(&self, target: &Target) -> Vec<(String, Attempt)> {
        let mut all = self.cookies(target);
        all.extend(self.upgrades(target));
        // What handlers change nothing by is open to the links of others.
        if !matches!(target.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            all.extend(self.pages(target));
        }
        all
    }

    fn pages(&self, target: &Target) -> Vec<(String, Attempt)> {
        let own = self.origin.as_str();
        let longer = format!("{own}.evil.example");
        let rows: [&[(&'static str, &str)]; 15] = [
            &[],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "null")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "none"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "SAME-ORIGIN")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("origin", &longer)],
            &[("origin", own), ("origin", "https://evil.example")],
        ];
        rows.into_iter()
            .map(|headers| row("with a cookie", headers, self.sent(target, &target.token)))
            .collect()
    }

    fn upgrades(&self, target: &Target) -> Vec<(String, Attempt)> {
        let rows: [&[(&'static str, &str)]; 4] = [
            &[],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        ];
        let attempt = || {
            let sent = Attempt { method: Method::GET, body: Vec::new(), ..self.sent(target, &target.token) };
            sent.header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
        };
        rows.into_iter().map(|headers| row("a WebSocket with a cookie", headers, attempt())).collect()
    }

    fn cookies(&self, target: &Target) -> Vec<(String, Attempt)> {
        let (name, token) = (self.name.as_str(), target.token.as_str());
        let line = |what: &str, value: String| {
            let attempt =
                target.with(None).header("sec-fetch-site", "same-origin").header("origin", &self.origin);
            (format!("{what} in the cookie"), attempt.header("cookie", value))
        };
        let mut all = vec![
            line("two tokens", format!("{name}={token}; {name}=a.b.c")),
            line("two tokens, the other way round,", format!("{name}=a.b.c; {name}={token}")),
            line("nothing", format!("{name}=")),
            line("a token in quotes", format!("{name}=\"{token}\"")),
            line("a token of nobody", format!("{name}=a.b.c")),
            line("another case of the name", format!("{}={token}", name.to_ascii_lowercase())),
            line("another name", format!("{}={token}", name.replacen("__Host-", "__Secure-", 1))),
            line("a name without prefix", format!("{}={token}", name.replacen("__Host-", "", 1))),
        ];
        let both = target.with(Some(token)).header("cookie", format!("{name}={token}"));
        all.push(("a token in the header and in the cookie".to_owned(), both));
        let (_, one) = line("a token", format!("{name}={token}"));
        all.push(("two lines of cookies".to_owned(), one.header("cookie", format!("{name}=a.b.c"))));
        all
    }
}

fn row(what: &str, headers: &[(&'static str, &str)], attempt: Attempt) -> (String, Attempt) {
    let told: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let told = if told.is_empty() { "nowhere".to_owned() } else { told.join(", ") };
    let attempt = headers.iter().fold(attempt, |attempt, (name, value)| attempt.header(name, value));
    (format!("{what}, from {told}"), attempt)
}
