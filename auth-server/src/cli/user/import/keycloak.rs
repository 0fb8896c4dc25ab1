//! A realm of Keycloak, exported with its users.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::user::import::{Brought, no_json, unreadable, yes};
use crate::services::users::form::UserForm;
use crate::services::users::import::BroughtAccount;
use crate::services::users::profile::ProfileForm;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    username: String,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    email_verified: bool,
    #[serde(default)]
    credentials: Vec<Proof>,
    #[serde(default)]
    attributes: Option<Map<String, Value>>,
    /// What the account has to do before it gets in.
    #[serde(default)]
    required_actions: Option<Vec<String>>,
    service_account_client_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    #[serde(rename = "type", default)]
    kind: String,
    /// How the hash was made, as a text of JSON.
    credential_data: Option<String>,
    /// The hash, likewise.
    secret_data: Option<String>,
    /// The password itself, in realms that people write.
    value: Option<String>,
    /// Whether it is there to be replaced: Keycloak makes `UPDATE_PASSWORD` of it.
    #[serde(default)]
    temporary: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialData {
    algorithm: String,
    hash_iterations: u32,
    #[serde(default)]
    additional_parameters: Map<String, Value>,
}

#[derive(Deserialize)]
struct SecretData {
    value: String,
    salt: String,
}

/// Counts what is not taken over.
#[derive(Default)]
struct Left {
    machines: usize,
    other_credentials: usize,
    attributes: usize,
    passwords: usize,
    unverified: usize,
    without_totp: usize,
    other_actions: usize,
}

/// Somebody else may know the password.
const UPDATE_PASSWORD: &str = "UPDATE_PASSWORD";
/// Nobody made sure of the address.
const VERIFY_EMAIL: &str = "VERIFY_EMAIL";
const CONFIGURE_TOTP: &str = "CONFIGURE_TOTP";

pub(super) fn read(text: &str) -> Result<Brought, String> {
    let realm: Value = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    let users = realm.get("users").unwrap_or(&realm).as_array();
    let users = users.ok_or("there are no `users`: a realm has to be exported with them")?;
    let (mut brought, mut left) = (Brought::default(), Left::default());
    for (at, user) in users.iter().enumerate() {
        let place = format!("users/{at}");
        let Ok(account) = Account::deserialize(user) else {
            brought.unreadable.push(unreadable(place, user.get("username")));
            continue;
        };
        if account.service_account_client_id.is_some() {
            left.machines += 1;
            continue;
        }
        left.count_actions(&account);
        left.attributes += usize::from(account.attributes.as_ref().is_some_and(|all| !all.is_empty()));
        let others = account.credentials.iter().any(|credential| credential.kind != "password");
        left.other_credentials += usize::from(others);
        brought.accounts.push(account.brought(place));
    }
    brought.notes = left.notes();
    Ok(brought)
}

impl Account {
    fn has_to(&self, action: &str) -> bool {
        self.actions().any(|own| own == action)
    }

    fn actions(&self) -> impl Iterator<Item = &str> {
        let said = self.required_actions.iter().flatten().map(String::as_str);
        said.chain(self.password().filter(|password| password.temporary).map(|_| UPDATE_PASSWORD))
    }

    fn password(&self) -> Option<&Proof> {
        self.credentials.iter().find(|credential| credential.kind == "password")
    }

    fn brought(self, place: String) -> BroughtAccount {
        let names =
            [&self.first_name, &self.last_name].map(|name| name.as_deref().unwrap_or_default().trim());
        let claims = ["given_name", "family_name"].map(str::to_owned).into_iter();
        let profile: Map<String, Value> = claims.zip(names.map(Value::from)).collect();
        // One that has to be replaced gets nobody in: there is no page between the sign-in and what comes after it that would ask for another.
        let password = self.password().filter(|_| !self.has_to(UPDATE_PASSWORD));
        let hash = password.filter(|password| password.value.is_none()).map(Proof::hash);
        let password = password.and_then(|password| password.value.clone());
        let (email_verified, enabled) = (self.email_verified && !self.has_to(VERIFY_EMAIL), self.enabled);
        let form = UserForm {
            name: names.join(" ").trim().to_owned(),
            username: self.username,
            email: self.email.filter(|email| !email.is_empty()),
            organisation: None,
            password,
            profile: ProfileForm(profile),
        };
        BroughtAccount { place, form, hash, email_verified, enabled }
    }
}

