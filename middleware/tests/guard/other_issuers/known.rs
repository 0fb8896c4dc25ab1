//! Known issuers, and tokens as they write them.

use portcullis_guard::TokenForm;
use serde_json::{Value, json};

use crate::signer::{NOW, Signer};

/// An issuer, and a token of it.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) audience: &'static str,
    pub(super) typ: Option<&'static str>,
    pub(super) claims: Value,
    pub(super) form: TokenForm,
    pub(super) client: &'static str,
    /// What the token is not without.
    pub(super) refused: Vec<Value>,
    /// What leaves it a good one, with fewer scopes and roles.
    pub(super) less: Value,
}

const SHOP: &str = "https://shop.example";
const CLIENT_ID: &str = "3kq7h5p0m2";
const TENANT: &str = "0f3c9a52-7d41-4be8-9a10-5c6be1c2d3e4";
const APP: &str = "6d1f0e37-22c5-4c1e-8f0b-97a4d0b8e6aa";
const SERVICE: &str = "b7c24d19-5e83-49f6-a1d2-3d8e0c5f7b21";

/// What an issuer says beside the dates.
fn dated(mut claims: Value) -> Value {
    claims["iat"] = json!(NOW);
    claims["exp"] = json!(NOW + 3_600);
    claims
}

fn okta() -> Known {
    Known {
        name: "Okta",
        audience: "api://shop",
        typ: None,
        claims: dated(json!({
            "ver": 1, "jti": "AT.9xQ2", "iss": "https://acme.okta.example/oauth2/shop", "aud": "api://shop",
            "cid": "0oa7web", "uid": "00u5ann", "scp": ["orders", "openid"], "auth_time": NOW - 60,
            "sub": "ann@acme.example", "groups": ["clerk", "Everyone"],
        })),
        form: TokenForm::rfc9068()
            .danger_untyped()
            .client_claim("cid")
            .scope_claim("scp")
            .roles_claim("/groups"),
        client: "0oa7web",
        refused: vec![
            json!({ "cid": null }),
            json!({ "cid": ["0oa7web"] }),
            json!({ "cid": "" }),
            json!({ "cid": "api://shop" }),
            json!({ "aud": ["api://shop", "0oa7web"] }),
            json!({ "scp": ["orders admin"] }),
            json!({ "scp": [1] }),
            json!({ "groups": { "clerk": true } }),
            json!({ "client_id": "another" }),
            json!({ "nonce": "n" }),
        ],
        less: json!({ "scp": ["openid"], "groups": ["Everyone"], "scope": "orders", "roles": ["clerk"] }),
    }
}

fn duende() -> Known {
    Known {
        name: "Duende IdentityServer",
        audience: SHOP,
        typ: Some("at+jwt"),
        claims: dated(json!({
            "iss": "https://login.acme.example", "nbf": NOW, "aud": SHOP, "client_id": "web", "sub": "818727",
            "auth_time": NOW - 60, "idp": "local", "amr": ["pwd"], "sid": "5B1C", "jti": "0D74",
            "scope": ["openid", "orders"], "role": "clerk",
        })),
        form: TokenForm::rfc9068().scope_claim("scope").roles_claim("/role"),
        client: "web",
        refused: vec![
            json!({ "client_id": null }),
            json!({ "client_id": null, "azp": "web" }),
            json!({ "jti": null }),
            json!({ "scope": [["orders"]] }),
            json!({ "role": { "clerk": true } }),
        ],
        less: json!({ "scope": ["openid"], "role": ["buyer"], "roles": ["clerk"] }),
    }
}

fn cognito() -> Known {
    Known {
        name: "Amazon Cognito",
        audience: SHOP,
        typ: None,
        claims: dated(json!({
            "sub": "a1f6-42", "cognito:groups": ["clerk"], "token_use": "access", "version": 2, "username": "ann",
            "iss": "https://cognito-idp.eu-west-1.amazonaws.example/eu-west-1_Abc", "client_id": CLIENT_ID,
            "origin_jti": "77", "event_id": "e5", "scope": "openid orders", "auth_time": NOW - 60, "jti": "b8",
        })),
        form: TokenForm::rfc9068()
            .danger_untyped()
            .danger_without_audience_for(["3kq7h5p0m2"])
            .must_have("token_use", "access")
            .roles_claim("/cognito:groups"),
        client: CLIENT_ID,
        refused: vec![
            json!({ "client_id": "9zz1k4t8w6" }),
            json!({ "client_id": null }),
            json!({ "client_id": null, "azp": "9zz1k4t8w6" }),
            json!({ "token_use": "id" }),
            json!({ "token_use": null }),
            json!({ "token_use": "id", "client_id": null, "aud": CLIENT_ID }),
            json!({ "aud": CLIENT_ID }),
            json!({ "aud": "https://other.example" }),
            json!({ "aud": [] }),
            json!({ "cognito:groups": { "clerk": true } }),
        ],
        less: json!({ "scope": "openid", "cognito:groups": [], "roles": ["clerk"] }),
    }
}

