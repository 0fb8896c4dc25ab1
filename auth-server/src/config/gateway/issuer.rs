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
        if self.danger_untyped_tokens { listed.danger_untyped() } else { listed }
    }
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
    fn what_is_out_of_bounds_or_not_known_is_said_with_its_place() {
        for (line, mistake) in [
            (
                "keys_cached_for_secs = 59",
                "gateway.toml:5: issuer.keys_cached_for_secs: must be from 60 to 3600, not 59",
            ),
            ("keys_cached_for_secs = 3601", "issuer.keys_cached_for_secs: must be from 60 to 3600, not 3601"),
            ("danger_token_type = []", "did you mean `issuer.danger_token_types`?"),
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
