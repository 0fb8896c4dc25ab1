//! Users: the people who sign in.

use axum::extract::{Path, State};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::domain::account_deletion::AccountDeletion;
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::strict_json::StrictJson;
use crate::domain::user::User;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::{JsonBody, Parameters};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::paging::PageQuery;
use crate::services::users::form::UserForm;
use crate::services::users::profile::ProfileForm;
use crate::services::users::{UserQuery, UserService};

/// A person who signs in.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserDocument {
    #[schema(example = "usr_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    /// What tokens call the person.
    sub: String,
    /// What the person types to sign in.
    username: String,
    /// What the person is called.
    name: String,
    email: Option<String>,
    email_verified_at: Option<String>,
    /// The organisation that the account belongs to.
    organisation: String,
    created_at: String,
    #[serde(flatten)]
    state: AccountState,
    /// What else is known about the person, by the names of the claims; what is not known is left out.
    #[schema(value_type = Object, example = json!({ "given_name": "Ada", "locale": "en-GB" }))]
    profile: Value,
}

/// Whether an account can be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountState {
    /// When the account was switched off.
    disabled_at: Option<String>,
    /// That its owner wants it deleted; it is switched off meanwhile.
    deletion: Option<DeletionDocument>,
}

/// That somebody wants their account deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeletionDocument {
    /// When it was asked for.
    asked_at: String,
    /// When it is deleted.
    due_at: String,
    /// Whether its owner can keep it until then, which an administrator ends who switches it off as well.
    owner_keeps: bool,
}

impl DeletionDocument {
    fn of(asked: &AccountDeletion) -> Self {
        Self {
            asked_at: asked.asked_at.rfc3339(),
            due_at: asked.due_at.rfc3339(),
            owner_keeps: asked.barred_at.is_none(),
        }
    }
}

impl UserDocument {
    fn of(user: User, deletion: Option<&AccountDeletion>) -> Self {
        Self {
            id: user.id.to_string(),
            sub: user.sub.to_string(),
            username: user.username.to_string(),
            name: user.name,
            email: user.email.map(String::from),
            email_verified_at: user.email_verified_at.map(Timestamp::rfc3339),
            organisation: user.organisation.to_string(),
            created_at: user.created_at.rfc3339(),
            state: AccountState {
                disabled_at: user.disabled_at.map(Timestamp::rfc3339),
                deletion: deletion.map(DeletionDocument::of),
            },
            profile: user.profile.to_json(),
        }
    }
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserList {
    items: Vec<UserDocument>,
    /// Send it as `after` to get the next page; null on the last one.
    next: Option<String>,
}

/// Which users to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserFilter {
    /// The `next` of the page before.
    after: Option<String>,
    /// How many: 50 unless given, at most 200.
    limit: Option<u64>,
    /// Only the user with exactly this name.
    username: Option<String>,
}

/// What a person's account says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserInput {
    /// What the person types to sign in: 1 to 128 characters, no blanks, no colon.
    #[schema(example = "ada")]
    username: String,
    /// What the person is called.
    #[serde(default)]
    #[schema(example = "Ada Lovelace")]
    name: String,
    #[schema(example = "ada@example.org")]
    email: Option<String>,
    /// The organisation that the account belongs to. Without it: the first one.
    organisation: Option<String>,
    /// What else is known about the person, by the names of the claims (OpenID Connect Core §5.1): `given_name`, `family_name`,
    /// `middle_name`, `nickname`, `profile`, `picture`, `website`, `gender`, `birthdate`, `zoneinfo`, `locale`, `phone_number`, all of
    /// them text; `phone_number_verified`; and `address`, an object with `formatted`, `street_address`, `locality`, `region`,
    /// `postal_code` and `country`. Without it, nothing else is known.
    #[serde(default, deserialize_with = "profile")]
    #[schema(value_type = Object, example = json!({ "given_name": "Ada", "locale": "en-GB", "address": { "country": "England" } }))]
    profile: ProfileForm,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUserInput {
    /// What the person types to sign in: 1 to 128 characters, no blanks, no colon.
    #[schema(example = "ada")]
    username: String,
    /// What the person is called.
    #[serde(default)]
    #[schema(example = "Ada Lovelace")]
    name: String,
    #[schema(example = "ada@example.org")]
    email: Option<String>,
    /// The organisation that the account belongs to. Without it: the first one.
    organisation: Option<String>,
    /// What else is known about the person, by the names of the claims (OpenID Connect Core §5.1): `given_name`, `family_name`,
    /// `middle_name`, `nickname`, `profile`, `picture`, `website`, `gender`, `birthdate`, `zoneinfo`, `locale`, `phone_number`, all of
    /// them text; `phone_number_verified`; and `address`, an object with `formatted`, `street_address`, `locality`, `region`,
    /// `postal_code` and `country`. Without it, nothing else is known.
    #[serde(default, deserialize_with = "profile")]
    #[schema(value_type = Object, example = json!({ "given_name": "Ada", "locale": "en-GB", "address": { "country": "England" } }))]
    profile: ProfileForm,
    /// 15 to 256 characters. Without it nobody can sign in yet.
    password: Option<String>,
}

