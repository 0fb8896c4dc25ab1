//! The claims of an access token (RFC 9068 §2.2) and the rules they are held to.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;

use super::fault::TokenFault;
use super::jws::present;

/// The longest identifier in a claim.
const MAX_IDENTIFIER: usize = 512;

/// The last second of the year 9999: no date lies after it.
const LAST_DATE: f64 = 253_402_300_799.0;

/// The claims that the guard reads. Others stay in the payload, for `Claims<T>`.
#[derive(Debug)]
pub(crate) struct AccessClaims {
    /// Who it is for, where that is several.
    audiences: Vec<String>,
    pub(crate) cnf: Option<Confirmation>,
    pub(crate) dates: Dates,
    pub(crate) roles: Vec<String>,
    texts: Texts,
}

/// Since when and until when it holds, and when the user signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    pub(crate) exp: NumericDate,
    pub(crate) iat: NumericDate,
    nbf: Option<NumericDate>,
    pub(crate) auth_time: Option<NumericDate>,
}

/// The claims that are a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Text {
    Acr,
    /// Who it is for, where that is one.
    Aud,
    ClientId,
    /// The grant that bought the token, where the issuer says so.
    Gid,
    Iss,
    Jti,
    Org,
    Scope,
    Sid,
    Sub,
}

impl Text {
    /// In the order in which they are declared.
    const ALL: [Self; 10] = [
        Self::Acr,
        Self::Aud,
        Self::ClientId,
        Self::Gid,
        Self::Iss,
        Self::Jti,
        Self::Org,
        Self::Scope,
        Self::Sid,
        Self::Sub,
    ];
}

/// Texts, one after the other in one piece of memory: thousands of verified tokens are remembered, and forgotten.
#[derive(Debug)]
struct Texts {
    all: Box<str>,
    places: [Option<Range<usize>>; Text::ALL.len()],
}

impl Texts {
    fn new(texts: [Option<&str>; Text::ALL.len()]) -> Self {
        let mut all = String::with_capacity(texts.iter().flatten().map(|text| text.len()).sum());
        let places = texts.map(|text| {
            let start = all.len();
            all.push_str(text?);
            Some(start..all.len())
        });
        Self { all: all.into(), places }
    }

    fn get(&self, name: Text) -> Option<&str> {
        self.all.get(self.places.get(name as usize)?.clone()?)
    }
}

/// What the token is bound to (RFC 7800): whoever uses it has to prove that they have it.
#[derive(Debug, Eq, PartialEq, serde::Deserialize)]
pub(crate) struct Confirmation {
    /// The thumbprint of a key (RFC 9449 §6).
    #[serde(default, deserialize_with = "present")]
    pub(crate) jkt: Option<String>,
    /// The thumbprint of a certificate (RFC 8705 §3.1).
    #[serde(default, rename = "x5t#S256", deserialize_with = "present")]
    pub(crate) x5t: Option<String>,
}

/// An object: an array would be read as the members in their order.
fn confirmation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Confirmation>, D::Error> {
    let members = serde_json::Map::deserialize(deserializer)?;
    serde_json::from_value(members.into()).map(Some).map_err(D::Error::custom)
}

/// The claims as they stand in a payload, side by side: one pass reads them all, and copies none that it need not.
#[derive(serde::Deserialize)]
struct ClaimSet<'p> {
    #[serde(default, borrow, deserialize_with = "present")]
    iss: Option<Piece<'p>>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    #[serde(borrow)]
    sub: Piece<'p>,
    #[serde(default, borrow, deserialize_with = "present")]
    client_id: Option<Piece<'p>>,
    #[serde(default, borrow, deserialize_with = "present")]
    jti: Option<Piece<'p>>,
    exp: NumericDate,
    iat: NumericDate,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "confirmation")]
    cnf: Option<Confirmation>,
    #[serde(default, borrow, deserialize_with = "present")]
    scope: Option<Piece<'p>>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default, borrow, deserialize_with = "present")]
    org: Option<Piece<'p>>,
    #[serde(default, borrow, deserialize_with = "present")]
    sid: Option<Piece<'p>>,
    #[serde(default, deserialize_with = "present")]
    auth_time: Option<NumericDate>,
    #[serde(default, borrow, deserialize_with = "present")]
    acr: Option<Piece<'p>>,
    #[serde(default, borrow, deserialize_with = "present")]
    gid: Option<Piece<'p>>,
}

/// A text as it stands in the payload, unless something in it is escaped.
struct Piece<'p>(Cow<'p, str>);

