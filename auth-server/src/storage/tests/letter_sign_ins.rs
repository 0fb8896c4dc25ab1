use std::time::Duration;

use rstest::rstest;

use super::support::{Backend, Fixture};
use crate::domain::clock::Timestamp;
use crate::domain::ids::UserId;
use crate::domain::secret::Digest32;
use crate::storage::letter_sign_ins::{self, NewLetterSignIn};
use crate::storage::users;

const HOUR: Duration = Duration::from_hours(1);
const BROWSER: Digest32 = Digest32::from_bytes([1; 32]);
const CODE: Digest32 = Digest32::from_bytes([2; 32]);
const STATE: Digest32 = Digest32::from_bytes([3; 32]);

/// One that waits for an hour.
pub(super) fn waiting(digest: Digest32, user: Option<&UserId>, now: Timestamp) -> NewLetterSignIn {
    NewLetterSignIn {
        digest,
        browser: BROWSER,
        user: user.cloned(),
        code: CODE,
        state: STATE,
        errand: "{}".to_owned(),
        created_at: now,
        expires_at: now.plus(HOUR),
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[case(Backend::Postgres)]
#[tokio::test]
async fn a_sign_in_by_letter_counts_its_tries_in_its_browser_and_is_used_up_once(#[case] backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let ada = fixture.user("ada").await.id;
    let (one, other, now) = (fixture.digest(), fixture.digest(), fixture.now());
    let end = now.plus(HOUR);
    fixture
        .write(move |tx| {
            Box::pin(async move {
                letter_sign_ins::insert(tx, &waiting(one, Some(&ada), now)).await?;
                letter_sign_ins::insert(tx, &waiting(other, None, now)).await?;
                let elsewhere = Digest32::from_bytes([9; 32]);
                assert!(letter_sign_ins::count_try(tx, (&one, &elsewhere), 2, now).await?.is_none());
                assert_eq!(letter_sign_ins::find(tx, &one).await?.unwrap().tries, 0, "it costs nothing");
                assert!(
                    letter_sign_ins::count_try(tx, (&one, &BROWSER), 2, end).await?.is_none(),
                    "too late"
                );
                for _ in 0..2 {
                    let tried = letter_sign_ins::count_try(tx, (&one, &BROWSER), 2, now).await?.unwrap();
                    assert_eq!((tried.user.as_ref(), tried.errand.as_str()), (Some(&ada), "{}"));
                    assert!(tried.code.matches(&CODE) && tried.state.matches(&STATE));
                }
                assert!(letter_sign_ins::count_try(tx, (&one, &BROWSER), 2, now).await?.is_none(), "a third");
                assert!(!letter_sign_ins::use_up(tx, &one, end).await?, "too late");
                assert!(letter_sign_ins::use_up(tx, &one, now).await?);
                assert!(!letter_sign_ins::use_up(tx, &one, now).await?, "again");
                assert_eq!(letter_sign_ins::find(tx, &one).await?.unwrap().used_at, Some(now));
                assert!(letter_sign_ins::count_try(tx, (&one, &BROWSER), 9, now).await?.is_none(), "used");
                let nobody = letter_sign_ins::count_try(tx, (&other, &BROWSER), 2, now).await?.unwrap();
                assert_eq!(nobody.user, None);
                users::delete(tx, &ada).await?;
                assert!(letter_sign_ins::find(tx, &one).await?.is_none(), "it goes with the account");
                assert!(letter_sign_ins::find(tx, &other).await?.is_some());
                Ok(())
            })
        })
        .await;
}
