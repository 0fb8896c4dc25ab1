//! What an issuer does otherwise than this server would.

use std::time::Duration;

use portcullis_guard::{Issuer, TokenForm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the issuer writes its tokens, and how seldom it is asked for its keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerOptions {
    /// Seconds for which keys may be kept where the issuer allows that by `Cache-Control: max-age`. A key that was withdrawn is trusted for
    /// so long. Without it: they are fetched every minute, whatever it says.
    #[schemars(range(min = 60, max = 3600))]
    pub keys_cached_for_secs: Option<u64>,
    /// Types of tokens (`typ`, for example `JWT`) that are taken beside `at+jwt`, from an issuer that does not follow RFC 9068. What else
    /// it signs for the audience may then be taken for an access token.
    pub danger_token_types: Vec<String>,
    /// Takes tokens that do not say of which type they are, with the same danger.
    pub danger_untyped_tokens: bool,
    /// The claim that names the client, for example `cid`; a token that names another in `client_id` is refused.
    pub client_claim: Option<String>,
    /// The claim that scopes are read from in place of `scope`, for example `scp`: a text of words, or a list of them.
    pub scope_claim: Option<String>,
    /// Where roles are read from in place of `roles`: a JSON pointer to a list of texts, or to one, for example `/realm_access/roles`.
    pub roles_claim: Option<String>,
    /// What claims of each token have to be, for example `token_use=access`.
    pub must_have: Vec<String>,
    /// Clients whose tokens need no audience. Whatever else these clients call can use a token that it was sent.
    pub danger_without_audience_for: Vec<String>,
}

impl IssuerOptions {
    /// The issuer of this name, as these options have it.
    pub(crate) fn of(&self, name: &str) -> Issuer {
        let issuer = Issuer::oidc(name).token_form(self.form());
        match self.keys_cached_for_secs {
            Some(seconds) => issuer.keys_cached_for(Duration::from_secs(seconds)),
            None => issuer,
        }
    }

    fn form(&self) -> TokenForm {
        let listed = match self.danger_token_types.as_slice() {
            [] => TokenForm::rfc9068(),
            types => TokenForm::danger_generic(types),
        };
        let mut form = if self.danger_untyped_tokens { listed.danger_untyped() } else { listed };
        if let Some(name) = &self.client_claim {
            form = form.client_claim(name);
        }
        if let Some(name) = &self.scope_claim {
            form = form.scope_claim(name);
        }
        if let Some(pointer) = &self.roles_claim {
            form = form.roles_claim(pointer);
        }
        for (name, text) in self.must_have.iter().map(|asked| named(asked).unwrap_or((asked.as_str(), ""))) {
            form = form.must_have(name, text);
        }
        match self.danger_without_audience_for.as_slice() {
            [] => form,
            clients => form.danger_without_audience_for(clients),
        }
    }

    /// The first line of `must_have` that does not say what a claim has to be.
    pub(super) fn unsaid(&self) -> Option<&str> {
        self.must_have.iter().find(|asked| named(asked).is_none()).map(String::as_str)
    }
}

/// A claim, and what it has to be.
fn named(asked: &str) -> Option<(&str, &str)> {
    let (name, text) = asked.split_once('=').map(|(name, text)| (name.trim(), text.trim()))?;
    (!name.is_empty() && !text.is_empty()).then_some((name, text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::GatewayConfig;

    const ISSUER: &str = "https://id.example";

    fn read(section: &str) -> Result<GatewayConfig, String> {
        let start = format!("[gateway]\nissuer = \"{ISSUER}\"\naudience = \"https://orders.example\"\n");
        let text = format!("{start}{section}\n[[route]]\npath = \"/\"\nrequire = \"public\"\n");
        GatewayConfig::from_text(Path::new("gateway.toml"), &text)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    fn assert_same(section: &str, expected: &Issuer) {
        let config = read(section).unwrap();
        assert_eq!(format!("{:?}", config.issuer.of(ISSUER)), format!("{expected:?}"), "{section}");
    }

    #[test]
    fn each_option_is_what_the_guard_calls_so() {
        let plain = || Issuer::oidc(ISSUER);
        assert_same("", &plain());
        assert_same("[issuer]\ndanger_token_types = []", &plain());
        let cached = plain().keys_cached_for(Duration::from_mins(10));
        assert_same("[issuer]\nkeys_cached_for_secs = 600", &cached);
        let typed = TokenForm::danger_generic(["JWT", "token+jwt"]);
        let typed_only = plain().token_form(typed.clone());
        assert_same("[issuer]\ndanger_token_types = [\"JWT\", \"token+jwt\"]", &typed_only);
        let untyped = plain().token_form(TokenForm::rfc9068().danger_untyped());
        assert_same("[issuer]\ndanger_untyped_tokens = true", &untyped);
        let all = plain().token_form(typed.danger_untyped()).keys_cached_for(Duration::from_hours(1));
        assert_same(
            "[issuer]\nkeys_cached_for_secs = 3600\ndanger_token_types = [\"JWT\", \"token+jwt\"]\ndanger_untyped_tokens = true",
            &all,
        );
    }

    #[test]
    fn claims_that_stand_elsewhere_are_what_the_guard_calls_so() {
        let with = |form: TokenForm| Issuer::oidc(ISSUER).token_form(form);
        let strict = TokenForm::rfc9068;
        assert_same("[issuer]\nclient_claim = \"cid\"", &with(strict().client_claim("cid")));
        assert_same("[issuer]\nscope_claim = \"scp\"", &with(strict().scope_claim("scp")));
        assert_same("[issuer]\nroles_claim = \"/a/roles\"", &with(strict().roles_claim("/a/roles")));
        let asked = strict().must_have("token_use", "access").must_have("tid", "a=b");
        assert_same("[issuer]\nmust_have = [\"token_use = access\", \"tid=a=b\"]", &with(asked));
        let bare = strict().danger_without_audience_for(["a", "b"]);
        assert_same("[issuer]\ndanger_without_audience_for = [\"a\", \"b\"]", &with(bare));
        assert_same("[issuer]\nmust_have = []\ndanger_without_audience_for = []", &with(strict()));
        let all = TokenForm::danger_generic(["JWT"]).danger_untyped().client_claim("cid").must_have("v", "1");
        assert_same(
            "[issuer]\ndanger_token_types = [\"JWT\"]\ndanger_untyped_tokens = true\nclient_claim = \"cid\"\nmust_have = [\"v=1\"]",
            &with(all),
        );
    }

    #[test]
    fn what_is_out_of_bounds_or_not_known_is_said_with_its_place() {
        for (line, mistake) in [
            (
                "keys_cached_for_secs = 59",
                "gateway.toml:5: issuer.keys_cached_for_secs: must be from 60 to 3600, not 59",
            ),
            ("keys_cached_for_secs = 3601", "issuer.keys_cached_for_secs: must be from 60 to 3600, not 3601"),
            ("danger_token_type = []", "did you mean `issuer.danger_token_types`?"),
            (
                "must_have = [\"tid=t\", \"token_use\"]",
                "gateway.toml:5: issuer.must_have: `token_use` does not say what the claim has to be, as in `token_use=access`",
            ),
        ] {
            let mistakes = read(&format!("[issuer]\n{line}")).unwrap_err();
            assert!(mistakes.contains(mistake), "{mistake}: {mistakes}");
        }
    }

    #[test]
    fn the_page_shows_every_option_as_it_is_read() {
        let page = include_str!("../../../docs/gateway.md");
        let shown =
            page.split("```toml\n[issuer]\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let config = read(&format!("[issuer]\n{shown}")).unwrap();
        let options = serde_json::to_value(&config.issuer).unwrap();
        for name in options.as_object().unwrap().keys() {
            assert!(shown.lines().any(|line| line.starts_with(&format!("{name} = "))), "{name}");
        }
    }
}