impl ClaimSet<'_> {
    /// What a claim says; the audience is looked at elsewhere.
    fn text(&self, name: Text) -> Option<&str> {
        let piece = match name {
            Text::Acr => self.acr.as_ref(),
            Text::Aud => None,
            Text::ClientId => self.client_id.as_ref(),
            Text::Gid => self.gid.as_ref(),
            Text::Iss => self.iss.as_ref(),
            Text::Jti => self.jti.as_ref(),
            Text::Org => self.org.as_ref(),
            Text::Scope => self.scope.as_ref(),
            Text::Sid => self.sid.as_ref(),
            Text::Sub => Some(&self.sub),
        };
        piece.map(|Piece(text)| text.as_ref())
    }
}

impl<'de: 'p, 'p> Deserialize<'de> for Piece<'p> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Piece<'de>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Piece<'de>, E> {
                Ok(Piece(text.into()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Piece<'de>, E> {
                Ok(Piece(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Whole)
    }
}

/// `aud`: one name or a list of them (RFC 7519 §4.1.3).
#[derive(Debug)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// A token for several services, of which we are one, is ours: the issuer named us.
    pub(crate) fn includes(&self, own: &str) -> bool {
        match self {
            Self::One(name) => name == own,
            Self::Several(names) => names.iter().any(|name| name == own),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Audience;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a name or a list of names")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Audience, E> {
                Ok(Audience::One(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Audience, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(names)).map(Audience::Several)
            }
        }
        deserializer.deserialize_any(Names)
    }
}

/// Seconds since the Unix epoch; a fraction (RFC 7519 §2 allows one) is dropped.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct NumericDate(pub(crate) u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = NumericDate;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("seconds since 1970, before the year 10000")
            }

            #[expect(clippy::cast_precision_loss, reason = "a number that large is refused either way")]
            fn visit_u64<E: Error>(self, secs: u64) -> Result<NumericDate, E> {
                self.visit_f64(secs as f64)
            }

            fn visit_i64<E: Error>(self, secs: i64) -> Result<NumericDate, E> {
                self.visit_u64(secs.try_into().map_err(E::custom)?)
            }

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked in the same line"
            )]
            fn visit_f64<E: Error>(self, secs: f64) -> Result<NumericDate, E> {
                let in_range = (0.0..=LAST_DATE).contains(&secs);
                in_range.then_some(NumericDate(secs as u64)).ok_or_else(|| E::custom("out of range"))
            }
        }
        deserializer.deserialize_f64(Number)
    }
}

/// What claims are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) audience: &'a str,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
    /// Seconds since the Unix epoch.
    pub(crate) now: u64,
}

/// What stands for claims that are left out. A token of RFC 9068 leaves out none; others and an answer about one (RFC 7662 §2.2) may.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Implied<'a> {
    pub(crate) iss: Option<&'a str>,
    pub(crate) aud: Option<&'a str>,
    pub(crate) jti: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
}