/// An object that repeats no member; null is none.
fn profile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProfileForm, D::Error> {
    match StrictJson::deserialize(deserializer)?.0 {
        Value::Null => Ok(ProfileForm::default()),
        Value::Object(claims) => Ok(ProfileForm(claims)),
        _ => Err(D::Error::custom("has to be an object")),
    }
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordInput {
    /// 15 to 256 characters.
    password: String,
}

/// Lists users, oldest first.
#[utoipa::path(get, path = "/users", tag = "users", operation_id = "listUsers", params(UserFilter),
    responses((status = 200, body = UserList)))]
pub(crate) async fn list(
    State(users): State<UserService>,
    Parameters(filter): Parameters<UserFilter>,
) -> Result<Answer<UserList>, Problem> {
    let query = UserQuery { username: filter.username, page: PageQuery::new(filter.after, filter.limit) };
    let page = users.list(&query).await?;
    let deletions = users.deletions(&page.items).await?;
    let document = |user: User| {
        let deletion = deletions.get(&user.id);
        UserDocument::of(user, deletion)
    };
    Ok(Answer::ok(UserList { items: page.items.into_iter().map(document).collect(), next: page.next }))
}

/// An account as it is now, with what its owner wants of it.
async fn shown(users: &UserService, user: User) -> Result<UserDocument, AdminError> {
    let deletion = users.deletions(std::slice::from_ref(&user)).await?.remove(&user.id);
    Ok(UserDocument::of(user, deletion.as_ref()))
}

/// Creates a user.
#[utoipa::path(post, path = "/users", tag = "users", operation_id = "createUser", request_body = NewUserInput,
    responses((status = 201, body = UserDocument)))]
pub(crate) async fn create(
    State(users): State<UserService>,
    By(caller): By,
    JsonBody(input): JsonBody<NewUserInput>,
) -> Result<Answer<UserDocument>, Problem> {
    let NewUserInput { username, name, email, organisation, profile, password } = input;
    let form = UserForm { username, name, email, organisation, password, profile };
    let made = users.create(form, &caller).await?;
    let place = format!("/api/v1/users/{}", made.value.id);
    Ok(Answer::created(UserDocument::of(made.value, None), place).at(&made.version))
}

/// Shows a user.
#[utoipa::path(get, path = "/users/{user}", tag = "users", operation_id = "showUser", params(("user" = String, Path)),
    responses((status = 200, body = UserDocument)))]
pub(crate) async fn show(
    State(users): State<UserService>,
    Path(user): Path<String>,
) -> Result<Answer<UserDocument>, Problem> {
    let found = users.show(&named::<UserId>(&user, Thing::User)?).await?;
    Ok(Answer::ok(shown(&users, found.value).await?).at(&found.version))
}

/// Replaces what can be changed about a user.
#[utoipa::path(put, path = "/users/{user}", tag = "users", operation_id = "updateUser", params(("user" = String, Path), ("If-Match" = String, Header)),
    request_body = UserInput, responses((status = 200, body = UserDocument)))]