impl Proof {
    /// The hash as it is written elsewhere; a text that is none where something is missing.
    fn hash(&self) -> String {
        let said = || {
            let data: CredentialData = serde_json::from_str(self.credential_data.as_deref()?).ok()?;
            let secret: SecretData = serde_json::from_str(self.secret_data.as_deref()?).ok()?;
            let (salt, value) = (secret.salt.trim_end_matches('='), secret.value.trim_end_matches('='));
            Some(match data.algorithm.as_str() {
                "argon2" => format!("{}${salt}${value}", data.argon2()?),
                name => format!("${name}$i={}${salt}${value}", data.hash_iterations),
            })
        };
        said().unwrap_or_default()
    }
}

impl CredentialData {
    /// The beginning of a PHC string.
    fn argon2(&self) -> Option<String> {
        let said = |name| self.additional_parameters.get(name)?.get(0)?.as_str();
        let version = match said("version")? {
            "1.0" => 16,
            "1.3" => 19,
            _ => return None,
        };
        let (kind, memory, lanes) = (said("type")?, said("memory")?, said("parallelism")?);
        Some(format!("$argon2{kind}$v={version}$m={memory},t={},p={lanes}", self.hash_iterations))
    }
}

impl Left {
    fn count_actions(&mut self, account: &Account) {
        self.passwords += usize::from(account.has_to(UPDATE_PASSWORD));
        self.unverified += usize::from(account.has_to(VERIFY_EMAIL));
        self.without_totp += usize::from(account.has_to(CONFIGURE_TOTP));
        let known = [UPDATE_PASSWORD, VERIFY_EMAIL, CONFIGURE_TOTP];
        self.other_actions += usize::from(account.actions().any(|action| !known.contains(&action)));
    }