impl AccessClaims {
    /// Reads the claims from a payload that is known to be JSON with one reading.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, TokenFault> {
        Self::parse_with(payload, Implied::default())
    }

    /// The same where some may be left out.
    pub(crate) fn parse_with(payload: &[u8], implied: Implied<'_>) -> Result<Self, TokenFault> {
        Self::of(|| serde_json::from_slice(payload), implied)
    }

    /// The same of claims that were read before.
    pub(super) fn of_value(claims: &Value, implied: Implied<'_>) -> Result<Self, TokenFault> {
        Self::of(|| ClaimSet::deserialize(claims), implied)
    }

    fn of<'p>(
        read: impl FnOnce() -> serde_json::Result<ClaimSet<'p>>,
        implied: Implied<'_>,
    ) -> Result<Self, TokenFault> {
        let claims = read().map_err(|_| TokenFault::Claims)?;
        let (audience, audiences) = match &claims.aud {
            Some(Audience::One(name)) => (Some(name.as_str()), Vec::new()),
            Some(Audience::Several(names)) => (None, names.clone()),
            None => (Some(implied.aud.ok_or(TokenFault::Claims)?), Vec::new()),
        };
        let texts = Text::ALL.map(|name| match name {
            Text::Aud => audience,
            Text::ClientId => claims.text(name).or(implied.client_id),
            Text::Iss => claims.text(name).or(implied.iss),
            Text::Jti => claims.text(name).or(implied.jti),
            name => claims.text(name),
        });
        let texts = Texts::new(texts);
        if [Text::ClientId, Text::Iss, Text::Jti].into_iter().any(|name| texts.get(name).is_none()) {
            return Err(TokenFault::Claims);
        }
        let ClaimSet { exp, iat, nbf, auth_time, .. } = claims;
        let dates = Dates { exp, iat, nbf, auth_time };
        Ok(Self { audiences, cnf: claims.cnf, dates, roles: claims.roles, texts })
    }

    /// What a claim says, if it is there.
    pub(crate) fn text(&self, name: Text) -> Option<&str> {
        self.texts.get(name)
    }

    /// What a claim says, or nothing.
    pub(crate) fn said(&self, name: Text) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A token for several services, of which we are one, is ours: the issuer named us.
    fn are_for(&self, own: &str) -> bool {
        self.text(Text::Aud) == Some(own) || self.audiences.iter().any(|name| name == own)
    }

    /// Whom the token is for.
    pub(crate) fn addressees(&self) -> String {
        let one = self.text(Text::Aud).into_iter();
        one.chain(self.audiences.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// How many texts stand in lists.
    pub(crate) const fn listed(&self) -> usize {
        self.roles.len() + self.audiences.len()
    }

    /// Whether they are of this issuer.
    pub(crate) fn is_of(&self, issuer: &str) -> bool {
        self.text(Text::Iss) == Some(issuer)
    }

    pub(crate) fn check(&self, rules: &Rules<'_>) -> Result<(), TokenFault> {
        if !self.are_for(rules.audience) {
            return Err(TokenFault::Audience);
        }
        let identifiers = [Text::Sub, Text::ClientId, Text::Jti].map(|name| self.said(name));
        if identifiers.iter().any(|text| text.is_empty() || text.len() > MAX_IDENTIFIER) {
            return Err(TokenFault::Claims);
        }
        self.check_dates(rules)
    }

    fn check_dates(&self, rules: &Rules<'_>) -> Result<(), TokenFault> {
        let Dates { exp, iat, nbf, .. } = self.dates;
        let leeway = rules.leeway.as_secs();
        if !is_current(exp, leeway, rules.now) {
            return Err(TokenFault::Expired);
        }
        let starts = nbf.map_or(iat, |nbf| nbf.max(iat));
        if starts.0 > rules.now.saturating_add(leeway) {
            return Err(TokenFault::NotYet);
        }
        match exp.0.checked_sub(iat.0) {
            None => Err(TokenFault::Claims),
            Some(lifetime) if lifetime > rules.max_lifetime.as_secs() => Err(TokenFault::Lifetime),
            Some(_) => Ok(()),
        }
    }
}

/// The claims that `T` names.
pub(crate) fn part<T: DeserializeOwned>(payload: &[u8]) -> Result<T, TokenFault> {
    serde_json::from_slice(payload).map_err(|_| TokenFault::Claims)
}

/// RFC 7519 §4.1.4: the current time must be before the expiry, give or take the leeway.
pub(crate) const fn is_current(exp: NumericDate, leeway_secs: u64, now: u64) -> bool {
    now < exp.0.saturating_add(leeway_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn claims() -> Value {
        json!({
            "iss": "https://id.test", "aud": "https://api.test", "sub": "u", "client_id": "c", "jti": "j",
            "exp": NOW + 300, "iat": NOW,
        })
    }

    fn check(claims: &Value) -> Result<(), TokenFault> {
        let claims = AccessClaims::parse(claims.to_string().as_bytes())?;
        let leeway = Duration::from_secs(30);
        let rules =
            Rules { audience: "https://api.test", leeway, max_lifetime: Duration::from_hours(24), now: NOW };
        claims.check(&rules)
    }

    fn with(name: &str, value: Value) -> Result<(), TokenFault> {
        let mut claims = claims();
        claims[name] = value;
        check(&claims)
    }

    #[test]
    fn the_required_claims_are_required() {
        assert_eq!(check(&claims()), Ok(()));
        for name in ["iss", "aud", "sub", "client_id", "jti", "exp", "iat"] {
            let mut less = claims();
            less.as_object_mut().unwrap().remove(name);
            assert_eq!(check(&less), Err(TokenFault::Claims), "without {name}");
            for wrong in [json!(null), json!({}), json!([1]), json!(true)] {
                assert_eq!(with(name, wrong.clone()), Err(TokenFault::Claims), "{name} = {wrong}");
            }
        }
        for name in ["sub", "client_id", "jti"] {
            assert_eq!(with(name, json!("")), Err(TokenFault::Claims), "{name}");
            assert_eq!(with(name, json!("x".repeat(513))), Err(TokenFault::Claims), "{name}");
        }
        assert_eq!(with("iss", json!(123)), Err(TokenFault::Claims));
        assert_eq!(with("aud", json!(5)), Err(TokenFault::Claims));
    }

    #[test]
    fn every_text_is_found_where_it_was_put() {
        for (place, name) in Text::ALL.into_iter().enumerate() {
            assert_eq!(name as usize, place, "{name:?}");
        }
        let names = ["acr", "aud", "client_id", "gid", "iss", "jti", "org", "scope", "sid", "sub"];
        let mut claims = claims();
        for name in names {
            claims[name] = json!(format!("{name} \"\u{e9}\""));
        }
        let whole = AccessClaims::parse(claims.to_string().as_bytes()).unwrap();
        // Escaped in the payload, it is the same text.
        let escaped = claims.to_string().replace('\u{e9}', "\\u00e9");
        let escaped = AccessClaims::parse(escaped.as_bytes()).unwrap();
        for (text, name) in Text::ALL.into_iter().zip(names) {
            assert_eq!(whole.text(text), claims[name].as_str(), "{name}");
            assert_eq!(escaped.text(text), claims[name].as_str(), "{name}");
        }
        let bare = AccessClaims::parse(super::tests::claims().to_string().as_bytes()).unwrap();
        for text in [Text::Acr, Text::Gid, Text::Org, Text::Scope, Text::Sid] {
            assert_eq!((bare.text(text), bare.said(text)), (None, ""), "{text:?}");
        }
    }

    #[test]
    fn the_audience_is_compared_whole() {
        assert_eq!(with("aud", json!(["https://other.test", "https://api.test"])), Ok(()));
        for other in
            [json!("https://other.test"), json!("https://api.test/"), json!([]), json!("https://api.tes")]
        {
            assert_eq!(with("aud", other.clone()), Err(TokenFault::Audience), "{other}");
        }
    }

    #[test]
    fn dates_are_numbers_in_range_and_may_have_a_fraction() {
        assert_eq!(with("exp", json!(1_800_000_000.5 + 300.0)), Ok(()));
        for wrong in [json!("1800000300"), json!(-1), json!(1e300), json!(-0.5), json!(253_402_300_800_u64)] {
            assert_eq!(with("exp", wrong.clone()), Err(TokenFault::Claims), "{wrong}");
        }
        for optional in ["nbf", "auth_time"] {
            assert_eq!(with(optional, json!(null)), Err(TokenFault::Claims), "{optional}");
            assert_eq!(with(optional, json!("1")), Err(TokenFault::Claims), "{optional}");
        }
    }

    #[test]
    fn a_token_is_good_from_its_start_to_its_end_give_or_take_the_leeway() {
        let expired_for = |secs: u64| {
            let mut old = claims();
            old["iat"] = json!(NOW - 400);
            old["exp"] = json!(NOW - secs);
            check(&old)
        };
        assert_eq!(expired_for(29), Ok(()));
        assert_eq!(expired_for(30), Err(TokenFault::Expired));
        assert_eq!(expired_for(50), Err(TokenFault::Expired));
        assert_eq!(with("nbf", json!(NOW + 30)), Ok(()));
        assert_eq!(with("nbf", json!(NOW + 31)), Err(TokenFault::NotYet));
        assert_eq!(with("iat", json!(NOW + 31)), Err(TokenFault::NotYet));
    }

    #[test]
    fn a_token_that_lives_too_long_or_backwards_is_refused() {
        assert_eq!(with("exp", json!(NOW + 86_400)), Ok(()));
        assert_eq!(with("exp", json!(NOW + 86_401)), Err(TokenFault::Lifetime));
        let mut backwards = claims();
        backwards["iat"] = json!(NOW + 10);
        backwards["exp"] = json!(NOW + 5);
        assert_eq!(check(&backwards), Err(TokenFault::Claims));
    }

    #[test]
    fn what_a_token_is_bound_to_has_one_form() {
        assert_eq!(
            with("cnf", json!({ "jkt": "x", "kid": 1 })),
            Ok(()),
            "whether it is proven is checked elsewhere"
        );
        for wrong in [
            json!(null),
            json!("x"),
            json!([]),
            json!(["x"]),
            json!({ "jkt": 1 }),
            json!({ "x5t#S256": null }),
        ] {
            assert_eq!(with("cnf", wrong.clone()), Err(TokenFault::Claims), "{wrong}");
        }
    }

    #[test]
    fn roles_and_scope_have_one_form() {
        assert_eq!(with("roles", json!(["a", "b"])), Ok(()));
        for wrong in [json!("a"), json!([1]), json!(null)] {
            assert_eq!(with("roles", wrong.clone()), Err(TokenFault::Claims), "{wrong}");
        }
        assert_eq!(with("scope", json!(["a"])), Err(TokenFault::Claims));
    }
}