pub(crate) async fn update(
    State(users): State<UserService>,
    Path(user): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
    JsonBody(input): JsonBody<UserInput>,
) -> Result<Answer<UserDocument>, Problem> {
    let id = named::<UserId>(&user, Thing::User)?;
    let UserInput { username, name, email, organisation, profile } = input;
    let form = UserForm { username, name, email, organisation, password: None, profile };
    match users.update(&id, form, &precondition, &caller).await {
        Ok(changed) => Ok(Answer::ok(shown(&users, changed.value).await?).at(&changed.version)),
        Err(AdminError::Stale) => {
            let current = users.show(&id).await?;
            Err(Problem::stale(&shown(&users, current.value).await?, &current.version))
        }
        Err(error) => Err(error.into()),
    }
}

/// Switches an account off: its sessions, grants and tokens end at once. An account that its owner wants deleted is off already; then the
/// owner cannot keep it any more.
#[utoipa::path(post, path = "/users/{user}/disable", tag = "users", operation_id = "disableUser", params(("user" = String, Path)),
    responses((status = 200, body = UserDocument)))]
pub(crate) async fn disable(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
) -> Result<Answer<UserDocument>, Problem> {
    let changed = users.disable(&named::<UserId>(&user, Thing::User)?, &caller).await?;
    Ok(Answer::ok(shown(&users, changed.value).await?).at(&changed.version))
}

/// Switches an account on again, and keeps it if its owner wanted it deleted.
#[utoipa::path(post, path = "/users/{user}/enable", tag = "users", operation_id = "enableUser", params(("user" = String, Path)),
    responses((status = 200, body = UserDocument)))]
pub(crate) async fn enable(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
) -> Result<Answer<UserDocument>, Problem> {
    let changed = users.enable(&named::<UserId>(&user, Thing::User)?, &caller).await?;
    Ok(Answer::ok(shown(&users, changed.value).await?).at(&changed.version))
}

/// Keeps an account that its owner wanted deleted: it is as it was before, but for its sessions and grants, which ended. One that an
/// administrator switched off as well stays off.
#[utoipa::path(delete, path = "/users/{user}/deletion", tag = "users", operation_id = "withdrawDeletion",
    params(("user" = String, Path)), responses((status = 200, body = UserDocument)))]
pub(crate) async fn withdraw_deletion(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
) -> Result<Answer<UserDocument>, Problem> {
    let kept = users.withdraw_deletion(&named::<UserId>(&user, Thing::User)?, &caller).await?;
    Ok(Answer::ok(UserDocument::of(kept.value, None)).at(&kept.version))
}

/// Sets a password and ends every session of the account.
#[utoipa::path(put, path = "/users/{user}/password", tag = "users", operation_id = "setPassword", params(("user" = String, Path)),
    request_body = PasswordInput, responses((status = 204, description = "It is set.")))]
pub(crate) async fn set_password(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
    JsonBody(input): JsonBody<PasswordInput>,
) -> Result<Done, Problem> {
    users.set_password(&named::<UserId>(&user, Thing::User)?, &input.password, &caller).await?;
    Ok(Done)
}

/// Signs a user out everywhere: every session ends, every grant is taken back, and the applications are told.
#[utoipa::path(post, path = "/users/{user}/sign-out", tag = "users", operation_id = "signUserOut",
    params(("user" = String, Path)), responses((status = 204, description = "Nothing is open any more.")))]
pub(crate) async fn sign_out(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    users.sign_out(&named::<UserId>(&user, Thing::User)?, &caller).await?;
    Ok(Done)
}

/// Removes the second step of a user's sign-in, with the recovery codes and the passkeys, and signs the user out everywhere. Without any of
/// them, nothing happens.
#[utoipa::path(delete, path = "/users/{user}/second-step", tag = "users", operation_id = "resetSecondStep",
    params(("user" = String, Path)), responses((status = 204, description = "There is none any more.")))]
pub(crate) async fn reset_second_step(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    users.reset_second_step(&named::<UserId>(&user, Thing::User)?, &caller).await?;
    Ok(Done)
}

/// Deletes a user with roles, sessions, grants and consents. To keep them for later, disable the user instead.
#[utoipa::path(delete, path = "/users/{user}", tag = "users", operation_id = "deleteUser", params(("user" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
pub(crate) async fn delete(
    State(users): State<UserService>,
    Path(user): Path<String>,
    By(caller): By,
) -> Result<Done, Problem> {
    users.delete(&named::<UserId>(&user, Thing::User)?, &caller).await?;
    Ok(Done)
}