    fn notes(&self) -> Vec<String> {
        let of = |count: usize, what: &str| (count > 0).then(|| format!("{what}: {count}"));
        let notes = [
            of(self.machines, "service accounts of clients, which are left out: here they are clients"),
            of(self.other_credentials, "accounts whose second factors or passkeys stay behind"),
            of(self.attributes, "accounts whose attributes stay behind"),
            of(
                self.passwords,
                "accounts that have to set another password (UPDATE_PASSWORD), which come without one",
            ),
            of(
                self.unverified,
                "accounts that have to confirm their address (VERIFY_EMAIL), which comes as not confirmed",
            ),
            of(
                self.without_totp,
                "accounts that have to add a second step (CONFIGURE_TOTP), and are not made to here",
            ),
            of(self.other_actions, "accounts whose other required actions stay behind"),
        ];
        notes.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn credential(algorithm: &str, iterations: u32, more: &Value) -> Value {
        let data =
            json!({ "algorithm": algorithm, "hashIterations": iterations, "additionalParameters": more });
        let secret = json!({ "value": "aGFzaA==", "salt": "c2FsdHNhbHQ=", "additionalParameters": {} });
        json!({ "type": "password", "credentialData": data.to_string(), "secretData": secret.to_string() })
    }

    fn one(user: &Value) -> BroughtAccount {
        read(&json!({ "realm": "shop", "users": [user] }).to_string()).unwrap().accounts.remove(0)
    }

    #[test]
    fn an_account_comes_with_its_names_and_the_hash_of_its_password() {
        let account = one(&json!({
            "username": "ada", "email": "ada@example.org", "firstName": "Ada", "lastName": "Lovelace",
            "enabled": true, "emailVerified": true, "credentials": [credential("pbkdf2-sha512", 210_000, &json!({}))],
        }));
        assert_eq!((account.form.name.as_str(), account.email_verified), ("Ada Lovelace", true));
        assert_eq!(account.form.profile.0["family_name"], "Lovelace");
        assert_eq!(account.hash.as_deref(), Some("$pbkdf2-sha512$i=210000$c2FsdHNhbHQ$aGFzaA"));
    }

    #[test]
    fn argon2_is_written_as_everybody_writes_it() {
        let more = json!({ "type": ["id"], "version": ["1.3"], "memory": ["7168"], "parallelism": ["1"] });
        let account = one(&json!({ "username": "ada", "credentials": [credential("argon2", 5, &more)] }));
        assert_eq!(account.hash.as_deref(), Some("$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHQ$aGFzaA"));
    }

    #[test]
    fn what_is_not_taken_over_is_told() {
        let realm = json!({ "users": [
            { "username": "robot", "serviceAccountClientId": "robot" },
            { "username": "ada", "credentials": [{ "type": "otp" }], "attributes": { "shoe": ["39"] } },
            { "username": 7 },
            { "username": "bob", "enabled": false, "credentials": [{ "type": "password", "value": "of-a-person" }] },
        ]});
        let brought = read(&realm.to_string()).unwrap();
        assert_eq!(brought.notes.len(), 3, "{:?}", brought.notes);
        assert_eq!(brought.unreadable[0].place, "users/2");
        let [ada, bob] = &brought.accounts[..] else { panic!("{brought:?}") };
        assert_eq!((ada.hash.as_deref(), ada.enabled), (None, true));
        assert_eq!((bob.form.password.as_deref(), bob.enabled), (Some("of-a-person"), false));
    }

    #[test]
    fn a_password_that_has_to_be_replaced_stays_behind_and_an_address_that_has_to_be_verified_is_not() {
        let hashed = credential("pbkdf2-sha512", 210_000, &json!({}));
        let typed = json!({ "type": "password", "value": "a-long-and-typed-one" });
        let temporary = json!({ "type": "password", "value": "a-long-and-typed-one", "temporary": true });
        let account = |name: &str, credential: &Value, actions: Value| {
            json!({ "username": name, "email": "ada@example.org", "emailVerified": true,
                "credentials": [credential], "requiredActions": actions })
        };
        let realm = json!({ "users": [
            account("hashed", &hashed, json!(["UPDATE_PASSWORD"])),
            account("typed", &typed, json!(["VERIFY_EMAIL", "UPDATE_PASSWORD", "CONFIGURE_TOTP"])),
            account("temporary", &temporary, json!([])),
            account("unverified", &hashed, json!(["VERIFY_EMAIL"])),
            account("free", &typed, Value::Null),
            account("other", &hashed, json!(["TERMS_AND_CONDITIONS", "webauthn-register"])),
        ]});
        let brought = read(&realm.to_string()).unwrap();
        let kept = |account: &BroughtAccount| {
            (account.hash.is_some(), account.form.password.is_some(), account.email_verified)
        };
        assert_eq!(
            brought.accounts.iter().map(kept).collect::<Vec<_>>(),
            [
                (false, false, true),
                (false, false, false),
                (false, false, true),
                (true, false, false),
                (false, true, true),
                (true, false, true)
            ]
        );
        let counted: Vec<_> = brought.notes.iter().filter_map(|note| note.rsplit(": ").next()).collect();
        assert_eq!(counted, ["3", "2", "1", "1"], "{:?}", brought.notes);
    }

    #[test]
    fn what_is_no_realm_is_refused_by_its_place_alone() {
        let error = read("{\"users\": [{\"username\": \"secret-one\"").unwrap_err();
        assert!(error.starts_with("line 1, column ") && !error.contains("secret-one"), "{error}");
        assert!(read("{\"realm\": \"x\"}").unwrap_err().contains("no `users`"));
        // A password of which something is missing is no account without one.
        let half = one(&json!({ "username": "ada", "credentials": [{ "type": "password" }] }));
        assert_eq!(half.hash.as_deref(), Some(""));
    }
}