fn entra_v1() -> Known {
    Known {
        name: "Microsoft Entra ID, v1.0",
        audience: "api://shop",
        typ: Some("JWT"),
        claims: dated(json!({
            "aud": "api://shop", "iss": format!("https://sts.windows.example/{TENANT}/"), "nbf": NOW, "acr": "1",
            "aio": "ATQA", "amr": ["pwd", "mfa"], "appid": APP, "appidacr": "1", "ipaddr": "192.0.2.7",
            "name": "Ann", "oid": "9d2a", "rh": "0.AXs", "roles": ["clerk"], "scp": "orders user.read",
            "sub": "pQ7z", "tid": TENANT, "unique_name": "ann@acme.example", "uti": "k2", "ver": "1.0",
        })),
        form: TokenForm::danger_generic(["JWT"])
            .client_claim("appid")
            .scope_claim("scp")
            .must_have("tid", "0f3c9a52-7d41-4be8-9a10-5c6be1c2d3e4")
            .must_have("ver", "1.0"),
        client: APP,
        refused: vec![
            json!({ "appid": null }),
            json!({ "appid": "api://shop" }),
            json!({ "tid": APP }),
            json!({ "tid": null }),
            json!({ "ver": "2.0" }),
            json!({ "aud": null }),
            json!({ "aud": APP }),
            json!({ "roles": "clerk" }),
            json!({ "scope": ["orders"] }),
        ],
        less: json!({ "scp": "user.read", "roles": null, "scope": "orders" }),
    }
}

fn entra_v2() -> Known {
    Known {
        name: "Microsoft Entra ID, v2.0",
        audience: SERVICE,
        typ: Some("JWT"),
        claims: dated(json!({
            "aud": SERVICE, "iss": format!("https://login.microsoftonline.example/{TENANT}/v2.0"), "nbf": NOW,
            "aio": "AYQ", "azp": APP, "azpacr": "1", "name": "Ann", "oid": "9d2a", "rh": "0.AXs",
            "preferred_username": "ann@acme.example", "roles": ["clerk"], "scp": "orders", "sid": "4c",
            "sub": "pQ7z", "tid": TENANT, "uti": "k2", "ver": "2.0",
        })),
        form: TokenForm::danger_generic(["JWT"])
            .scope_claim("scp")
            .must_have("tid", "0f3c9a52-7d41-4be8-9a10-5c6be1c2d3e4")
            .must_have("ver", "2.0"),
        client: APP,
        refused: vec![
            json!({ "azp": null }),
            json!({ "azp": null, "appid": APP }),
            json!({ "azp": SERVICE }),
            json!({ "azp": null, "aud": APP }),
            json!({ "tid": APP }),
            json!({ "ver": "1.0" }),
            json!({ "aud": null }),
            json!({ "nonce": "n" }),
            json!({ "scp": null, "scope": ["orders"] }),
        ],
        less: json!({ "scp": null, "scope": "orders", "roles": ["reader"] }),
    }
}

fn keycloak() -> Known {
    Known {
        name: "Keycloak",
        audience: SHOP,
        typ: Some("JWT"),
        claims: dated(json!({
            "auth_time": NOW - 60, "jti": "onrtac:77", "iss": "https://id.acme.example/realms/shop",
            "aud": [SHOP, "account"], "sub": "f:81", "typ": "Bearer", "azp": "web", "sid": "c4", "acr": "1",
            "allowed-origins": ["https://web.example"], "realm_access": { "roles": ["clerk", "offline_access"] },
            "resource_access": { "account": { "roles": ["view-profile"] } }, "scope": "openid orders profile",
            "email_verified": true, "name": "Ann", "preferred_username": "ann",
        })),
        form: TokenForm::danger_generic(["JWT"])
            .roles_claim("/realm_access/roles")
            .must_have("typ", "Bearer"),
        client: "web",
        refused: vec![
            json!({ "azp": null }),
            json!({ "aud": "account" }),
            json!({ "aud": [SHOP, "web"] }),
            json!({ "aud": null }),
            json!({ "typ": "ID" }),
            json!({ "typ": "Refresh" }),
            json!({ "typ": null }),
            json!({ "realm_access": { "roles": { "clerk": true } } }),
            json!({ "realm_access": { "roles": null } }),
        ],
        less: json!({ "scope": "openid", "realm_access": { "roles": ["offline_access"] }, "roles": ["clerk"] }),
    }
}

fn auth0() -> Known {
    Known {
        name: "Auth0",
        audience: SHOP,
        typ: Some("JWT"),
        claims: dated(json!({
            "iss": "https://acme.eu.auth0.example/", "sub": "auth0|5f7c", "azp": CLIENT_ID,
            "aud": [SHOP, "https://acme.eu.auth0.example/userinfo"], "scope": "openid orders",
            "permissions": ["clerk", "orders:read"],
        })),
        form: TokenForm::danger_generic(["JWT"]).roles_claim("/permissions"),
        client: CLIENT_ID,
        refused: vec![
            json!({ "azp": null }),
            json!({ "azp": SHOP }),
            json!({ "aud": "https://acme.eu.auth0.example/userinfo" }),
            json!({ "aud": CLIENT_ID }),
            json!({ "aud": null }),
            json!({ "permissions": { "clerk": true } }),
            json!({ "scope": ["orders"] }),
            json!({ "at_hash": "h" }),
        ],
        less: json!({ "scope": "openid", "permissions": [], "roles": ["clerk"] }),
    }
}

pub(super) fn all() -> [Known; 7] {
    [okta(), duende(), cognito(), entra_v1(), entra_v2(), keycloak(), auth0()]
}

impl Known {
    pub(super) fn issuer(&self) -> &str {
        self.claims["iss"].as_str().unwrap()
    }

    pub(super) fn header(&self, signer: &Signer) -> Value {
        let mut header = signer.header();
        header["typ"] = self.typ.into();
        header.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        header
    }

    /// A token with changes; `null` takes a claim out.
    pub(super) fn token(&self, signer: &Signer, changes: &Value) -> String {
        let mut claims = self.claims.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        signer.sign(&self.header(signer), &claims)
    }
}
